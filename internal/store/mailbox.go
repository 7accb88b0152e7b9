package store

import (
	"context"
	"time"

	"mailroom/internal/mailroom"
)

// MailboxOf returns the user's mailbox that is not retired.
func (s *Store) MailboxOf(ctx context.Context, userID string) (mailroom.MailboxRow, error) {
	return s.mailboxRow(ctx, `m.user_id = $1 AND m.retired_at = 0`, userID)
}

// MailboxByID returns a mailbox of an organization, retired or not.
func (s *Store) MailboxByID(ctx context.Context, orgID, id string) (mailroom.MailboxRow, error) {
	return s.mailboxRow(ctx, `m.id = $1 AND m.org_id = $2`, id, orgID)
}

// MailboxRows lists the mailboxes of an organization that are not retired.
func (s *Store) MailboxRows(ctx context.Context, orgID string) ([]mailroom.MailboxRow, error) {
	return s.mailboxRows(ctx, `m.org_id = $1 AND m.retired_at = 0`, orgID)
}

func (s *Store) mailboxRow(ctx context.Context, where string, args ...any) (mailroom.MailboxRow, error) {
	rows, err := s.mailboxRows(ctx, where, args...)
	if err == nil && len(rows) == 0 {
		err = mailroom.E(mailroom.NotFound, "error.not_found")
	}
	if err != nil {
		return mailroom.MailboxRow{}, err
	}
	return rows[0], nil
}

func (s *Store) mailboxRows(ctx context.Context, where string, args ...any) ([]mailroom.MailboxRow, error) {
	return all(ctx, s.read(), func(r row) (v mailroom.MailboxRow, err error) {
		cells := splitRow(r, columnCount(mailboxColumns), columnCount(userColumns), 1)
		if v.Mailbox, err = scanMailbox(cells[0]); err != nil {
			return v, err
		}
		if v.Owner, err = scanUser(cells[1]); err != nil {
			return v, err
		}
		err = cells[2].Scan(&v.HasGrant)
		return v, err
	}, `SELECT `+prefixed("m", mailboxColumns)+`, `+prefixed("u", userColumns)+`,
		EXISTS (SELECT 1 FROM grants g WHERE g.mailbox_id = m.id)
		FROM mailboxes m JOIN users u ON u.id = m.user_id WHERE `+where+` ORDER BY m.created_at, m.id`, args...)
}

// MailboxUsed reports whether anything was ever read from a mailbox.
func (s *Store) MailboxUsed(ctx context.Context, id string) (used bool, err error) {
	return value[bool](ctx, s.read(), `SELECT EXISTS (SELECT 1 FROM placements WHERE mailbox_id = $1)
		OR EXISTS (SELECT 1 FROM mappings WHERE mailbox_id = $1)`, id)
}

// AddMailbox stores a user's first mailbox. Conflict "mailbox.error.changed"
// when they have one.
func (s *Store) AddMailbox(ctx context.Context, m mailroom.Mailbox, ev mailroom.AuditEvent) error {
	return s.tx(ctx, func(t *tx) error {
		if err := t.addMailbox(ctx, m); err != nil {
			return err
		}
		return t.audit(ctx, ev)
	})
}

func (t *tx) addMailbox(ctx context.Context, m mailroom.Mailbox) error {
	n, err := t.exec(ctx, `INSERT INTO mailboxes(id, org_id, user_id, address, account, provider_id, host, port, tls, paused,
		  mappings_version, created_at)
		VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12) ON CONFLICT DO NOTHING`,
		m.ID, m.OrgID, m.UserID, clean(m.Address), string(m.Account), m.ProviderID, clean(m.IMAP.Host), m.IMAP.Port, string(m.IMAP.TLS),
		m.Paused, m.MappingsVersion, mailroom.Micros(m.CreatedAt))
	if err == nil && n == 0 {
		err = mailroom.E(mailroom.Conflict, "mailbox.error.changed")
	}
	t.notify(TopicUser(m.UserID), TopicOrg(m.OrgID))
	return err
}

// lockMailbox reads a mailbox that is not retired and keeps it for this
// transaction: the row that everything about a mailbox begins with.
func (t *tx) lockMailbox(ctx context.Context, id string) (mailroom.Mailbox, error) {
	return one(ctx, t, scanMailbox, `SELECT `+mailboxColumns+` FROM mailboxes WHERE id = $1 AND retired_at = 0`+t.s.forUpdate(), id)
}

