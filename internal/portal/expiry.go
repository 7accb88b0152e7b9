package portal

import (
	"context"

	"mailroom/internal/mailroom"
)

// Foresight knows what will break, and who is told.
type Foresight interface {
	Foresee(ctx context.Context, orgID string) ([]mailroom.Expiry, error)
	Told(ctx context.Context, orgID string, limit int) ([]mailroom.Notice, error)
	// Channels are the ways to tell somebody by name, "" for one that is not set up.
	Channels() (mail, webhook string)
	// Try sends a test over each of them.
	Try(ctx context.Context, u mailroom.User) []mailroom.Check
}

// ExpiryPage is "What will break, and when".
type ExpiryPage struct {
	Expiries      []mailroom.Expiry
	Mail, Webhook string // by whom people are told, "" for not
	Told          []mailroom.Notice
	Users         map[string]mailroom.User
}

// manyNotices are as many as the page shows.
const manyNotices = 30

// Expiry lists what will break in the organization, for administrators.
func (p *Portal) Expiry(ctx context.Context, u mailroom.User) (v ExpiryPage, err error) {
	if !u.IsAdmin() {
		return v, forbidden()
	}
	if p.d.Foresight == nil {
		return v, nil
	}
	v.Mail, v.Webhook = p.d.Foresight.Channels()
	if v.Expiries, err = p.d.Foresight.Foresee(ctx, u.OrgID); err != nil {
		return v, err
	}
	if v.Told, err = p.d.Foresight.Told(ctx, u.OrgID, manyNotices); err != nil {
		return v, err
	}
	users, err := p.d.Store.Users(ctx, u.OrgID)
	v.Users = map[string]mailroom.User{}
	for _, one := range users {
		v.Users[one.ID] = one
	}
	return v, err
}

// TryNotices sends a test to the administrator and to the webhook.
func (p *Portal) TryNotices(ctx context.Context, u mailroom.User) ([]mailroom.Check, error) {
	if !u.IsAdmin() {
		return nil, forbidden()
	}
	if p.d.Foresight == nil {
		return nil, nil
	}
	// Written first: what leaves the house must not do so unrecorded.
	if err := p.d.Store.SaveAudit(ctx, p.event(u, "notice.tested", u.ID, nil)); err != nil {
		return nil, err
	}
	return p.d.Foresight.Try(ctx, u), nil
}
