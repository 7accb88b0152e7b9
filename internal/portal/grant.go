package portal

import (
	"context"

	"mailroom/internal/mailroom"
)

// BeginGrant is Grant Permission: it chooses the account and says where the
// browser must go to ask the person.
func (p *Portal) BeginGrant(ctx context.Context, u mailroom.User, binding string, f AccountForm) (redirectURL string, err error) {
	row, err := p.ownMailbox(ctx, u)
	if err != nil {
		return "", err
	}
	if f.Account == mailroom.Other && f.ProviderID == "" {
		return "", mailroom.E(mailroom.Conflict, "account.error.no_grant").On("account")
	}
	want, err := p.account(ctx, u, f)
	if err != nil {
		return "", err
	}
	// Granting again with the same provider is how a dead grant is mended.
	if row.Mailbox.Account != want.Account || row.Mailbox.ProviderID != want.ProviderID {
		if err := p.ChooseAccount(ctx, u, f); err != nil {
			return "", err
		}
		if row, err = p.ownMailbox(ctx, u); err != nil {
			return "", err
		}
	}
	if row.Mailbox.PasswordSet {
		return "", mailroom.E(mailroom.Conflict, "password.blocks_grant").On("password")
	}
	pr, ok := p.provider(ctx, u.OrgID, want.ProviderID)
	if !ok {
		return "", mailroom.E(mailroom.NeedsVendor, "account.error.not_offered").On("account").With("account", string(f.Account))
	}
	if f.Other {
		return p.d.Consent.BeginOther(ctx, u, row.Mailbox, pr, binding)
	}
	return p.d.Consent.Begin(ctx, u, row.Mailbox, pr, binding)
}

// FinishGrant takes what the provider sent the browser back with. After
// success the sync begins by itself.
func (p *Portal) FinishGrant(ctx context.Context, u mailroom.User, binding string, cb Callback) (mailroom.GrantOutcome, error) {
	if cb.Error != "" {
		err := p.d.Consent.Refused(ctx, binding, cb.State, cb.Error, cb.ErrorDescription, cb.Subcode)
		if err == nil {
			err = mailroom.E(mailroom.NeedsConsent, "account.error.refused")
		}
		return mailroom.GrantOutcome{}, err
	}
	return p.d.Consent.Finish(ctx, u, binding, cb.ProviderID, cb.State, cb.Code, cb.Issuer)
}

// GrantChoice is what of the user's grants waits for them in this browser session;
// nil when nothing does.
func (p *Portal) GrantChoice(ctx context.Context, u mailroom.User, binding string) (*mailroom.GrantChoice, error) {
	return p.d.Consent.Pending(ctx, u, binding)
}

// What a person may say to a grant that waits.
const (
	ChoiceAccept  = "accept"  // it is the shared mailbox that they mean
	ChoiceAgain   = "again"   // look once more
	ChoiceDecline = "decline" // forget it
)

// DecideGrant answers a grant that waits. Conflict "grant.error.choice_gone" when
// it is over, or not the one that was shown.
func (p *Portal) DecideGrant(ctx context.Context, u mailroom.User, binding, id, do string) (mailroom.GrantOutcome, error) {
	switch do {
	case ChoiceAccept:
		return p.d.Consent.Choose(ctx, u, binding, id)
	case ChoiceAgain:
		return p.d.Consent.LookAgain(ctx, u, binding, id)
	case ChoiceDecline:
		return mailroom.GrantOutcome{}, p.d.Consent.Decline(ctx, u, binding, id)
	}
	return mailroom.GrantOutcome{}, mailroom.E(mailroom.Invalid, "error.form")
}

// Revoke is Revoke Permission: our tokens are erased and the sync stops;
// mappings and mail stay.
func (p *Portal) Revoke(ctx context.Context, u mailroom.User) (mailroom.RevokeOutcome, error) {
	row, err := p.ownMailbox(ctx, u)
	if err != nil {
		return mailroom.RevokeOutcome{}, err
	}
	if !row.HasGrant {
		return mailroom.RevokeOutcome{}, mailroom.E(mailroom.Conflict, "grant.error.none")
	}
	return p.d.Consent.Revoke(ctx, u, row.Mailbox)
}
