package portal

import (
	"context"
	"strings"

	"mailroom/internal/mailroom"
)

// Quarantined lists the messages of the user's mailboxes that could not be
// filed, newest first.
func (p *Portal) Quarantined(ctx context.Context, u mailroom.User) ([]QuarantineRow, error) {
	held, err := p.d.Store.QuarantineRows(ctx, u.ID)
	if err != nil {
		return nil, err
	}
	names := map[string]map[string]string{} // mailbox → raw → decoded
	people := map[string]string{}           // user → name
	var out []QuarantineRow
	for _, q := range held {
		if names[q.MailboxID] == nil {
			if names[q.MailboxID], err = p.folderNames(ctx, q.MailboxID); err != nil {
				return nil, err
			}
		}
		row := QuarantineRow{Quarantine: q, Folder: names[q.MailboxID][q.RawName]}
		if row.Folder == "" {
			row.Folder = q.RawName
		}
		if row.GivenUpBy, err = p.nameOf(ctx, u, q.DroppedBy, people); err != nil {
			return nil, err
		}
		out = append(out, row)
	}
	return out, nil
}

// nameOf is a user's name, "" for nobody and for who is not here any more.
func (p *Portal) nameOf(ctx context.Context, u mailroom.User, id string, known map[string]string) (string, error) {
	switch id {
	case "":
		return "", nil
	case u.ID:
		return u.Name, nil
	}
	if name, ok := known[id]; ok {
		return name, nil
	}
	who, err := p.d.Store.User(ctx, u.OrgID, id)
	if err != nil && mailroom.KindOf(err) != mailroom.NotFound {
		return "", err
	}
	known[id] = who.Name
	return who.Name, nil
}

func (p *Portal) folderNames(ctx context.Context, mailboxID string) (map[string]string, error) {
	folders, err := p.d.Store.Folders(ctx, mailboxID)
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, f := range folders {
		names[f.RawName] = f.Name
	}
	return names, nil
}

// RetryQuarantined has a message read again at the next sync, which it asks for.
func (p *Portal) RetryQuarantined(ctx context.Context, u mailroom.User, id string) error {
	return p.d.Store.RetryQuarantine(ctx, u.ID, id, p.now(), p.event(u, "quarantine.retried", id, nil))
}

// GiveUp stops the tries to file a message, for a reason in the user's own
// words. What came of it stays to be downloaded, and KeepTrying takes it back.
func (p *Portal) GiveUp(ctx context.Context, u mailroom.User, id, reason string) error {
	if _, err := p.d.Store.QuarantineRow(ctx, u.ID, id); err != nil {
		return err
	}
	reason = strings.Join(strings.Fields(reason), " ")
	return p.d.Store.DropQuarantine(ctx, u.ID, id, reason, p.event(u, "quarantine.given_up", id, nil))
}

// KeepTrying takes a GiveUp back: the message is tried again at once.
func (p *Portal) KeepTrying(ctx context.Context, u mailroom.User, id string) error {
	return p.d.Store.KeepQuarantine(ctx, u.ID, id, p.event(u, "quarantine.kept", id, nil))
}

// QuarantinedRaw is what came of a message in quarantine; NotFound when nothing did.
func (p *Portal) QuarantinedRaw(ctx context.Context, u mailroom.User, id string) (Download, error) {
	q, err := p.d.Store.QuarantineRow(ctx, u.ID, id)
	if err != nil {
		return Download{}, err
	}
	if q.RawHash == "" {
		return Download{}, notFound()
	}
	raw, err := p.d.RawMail(ctx, u.OrgID, q.RawHash)
	if err != nil {
		return Download{}, mailroom.AsError(err)
	}
	// Nobody could read it: it goes out as bytes, not as mail.
	return download("quarantined-"+q.ID+".eml", "application/octet-stream", raw), nil
}
