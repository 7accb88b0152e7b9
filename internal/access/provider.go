package access

import (
	"context"

	"mailroom/internal/mailroom"
)

// Providers is what an organization is offered, with the credentials that prove
// us there in clear: they live in memory only. It is a mailroom.ProvidersOf.
func (a *Access) Providers(_ context.Context, _ string) (mailroom.Providers, error) {
	return a.Base, nil
}