// ChangeMailbox lets change edit the person's side of a mailbox: address,
// account, server, paused, problem; PasswordSet may only be taken back. Whoever
// reads the mailbox has to begin anew.
func (s *Store) ChangeMailbox(ctx context.Context, orgID, id string, change func(*mailroom.Mailbox) error, ev mailroom.AuditEvent) error {
	return s.tx(ctx, func(t *tx) error {
		m, err := t.lockMailbox(ctx, id)
		if err != nil {
			return err
		}
		if m.OrgID != orgID {
			return mailroom.E(mailroom.NotFound, "error.not_found")
		}
		hadPassword := m.PasswordSet
		if err := change(&m); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `UPDATE mailboxes SET address = $1, account = $2, provider_id = $3, host = $4, port = $5, tls = $6,
			paused = $7, problem = $8 WHERE id = $9`, clean(m.Address), string(m.Account), m.ProviderID, clean(m.IMAP.Host), m.IMAP.Port,
			string(m.IMAP.TLS), m.Paused, asJSON(m.Problem), id); err != nil {
			return err
		}
		if hadPassword && !m.PasswordSet {
			if err := t.dropPassword(ctx, id); err != nil {
				return err
			}
		}
		if err := t.evict(ctx, id); err != nil {
			return err
		}
		if !m.Paused {
			if err := t.want(ctx, id); err != nil {
				return err
			}
		}
		t.notify(TopicUser(m.UserID), TopicOrg(m.OrgID))
		return t.audit(ctx, ev)
	})
}

// dropPassword forgets a password, and the key that sealed it unless a grant
// needs that.
func (t *tx) dropPassword(ctx context.Context, mailboxID string) error {
	if _, err := t.exec(ctx, `UPDATE mailboxes SET password_key = '', password_sealed = NULL WHERE id = $1`, mailboxID); err != nil {
		return err
	}
	_, err := t.exec(ctx, `UPDATE mailboxes SET data_key_id = '', data_key_sealed = NULL
		WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM grants g WHERE g.mailbox_id = $1)`, mailboxID)
	return err
}

// ReplaceMailbox retires a mailbox, without its secrets but with its mappings and
// mail, and puts another of the same user in its place; with keep the new one
// begins with the same mapping rows, those that follow others included.
func (s *Store) ReplaceMailbox(ctx context.Context, oldID string, m mailroom.Mailbox, keep bool, ev mailroom.AuditEvent) error {
	return s.tx(ctx, func(t *tx) error {
		old, err := t.lockMailbox(ctx, oldID)
		if mailroom.KindOf(err) == mailroom.NotFound {
			return mailroom.E(mailroom.Conflict, "mailbox.error.changed")
		}
		if err != nil {
			return err
		}
		for _, text := range []string{
			`DELETE FROM grants WHERE mailbox_id = $1`,
			`DELETE FROM auth_requests WHERE mailbox_id = $1`,
			`DELETE FROM pending_grants WHERE mailbox_id = $1`,
			`DELETE FROM refusals WHERE mailbox_id = $1`,
		} {
			if _, err := t.exec(ctx, text, oldID); err != nil {
				return err
			}
		}
		if err := t.dropPassword(ctx, oldID); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `UPDATE mailboxes SET retired_at = $1, problem = '' WHERE id = $2`, t.at, oldID); err != nil {
			return err
		}
		if err := t.evict(ctx, oldID); err != nil {
			return err
		}
		m.MappingsVersion = old.MappingsVersion + 1 // a page that is open still must not save into the new one
		if err := t.addMailbox(ctx, m); err != nil {
			return err
		}
		if keep {
			if err := t.copyMappings(ctx, oldID, m); err != nil {
				return err
			}
		}
		if err := t.want(ctx, m.ID); err != nil {
			return err
		}
		return t.audit(ctx, ev)
	})
}

func (t *tx) copyMappings(ctx context.Context, fromID string, to mailroom.Mailbox) error {
	rows, err := mappingsOf(ctx, t, fromID)
	if err != nil {
		return err
	}
	ids := map[string]string{"": ""}
	for _, r := range rows {
		ids[r.ID] = mailroom.NewID(mailroom.PrefixMapping)
	}
	for i, r := range rows {
		r.ID, r.ParentID, r.MailboxID = ids[r.ID], ids[r.ParentID], to.ID
		// Another account: its folders are others, of the same names.
		r.ObjectID, r.FollowedFrom, r.FollowedAt = "", "", time.Time{}
		r.CreatedAt = mailroom.FromMicros(t.at + int64(i)) // what rows are sorted by
		if err := t.addMapping(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// RequestSync asks for a sync of a mailbox that is not retired.
func (s *Store) RequestSync(ctx context.Context, orgID, mailboxID string, ev mailroom.AuditEvent) error {
	return s.tx(ctx, func(t *tx) error {
		m, err := t.lockMailbox(ctx, mailboxID)
		if err != nil {
			return err
		}
		if m.OrgID != orgID {
			return mailroom.E(mailroom.NotFound, "error.not_found")
		}
		if err := t.want(ctx, mailboxID); err != nil {
			return err
		}
		t.notify(TopicUser(m.UserID), TopicOrg(m.OrgID))
		return t.audit(ctx, ev)
	})
}
