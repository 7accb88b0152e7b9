package app

import (
	"context"
	"time"

	"mailroom/internal/store"
)

// undoer is the part of the store that takes mappings back, step by step.
type undoer interface {
	UndoStep(ctx context.Context, limit int) (worked bool, err error)
	Watch(topic string) (<-chan struct{}, func())
}

// An undo takes the one writer of SQLite, and on PostgreSQL the mailbox, for one
// step at a time: it begins with undoFirst placements and finds out how many fit
// into undoStep.
const (
	undoFirst = 100
	undoMost  = 500
	undoStep  = 200 * time.Millisecond
	undoTick  = time.Minute
)

// takeBack works on the mappings that people have undone, until ctx ends. All
// there is to know is in the database: after a crash, or on another node, it goes
// on where it was.
func takeBack(ctx context.Context, s undoer, failed func(error)) error {
	signal, cancel := s.Watch(store.TopicWork)
	defer cancel()
	tick := time.NewTicker(undoTick)
	defer tick.Stop()
	for {
		if err := undoAll(ctx, s); err != nil && ctx.Err() == nil {
			failed(err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-signal:
		case <-tick.C:
		}
	}
}

// undoAll works until nothing is left. After each step it leaves everybody else
// as much time as it took.
func undoAll(ctx context.Context, s undoer) error {
	for limit := undoFirst; ; {
		began := time.Now()
		worked, err := s.UndoStep(ctx, limit)
		if err != nil || !worked {
			return err
		}
		took := time.Since(began)
		switch {
		case took > undoStep:
			limit = max(limit/2, 1)
		case took < undoStep/2:
			limit = min(limit*2, undoMost)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(took, undoStep)):
		}
	}
}
