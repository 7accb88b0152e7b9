package store_test

import (
	"errors"
	"testing"
	"time"

	"mailroom/internal/mailroom"
	"mailroom/internal/peers"
	"mailroom/internal/store"
	"mailroom/internal/store/storetest"
)

// soon fails unless a signal comes.
func soon(t *testing.T, ch <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(10 * time.Second):
		t.Fatalf("no signal: %s", what)
	}
}

func quiet(t *testing.T, ch <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-ch:
		t.Errorf("a signal: %s", what)
	default:
	}
}

func TestSignalsComeAfterTheCommitOnly(t *testing.T) {
	s := storetest.Open(t)
	ctx := t.Context()
	ch, cancel := s.Watch("user:1")
	other, cancelOther := s.Watch("user:2")
	defer cancelOther()
	failed := errors.New("no")
	if err := s.Write(ctx, failed, []string{"user:1"}); !errors.Is(err, failed) {
		t.Fatal(err)
	}
	quiet(t, ch, "a transaction that was rolled back")
	for range 3 {
		if err := s.Write(ctx, nil, []string{"user:1", "user:1"}); err != nil {
			t.Fatal(err)
		}
	}
	soon(t, ch, "three commits")
	quiet(t, ch, "three commits that nobody looked at between are one")
	quiet(t, other, "somebody else's topic")
	cancel()
	cancel()
	if err := s.Write(ctx, nil, []string{"user:1"}); err != nil {
		t.Fatal(err)
	}
	quiet(t, ch, "after it was cancelled")
}

// TestSignalsCrossNodes: two nodes share a PostgreSQL database.
func TestSignalsCrossNodes(t *testing.T) {
	dsn := peers.Postgres(t)
	a, b := storetest.OpenDSN(t, dsn), storetest.OpenDSN(t, dsn)
	w := storetest.Seed(t, a)
	ch, cancel := b.Watch(store.TopicUser(w.UserID))
	defer cancel()
	// Until the other node has begun to listen, signals may be missed.
	for heard := false; !heard; {
		if err := a.Write(t.Context(), nil, []string{store.TopicUser(w.UserID)}); err != nil {
			t.Fatal(err)
		}
		select {
		case <-ch:
			heard = true
		case <-time.After(20 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal("the other node never listened")
		}
	}
	c := w.Claim(t, "n1")
	for settled := false; !settled; { // what is still under way
		select {
		case <-ch:
		case <-time.After(50 * time.Millisecond):
			settled = true
		}
	}
	if _, err := a.Deliver(t.Context(), c, w.Batch(w.Inbox, w.Mail(1, "a@x.example", "One", "x"))); err != nil {
		t.Fatal(err)
	}
	soon(t, ch, "the other node filed a mail")

	failed := errors.New("no")
	a.Write(t.Context(), failed, []string{store.TopicUser(w.UserID)})
	var many []string // more topics than one notification holds
	for range 400 {
		many = append(many, store.TopicUser(mailroom.NewID("usr")))
	}
	marker, cancelMarker := b.Watch(many[399])
	defer cancelMarker()
	if err := a.Write(t.Context(), nil, many); err != nil {
		t.Fatal(err)
	}
	soon(t, marker, "the last of many topics")
	quiet(t, ch, "a transaction that was rolled back on the other node")

	// The listener's connection breaks: what came meanwhile is not known, so
	// everybody is told to look.
	w.Exec(t, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN %' AND pid <> pg_backend_pid()`)
	soon(t, ch, "listening anew")
	if err := a.Write(t.Context(), nil, []string{store.TopicUser(w.UserID)}); err != nil {
		t.Fatal(err)
	}
	soon(t, ch, "a change after that")
}
