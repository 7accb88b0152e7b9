package app

import "context"

// writable asks whether the database takes a write, and waits no longer than a
// probe does: SQLite may wait longer for its file than any context allows.
func (a *App) writable(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	answer := make(chan error, 1)
	go func() { answer <- a.store.Ready(ctx) }()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
