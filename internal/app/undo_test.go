package app

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// fakeUndoer has placements to be taken back, each of which costs time.
type fakeUndoer struct {
	left    int
	each    time.Duration
	fails   int
	longest time.Duration
	busy    time.Duration
	signal  chan struct{}
}

func (f *fakeUndoer) Watch(string) (<-chan struct{}, func()) { return f.signal, func() {} }

func (f *fakeUndoer) UndoStep(_ context.Context, limit int) (bool, error) {
	if f.fails > 0 {
		f.fails--
		return false, errors.New("the database is away")
	}
	if f.left == 0 {
		return false, nil
	}
	n := min(limit, f.left)
	took := time.Duration(n) * f.each
	time.Sleep(took)
	f.left -= n
	f.busy += took
	f.longest = max(f.longest, took)
	return true, nil
}

func TestUndoLeavesOthersTheirTurn(t *testing.T) {
	for name, each := range map[string]time.Duration{"quick": 100 * time.Microsecond, "slow": 2 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeUndoer{left: 20_000, each: each}
				began := time.Now()
				if err := undoAll(t.Context(), f); err != nil || f.left != 0 {
					t.Fatalf("%d are left, %v", f.left, err)
				}
				if f.longest > 250*time.Millisecond {
					t.Errorf("one step took %v", f.longest)
				}
				if took := time.Since(began); took < 2*f.busy-time.Second {
					t.Errorf("worked for %v of %v", f.busy, took)
				}
			})
		})
	}
}

func TestUndoIsTakenUpAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeUndoer{left: 10, each: time.Millisecond, fails: 2, signal: make(chan struct{}, 1)}
		ctx, cancel := context.WithCancel(t.Context())
		told := 0
		ended := make(chan error, 1)
		go func() { ended <- takeBack(ctx, f, func(error) { told++ }) }()
		synctest.Wait()
		if told != 1 || f.left != 10 {
			t.Errorf("told %d times, %d left", told, f.left)
		}
		f.signal <- struct{}{}
		synctest.Wait()
		if told != 2 {
			t.Errorf("a signal does not wake it")
		}
		time.Sleep(undoTick + time.Second)
		synctest.Wait()
		if f.left != 0 {
			t.Errorf("after a while %d are left", f.left)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
