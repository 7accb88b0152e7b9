package store

import (
	"context"

	"mailroom/internal/mailroom"
)

// User returns a user of an organization.
func (s *Store) User(ctx context.Context, orgID, id string) (mailroom.User, error) {
	return one(ctx, s.read(), scanUser, `SELECT `+userColumns+` FROM users WHERE id = $1 AND org_id = $2`, id, orgID)
}

// UserByID returns a user of any organization: who a session is about.
func (s *Store) UserByID(ctx context.Context, id string) (mailroom.User, error) {
	return one(ctx, s.read(), scanUser, `SELECT `+userColumns+` FROM users WHERE id = $1`, id)
}

// UserByEmail returns a user of any organization by their address in normal form.
func (s *Store) UserByEmail(ctx context.Context, email string) (mailroom.User, error) {
	return one(ctx, s.read(), scanUser, `SELECT `+userColumns+` FROM users WHERE email = $1`, clean(email))
}

// Users lists the users of an organization by name.
func (s *Store) Users(ctx context.Context, orgID string) ([]mailroom.User, error) {
	return all(ctx, s.read(), scanUser, `SELECT `+userColumns+` FROM users WHERE org_id = $1 ORDER BY lower(name), id`, orgID)
}

// AddUser stores a new user with the two folders that every OTYS mailbox has.
// Conflict "user.error.email_taken" when the address signs in somebody already.
func (s *Store) AddUser(ctx context.Context, u mailroom.User, ev mailroom.AuditEvent) error {
	return s.tx(ctx, func(t *tx) error {
		if err := t.addUser(ctx, u); err != nil {
			return err
		}
		return t.audit(ctx, ev)
	})
}

func (t *tx) addUser(ctx context.Context, u mailroom.User) error {
	n, err := t.exec(ctx, `INSERT INTO users(`+userColumns+`) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10) ON CONFLICT (email) DO NOTHING`,
		u.ID, u.OrgID, clean(u.Email), clean(u.Name), string(u.Role), u.PasswordHash, u.Language, mailroom.Micros(u.DisabledAt),
		u.SessionEpoch, mailroom.Micros(u.CreatedAt))
	if err != nil {
		return err
	}
	if n == 0 {
		return mailroom.E(mailroom.Conflict, "user.error.email_taken").On("email").With("email", u.Email)
	}
	for _, f := range []mailroom.OTYSFolder{{Name: "Inbox", Role: mailroom.RoleInbox}, {Name: "Sent items", Role: mailroom.RoleSent}} {
		f.ID, f.OrgID, f.UserID, f.CreatedAt = mailroom.NewID(mailroom.PrefixOTYSFolder), u.OrgID, u.ID, u.CreatedAt
		if _, err := t.addOTYSFolder(ctx, f); err != nil {
			return err
		}
	}
	t.notify(TopicOrg(u.OrgID))
	return nil
}

// ChangeUser lets change edit a user; admins is how many administrators of the
// organization can sign in, this user included. A user who is disabled has
// their mailbox taken from whoever reads it; one who is enabled has it read again.
func (s *Store) ChangeUser(ctx context.Context, orgID, id string, change func(u *mailroom.User, admins int) error, ev mailroom.AuditEvent) error {
	return s.tx(ctx, func(t *tx) error {
		// One at a time in an organization, so that two administrators cannot
		// demote each other at once.
		if _, err := value[string](ctx, t, `SELECT id FROM organizations WHERE id = $1`+t.s.forUpdate(), orgID); err != nil {
			return err
		}
		u, err := one(ctx, t, scanUser, `SELECT `+userColumns+` FROM users WHERE id = $1 AND org_id = $2`, id, orgID)
		if err != nil {
			return err
		}
		admins, err := value[int](ctx, t, `SELECT COUNT(*) FROM users WHERE org_id = $1 AND role = $2 AND disabled_at = 0`,
			orgID, string(mailroom.Administrator))
		if err != nil {
			return err
		}
		before := u
		if err := change(&u, admins); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `UPDATE users SET name = $1, role = $2, password_hash = $3, language = $4, disabled_at = $5, session_epoch = $6
			WHERE id = $7`, clean(u.Name), string(u.Role), u.PasswordHash, u.Language, mailroom.Micros(u.DisabledAt), u.SessionEpoch, id); err != nil {
			return err
		}
		if before.DisabledAt.IsZero() != u.DisabledAt.IsZero() {
			if err := t.userSwitched(ctx, id, u.DisabledAt.IsZero()); err != nil {
				return err
			}
		}
		t.notify(TopicUser(id), TopicOrg(orgID))
		return t.audit(ctx, ev)
	})
}

func (t *tx) userSwitched(ctx context.Context, userID string, on bool) error {
	ids, err := values[string](ctx, t, `SELECT id FROM mailboxes WHERE user_id = $1 AND retired_at = 0`, userID)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if on {
			err = t.want(ctx, id)
		} else {
			err = t.evict(ctx, id)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
