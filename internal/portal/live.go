package portal

import (
	"context"

	"mailroom/internal/mailroom"
)

// Changes signals when something that the user's pages show has changed, for
// an administrator anything of the organization. Several changes may make one
// signal. The channel is closed when ctx ends.
func (p *Portal) Changes(ctx context.Context, u mailroom.User) <-chan struct{} {
	out := make(chan struct{}, 1)
	own, cancelOwn := p.d.Store.Watch("user:" + u.ID)
	var org <-chan struct{} // nil: never signals
	cancelOrg := func() {}
	if u.IsAdmin() {
		org, cancelOrg = p.d.Store.Watch("org:" + u.OrgID)
	}
	go func() {
		defer close(out)
		defer cancelOwn()
		defer cancelOrg()
		for {
			select {
			case <-ctx.Done():
				return
			case <-own:
			case <-org:
			}
			select {
			case out <- struct{}{}:
			default: // one signal already waits
			}
		}
	}()
	return out
}
