package portal

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"net/mail"
	"strings"
	"unicode/utf8"

	"mailroom/internal/mailroom"
)

// SignIn checks an address and a password. It works equally long for an address
// that nobody has, so that a stranger cannot find out who has an account; that
// an account is disabled is only told to who knows its password.
func (p *Portal) SignIn(ctx context.Context, email, password string) (mailroom.User, error) {
	u, err := p.d.Store.UserByEmail(ctx, mailroom.NormalAddress(email))
	if err != nil && mailroom.KindOf(err) != mailroom.NotFound {
		return mailroom.User{}, err
	}
	ok, cerr := p.passwords.check(ctx, password, u.PasswordHash)
	switch {
	case cerr != nil:
		return mailroom.User{}, cerr
	case err != nil || !ok:
		return mailroom.User{}, mailroom.E(mailroom.Invalid, "signin.error.wrong")
	case !u.DisabledAt.IsZero():
		return mailroom.User{}, mailroom.E(mailroom.Forbidden, "signin.error.disabled")
	}
	return u, nil
}

// UserForSession loads who is signed in. It is NotFound when the user was
// disabled or signed out everywhere since the session began.
func (p *Portal) UserForSession(ctx context.Context, userID string, epoch int64) (mailroom.User, error) {
	u, err := p.d.Store.UserByID(ctx, userID)
	if err != nil {
		return mailroom.User{}, err
	}
	if !u.DisabledAt.IsZero() || u.SessionEpoch != epoch {
		return mailroom.User{}, notFound()
	}
	return u, nil
}

// SignOutEverywhere ends all sessions of the user, the asking one included.
func (p *Portal) SignOutEverywhere(ctx context.Context, u mailroom.User) error {
	return p.d.Store.ChangeUser(ctx, u.OrgID, u.ID, func(row *mailroom.User, _ int) error {
		row.SessionEpoch++
		return nil
	}, p.event(u, "user.signed_out_everywhere", u.ID, nil))
}

// ChangePassword sets another password and ends all sessions but the asking
// one, if that goes on with SessionEpoch+1.
func (p *Portal) ChangePassword(ctx context.Context, u mailroom.User, old, new string) error {
	ok, err := p.passwords.check(ctx, old, u.PasswordHash)
	if err != nil {
		return err
	}
	if !ok {
		return invalid("old", "user.error.password_wrong")
	}
	if err := checkPassword("new", new, u.Email); err != nil {
		return err
	}
	hash, err := p.passwords.hash(ctx, new)
	if err != nil {
		return err
	}
	return p.d.Store.ChangeUser(ctx, u.OrgID, u.ID, func(row *mailroom.User, _ int) error {
		if row.PasswordHash != u.PasswordHash {
			return mailroom.E(mailroom.Conflict, "user.error.password_changed")
		}
		row.PasswordHash = hash
		row.SessionEpoch++
		return nil
	}, p.event(u, "user.password_changed", u.ID, nil))
}

// SetLanguage chooses "en" or "nl", or "" to follow the browser.
func (p *Portal) SetLanguage(ctx context.Context, u mailroom.User, lang string) error {
	if lang != "" && lang != "en" && lang != "nl" {
		return invalid("language", "user.error.language")
	}
	return p.d.Store.ChangeUser(ctx, u.OrgID, u.ID, func(row *mailroom.User, _ int) error {
		row.Language = lang
		return nil
	}, mailroom.AuditEvent{}) // which language somebody reads is no matter of record
}

// SaveProfile changes the user's own name.
func (p *Portal) SaveProfile(ctx context.Context, u mailroom.User, name string) error {
	name, err := checkName("name", name, "user.error.name")
	if err != nil {
		return err
	}
	return p.d.Store.ChangeUser(ctx, u.OrgID, u.ID, func(row *mailroom.User, _ int) error {
		row.Name = name
		return nil
	}, p.event(u, "user.saved", u.ID, nil))
}

// Users lists the organization's users by name, for its administrators.
func (p *Portal) Users(ctx context.Context, u mailroom.User) ([]mailroom.User, error) {
	if !u.IsAdmin() {
		return nil, forbidden()
	}
	return p.d.Store.Users(ctx, u.OrgID)
}

// AddUser makes a user with a generated password, which is shown once.
func (p *Portal) AddUser(ctx context.Context, u mailroom.User, f UserForm) (mailroom.User, string, error) {
	if !u.IsAdmin() {
		return mailroom.User{}, "", forbidden()
	}
	var errs complaints
	name, err := checkName("name", f.Name, "user.error.name")
	errs.add(err)
	email, err := checkAddress("email", f.Email, "user.error.email")
	errs.add(err)
	if !validRole(f.Role) {
		errs.add(invalid("role", "user.error.role"))
	}
	if err := errs.join(); err != nil {
		return mailroom.User{}, "", err
	}
	password := newPassword()
	hash, err := p.passwords.hash(ctx, password)
	if err != nil {
		return mailroom.User{}, "", err
	}
	row := mailroom.User{
		ID: mailroom.NewID(mailroom.PrefixUser), OrgID: u.OrgID, Email: email, Name: name, Role: f.Role,
		PasswordHash: hash, SessionEpoch: 1, CreatedAt: p.now(),
	}
	err = p.d.Store.AddUser(ctx, row, p.event(u, "user.added", row.ID, map[string]any{"email": email, "role": string(f.Role)}))
	if err != nil {
		return mailroom.User{}, "", err
	}
	return row, password, nil
}

