package storetest_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"mailroom/internal/mailroom"
	"mailroom/internal/peers"
	"mailroom/internal/store"
	"mailroom/internal/store/storetest"
)

// newText makes texts like prose: frequent words often, rare ones seldom, about
// 1.9 KB.
func newText() func() string {
	r := rand.New(rand.NewPCG(1, 2))
	z := rand.NewZipf(r, 1.1, 8, 19_999)
	words := make([]string, 20_000)
	for i := range words {
		words[i] = strings.Repeat("abcdefghijklmnopqrstuvwxyz"[i%26:i%26+1], 1+i%3) + fmt.Sprintf("%x", i*2654435761%1_000_003)
	}
	return func() string {
		var b strings.Builder
		for range 120 + r.IntN(240) {
			b.WriteString(words[z.Uint64()])
			b.WriteByte(' ')
		}
		return b.String()
	}
}

func BenchmarkDeliver(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { benchDeliver(b, storetest.Open(b)) })
	b.Run("postgres", func(b *testing.B) { benchDeliver(b, storetest.OpenDSN(b, peers.Postgres(b))) })
}

func benchDeliver(b *testing.B, s *store.Store) {
	const size = 1000
	w := storetest.Seed(b, s)
	for i := range 200 {
		w.AddPerson(b, fmt.Sprintf("Person %d", i), fmt.Sprintf("p%d@people.example", i))
	}
	c := w.Claim(b, "n1")
	text := newText()
	uid := uint32(0)
	batch := func() mailroom.Batch {
		mails := make([]mailroom.Mail, size)
		for i := range mails {
			uid++
			mails[i] = w.Mail(uid, fmt.Sprintf("p%d@people.example", i*2), fmt.Sprintf("Mail number %d", uid), text())
			mails[i].Message.Snippet = mails[i].Message.Text[:140]
		}
		v := w.Batch(w.Inbox, mails...)
		return v
	}
	b.ResetTimer()
	n, cpu := 0, time.Duration(0)
	for b.Loop() {
		b.StopTimer()
		v := batch()
		before := cpuTime()
		b.StartTimer()
		got, err := s.Deliver(b.Context(), c, v)
		cpu += cpuTime() - before
		if err != nil || got != size {
			b.Fatal(got, err)
		}
		n += size
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "msg/s")
	b.ReportMetric(float64(cpu.Microseconds())/float64(n), "cpu-µs/msg")
	b.ReportMetric(0, "ns/op")
}

// cpuTime is what this process has burnt: on a machine that others work on too,
// the wall clock says little.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkDeliverOne is a new mail that comes alone, into a store that holds
// 20,000.
func BenchmarkDeliverOne(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { benchDeliverOne(b, storetest.Open(b)) })
	b.Run("postgres", func(b *testing.B) { benchDeliverOne(b, storetest.OpenDSN(b, peers.Postgres(b))) })
}

func benchDeliverOne(b *testing.B, s *store.Store) {
	w := storetest.Seed(b, s)
	c := w.Claim(b, "n1")
	text := newText()
	uid := uint32(0)
	deliver := func(n int) {
		mails := make([]mailroom.Mail, n)
		for i := range mails {
			uid++
			mails[i] = w.Mail(uid, "eva@people.example", fmt.Sprintf("Mail number %d", uid), text())
		}
		if got, err := s.Deliver(b.Context(), c, w.Batch(w.Inbox, mails...)); err != nil || got != n {
			b.Fatal(got, err)
		}
	}
	for range 20 {
		deliver(1000)
	}
	for b.Loop() {
		deliver(1)
	}
}
