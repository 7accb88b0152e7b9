package graph

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
)

// MailService is the application id of Exchange Online, the same in every tenant.
const MailService = "00000002-0000-0ff1-ce00-000000000000"

// graphService is the application id of Microsoft Graph, which holds the
// OpenID Connect scopes.
const graphService = "00000003-0000-0000-c000-000000000000"

// Tenant is a directory. The zero value is empty: no user, no application, and
// users who may not consent to anything.
type Tenant struct {
	Users  []User
	Groups []Group
	Apps   []App
	// Policies by which ordinary users may consent: Recommended, Legacy, Low or
	// one of the tenant's own; none for nobody may.
	Policies []string
	// Requests is the admin consent workflow, with so many reviewers.
	Requests  bool
	Reviewers int
	// WithoutExchange: the tenant has no Exchange Online at all.
	WithoutExchange bool
}

// What a tenant's consent setting can be.
const (
	Recommended = "ManagePermissionGrantsForSelf.microsoft-user-default-recommended" // the default: not for IMAP
	Legacy      = "managePermissionGrantsForSelf.microsoft-user-default-legacy"      // users may
	Low         = "ManagePermissionGrantsForSelf.microsoft-user-default-low"
)

// User is a person, or the account behind a shared mailbox.
type User struct {
	Email    string
	Name     string
	SignIn   string   // userPrincipalName; Email if empty
	Aliases  []string // further addresses
	Disabled bool
	Licences []Licence
	ObjectID string // made of Email if empty
}

// Group of users and groups, by address and by name.
type Group struct {
	Name    string
	Members []string // addresses of users, names of groups
}

// App is an application as this tenant has it.
type App struct {
	AppID              string
	Name               string
	Disabled           bool
	DisabledByVendor   string // disabledByMicrosoftStatus
	AssignmentRequired bool
	Assigned           []string // addresses of users, names of groups
	// Consents: for everybody, or of one user.
	Consents []Consent
}

// Consent is a permission grant.
type Consent struct {
	User    string // address; "" for everybody
	Service string // application id; MailService if empty
	Scopes  []string
}

// Licence with its plans.
type Licence struct {
	Name  string
	Plans []Plan
}

// Plan is one service of a licence.
type Plan struct {
	ID, Name, Status, AppliesTo string // Status "Success" and AppliesTo "User" if empty
}

// Plans that tests and the demo need.
var (
	Exchange   = Plan{ID: "9aaf7827-d63c-4b61-89c3-182f06f82e5c", Name: "EXCHANGE_S_STANDARD"}
	Foundation = Plan{ID: "113feb6c-3fe4-4440-bddc-54d774bf0318", Name: "EXCHANGE_S_FOUNDATION", AppliesTo: "Company"}
	Teams      = Plan{ID: "57ff2da0-773e-42df-b2af-ffb7a2317929", Name: "TEAMS1"}
)

// Business is a licence with a mailbox, Basic one without.
func Business() Licence {
	return Licence{Name: "O365_BUSINESS_PREMIUM", Plans: []Plan{Teams, Exchange, Foundation}}
}

// Basic is a licence that holds no mailbox.
func Basic() Licence { return Licence{Name: "POWER_BI_STANDARD", Plans: []Plan{Foundation}} }

// User finds a person by address; nil if there is none.
func (t *Tenant) User(email string) *User {
	i := slices.IndexFunc(t.Users, func(u User) bool { return strings.EqualFold(u.Email, email) })
	if i < 0 {
		return nil
	}
	return &t.Users[i]
}

// App finds an application by its client id; nil if the tenant never had it.
func (t *Tenant) App(appID string) *App {
	i := slices.IndexFunc(t.Apps, func(a App) bool { return strings.EqualFold(a.AppID, appID) })
	if i < 0 {
		return nil
	}
	return &t.Apps[i]
}

// Consent is what an administrator does for everybody: the application comes
// into the tenant, if it was not there, with these scopes of the mail service. What had
// been consented before for everybody is replaced, as at Microsoft.
func (t *Tenant) Consent(appID, name string, scopes ...string) {
	t.consentBy("", appID, name, scopes...)
}

// consentBy is the same of one user, or for "" of everybody.
func (t *Tenant) consentBy(user, appID, name string, scopes ...string) {
	a := t.App(appID)
	if a == nil {
		t.Apps = append(t.Apps, App{AppID: appID, Name: name})
		a = t.App(appID)
	}
	a.Consents = slices.DeleteFunc(a.Consents, func(c Consent) bool { return strings.EqualFold(c.User, user) })
	byService := map[string][]string{}
	for _, s := range scopes {
		service, short := MailService, s[strings.LastIndexByte(s, '/')+1:]
		if slices.Contains([]string{"openid", "email", "profile", "offline_access"}, short) || strings.HasPrefix(s, "https://graph.microsoft.com/") {
			service = graphService
		}
		byService[service] = append(byService[service], short)
	}
	for _, service := range []string{MailService, graphService} {
		if s := byService[service]; s != nil {
			a.Consents = append(a.Consents, Consent{User: user, Service: service, Scopes: s})
		}
	}
}

func (u User) id() string {
	if u.ObjectID != "" {
		return u.ObjectID
	}
	return guid("user " + u.Email)
}

func (u User) signIn() string {
	if u.SignIn != "" {
		return u.SignIn
	}
	return u.Email
}

func groupID(name string) string    { return guid("group " + name) }
func serviceID(appID string) string { return guid("service principal " + appID) }

// principal is the id of a user by address, or of a group by name.
func (t *Tenant) principal(who string) (id, kind, name string) {
	if u := t.User(who); u != nil {
		return u.id(), "User", u.Name
	}
	return groupID(who), "Group", who
}

// groupsOf are the groups that a member is in, directly.
func (t *Tenant) groupsOf(member string) []string {
	var out []string
	for _, g := range t.Groups {
		if slices.ContainsFunc(g.Members, func(m string) bool { return strings.EqualFold(m, member) }) {
			out = append(out, g.Name)
		}
	}
	return out
}

// allGroupsOf are the groups that a member is in, through others too.
func (t *Tenant) allGroupsOf(member string) []string {
	out := t.groupsOf(member)
	for i := 0; i < len(out); i++ {
		for _, g := range t.groupsOf(out[i]) {
			if !slices.Contains(out, g) {
				out = append(out, g)
			}
		}
	}
	return out
}

// guid makes a stable GUID of a text.
func guid(text string) string {
	h := sha256.Sum256([]byte(strings.ToLower(text)))
	h[6], h[8] = h[6]&0x0f|0x40, h[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[0:4], h[4:6], h[6:8], h[8:10], h[10:16])
}
