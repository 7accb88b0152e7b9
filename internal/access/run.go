package access

import (
	"context"
	"sync"
)

// Run does what happens unasked until ctx ends: it keeps the grants fresh that
// nobody uses, and tells which keys this process knows.
func (a *Access) Run(ctx context.Context) error {
	var all sync.WaitGroup
	all.Go(func() { a.tellKeys(ctx) })
	all.Go(func() { a.keepFresh(ctx) })
	all.Wait()
	return nil
}