// ChangeRole makes a user recruiter or administrator. The last administrator
// stays one.
func (p *Portal) ChangeRole(ctx context.Context, u mailroom.User, id string, role mailroom.Role) error {
	if !validRole(role) {
		return invalid("role", "user.error.role")
	}
	return p.changeUser(ctx, u, id, "user.role", map[string]any{"role": string(role)}, func(row *mailroom.User, admins int) error {
		if row.IsAdmin() && role != mailroom.Administrator && row.DisabledAt.IsZero() && admins <= 1 {
			return mailroom.E(mailroom.Conflict, "user.error.last_admin")
		}
		row.Role = role
		return nil
	})
}

// DisableUser keeps a user out, ends their sessions and stops their sync;
// settings and mail stay. Nobody disables themselves, so one administrator
// always remains.
func (p *Portal) DisableUser(ctx context.Context, u mailroom.User, id string) error {
	if id == u.ID {
		return mailroom.E(mailroom.Conflict, "user.error.self")
	}
	return p.changeUser(ctx, u, id, "user.disabled", nil, func(row *mailroom.User, admins int) error {
		if row.IsAdmin() && row.DisabledAt.IsZero() && admins <= 1 {
			return mailroom.E(mailroom.Conflict, "user.error.last_admin")
		}
		row.DisabledAt = p.now()
		row.SessionEpoch++
		return nil
	})
}

// EnableUser lets a disabled user in again and goes on with their sync.
func (p *Portal) EnableUser(ctx context.Context, u mailroom.User, id string) error {
	return p.changeUser(ctx, u, id, "user.enabled", nil, func(row *mailroom.User, _ int) error {
		row.DisabledAt = mailroom.FromMicros(0)
		return nil
	})
}

// ResetPassword gives a user a generated password, which is shown once, and
// ends their sessions.
func (p *Portal) ResetPassword(ctx context.Context, u mailroom.User, id string) (password string, err error) {
	if !u.IsAdmin() {
		return "", forbidden()
	}
	password = newPassword()
	if err := p.SetPassword(ctx, u, id, password); err != nil {
		return "", err
	}
	return password, nil
}

// SetPassword gives a user a password and ends their sessions. No page leads
// here: it is the operator's, on the command line.
func (p *Portal) SetPassword(ctx context.Context, u mailroom.User, id, password string) error {
	if !u.IsAdmin() {
		return forbidden()
	}
	if err := checkPassword("password", password, ""); err != nil {
		return err
	}
	hash, err := p.passwords.hash(ctx, password)
	if err != nil {
		return err
	}
	return p.changeUser(ctx, u, id, "user.password_reset", nil, func(row *mailroom.User, _ int) error {
		row.PasswordHash = hash
		row.SessionEpoch++
		return nil
	})
}

func (p *Portal) changeUser(ctx context.Context, u mailroom.User, id, action string, details map[string]any, change func(*mailroom.User, int) error) error {
	if !u.IsAdmin() {
		return forbidden()
	}
	return p.d.Store.ChangeUser(ctx, u.OrgID, id, change, p.event(u, action, id, details))
}

func validRole(r mailroom.Role) bool {
	return r == mailroom.Recruiter || r == mailroom.Administrator
}

// Lengths of a password, in characters and octets. The upper bound only keeps
// somebody from sending us megabytes to hash.
const (
	minPassword = 12
	maxPassword = 1024
)

func checkPassword(field, password, email string) error {
	switch {
	case utf8.RuneCountInString(password) < minPassword:
		return invalid(field, "user.error.password_short").With("min", minPassword)
	case len(password) > maxPassword:
		return invalid(field, "user.error.password_long").With("max", maxPassword)
	case strings.EqualFold(password, email):
		return invalid(field, "user.error.password_email")
	}
	return nil
}

// newPassword is a generated one: 80 random bits in a form that can be read out.
func newPassword() string {
	const alphabet = "abcdefghjkmnpqrstuvwxyz23456789x" // 32, without look-alikes
	var raw [16]byte
	rand.Read(raw[:])
	var b strings.Builder
	for i, c := range raw {
		if i > 0 && i%4 == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(alphabet[c%32])
	}
	return b.String()
}

func sameHash(a, b string) bool {
	return a != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}

// checkName is a name as typed, with single spaces: 1 to 200 characters.
func checkName(field, name, key string) (string, error) {
	name = strings.Join(strings.Fields(name), " ")
	if name == "" || utf8.RuneCountInString(name) > 200 || !utf8.ValidString(name) {
		return "", invalid(field, key)
	}
	return name, nil
}

// checkAddress is a mail address in normal form. Only what stands in an
// envelope is an address here: no display name, no quoted local part, a dot or
// not in the domain (companies do have inner domains without).
func checkAddress(field, address, key string) (string, error) {
	a := mailroom.NormalAddress(address)
	parsed, err := mail.ParseAddress(a)
	at := strings.LastIndexByte(a, '@')
	if err != nil || parsed.Address != a || at <= 0 || at == len(a)-1 || len(a) > 254 || strings.ContainsAny(a, " \t\r\n\"<>,;()") {
		return "", invalid(field, key).With("address", address)
	}
	return a, nil
}
