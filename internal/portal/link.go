package portal

import (
	"context"

	"mailroom/internal/mailroom"
)

// Link links a message to a person by hand, also again after Unlink; the
// machine never undoes it.
func (p *Portal) Link(ctx context.Context, u mailroom.User, id, personID string) error {
	if _, err := p.mail(ctx, u, id); err != nil {
		return err
	}
	return p.d.Store.Link(ctx, u.OrgID, id, personID, p.event(u, "link.made", id, map[string]any{"person": personID}))
}

// Unlink takes a link away; the machine never makes it again.
func (p *Portal) Unlink(ctx context.Context, u mailroom.User, id, personID string) error {
	if _, err := p.mail(ctx, u, id); err != nil {
		return err
	}
	return p.d.Store.Unlink(ctx, u.OrgID, id, personID, p.event(u, "link.removed", id, map[string]any{"person": personID}))
}

// Choices lists the addresses that belong to several persons and wait for the
// user: one row an address, with its newest message and how many others wait.
func (p *Portal) Choices(ctx context.Context, u mailroom.User) ([]Choice, error) {
	waiting, err := p.d.Store.WaitingChoices(ctx, u.OrgID, u.ID, 200)
	if err != nil {
		return nil, err
	}
	var out []Choice
	for _, w := range waiting {
		out = append(out, choice(w))
	}
	return out, nil
}

func choice(w mailroom.WaitingChoice) Choice {
	return Choice{
		MessageID: w.Message.ID, Subject: w.Message.Subject, From: w.Message.From, ReceivedAt: w.Message.ReceivedAt,
		Address: w.Address, Role: w.Role, Candidates: w.Candidates, Others: w.Others,
	}
}

// Decide answers a choice: personID, or "" for none of them; all answers it for
// every message of the user that waits for the same address.
func (p *Portal) Decide(ctx context.Context, u mailroom.User, id, address, personID string, all bool) error {
	decision := mailroom.ChoiceDecision{
		OrgID: u.OrgID, UserID: u.ID, MessageID: id, Address: mailroom.NormalAddress(address), PersonID: personID, All: all,
	}
	_, err := p.d.Store.Decide(ctx, decision, p.event(u, "choice.decided", id, map[string]any{"person": personID, "all": all}))
	return err
}
