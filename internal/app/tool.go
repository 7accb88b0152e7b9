package app

import (
	"context"
	"errors"
	"io"
	"strings"

	"mailroom/internal/i18n"
	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
)

// Tool is Mailroom for its operator at the command line: the same portal, acting
// as an administrator of whichever organization a command is about. The audit
// trail names no person for what it does.
type Tool struct{ *App }

// OpenTool opens the stores without serving. Close it.
func OpenTool(ctx context.Context, cfg Config) (*Tool, error) {
	a, err := open(ctx, cfg, false)
	if err != nil {
		return nil, err
	}
	return &Tool{a}, nil
}

// operator acts for the organization of that name; for the only one when "".
func (t *Tool) operator(ctx context.Context, name string) (mailroom.User, error) {
	list, err := t.store.Organizations(ctx)
	if err != nil {
		return mailroom.User{}, err
	}
	var names []string
	for _, o := range list {
		if strings.EqualFold(o.Name, name) || name == "" && len(list) == 1 {
			return mailroom.User{OrgID: o.ID, Role: mailroom.Administrator}, nil
		}
		names = append(names, o.Name)
	}
	if len(list) == 0 {
		return mailroom.User{}, errors.New("there is no organization yet: start mailroom and open its setup link")
	}
	return mailroom.User{}, errors.New("--organization must be one of: " + strings.Join(names, ", "))
}

// user finds a user and the operator who may change them.
func (t *Tool) user(ctx context.Context, email string) (operator, user mailroom.User, err error) {
	user, err = t.store.UserByEmail(ctx, mailroom.NormalAddress(email))
	if mailroom.KindOf(err) == mailroom.NotFound {
		return operator, user, errors.New("nobody signs in with that address")
	}
	return mailroom.User{OrgID: user.OrgID, Role: mailroom.Administrator}, user, err
}

// AddUser adds a user and returns a first password.
func (t *Tool) AddUser(ctx context.Context, organization, email, name string, role mailroom.Role) (string, error) {
	op, err := t.operator(ctx, organization)
	if err != nil {
		return "", err
	}
	_, password, err := t.Portal.AddUser(ctx, op, portal.UserForm{Email: email, Name: name, Role: role})
	return password, err
}

// ChangeRole makes a user recruiter or administrator.
func (t *Tool) ChangeRole(ctx context.Context, email string, role mailroom.Role) error {
	op, u, err := t.user(ctx, email)
	if err != nil {
		return err
	}
	return t.Portal.ChangeRole(ctx, op, u.ID, role)
}

// Disable keeps a user out, or lets them in again.
func (t *Tool) Disable(ctx context.Context, email string, disabled bool) error {
	op, u, err := t.user(ctx, email)
	if err != nil {
		return err
	}
	if disabled {
		return t.Portal.DisableUser(ctx, op, u.ID)
	}
	return t.Portal.EnableUser(ctx, op, u.ID)
}

// SetPassword gives a user the typed password, or a made one when "".
func (t *Tool) SetPassword(ctx context.Context, email, typed string) (string, error) {
	op, u, err := t.user(ctx, email)
	if err != nil {
		return "", err
	}
	if typed != "" {
		return typed, t.Portal.SetPassword(ctx, op, u.ID, typed)
	}
	return t.Portal.ResetPassword(ctx, op, u.ID)
}

// ImportPeople imports a CSV.
func (t *Tool) ImportPeople(ctx context.Context, organization string, r io.Reader) (portal.ImportReport, error) {
	op, err := t.operator(ctx, organization)
	if err != nil {
		return portal.ImportReport{}, err
	}
	return t.Portal.ImportPeople(ctx, op, r)
}

// Words puts an error into English, for a terminal.
func Words(err error) string {
	e := mailroom.AsError(err)
	texts, bad := i18n.New()
	if bad != nil {
		return e.Error()
	}
	return texts.For("en").Text(e.Key, e.Args)
}
