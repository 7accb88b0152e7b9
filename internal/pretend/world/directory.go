package world

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"mailroom/internal/pretend/graph"
	"mailroom/internal/pretend/issuer"
)

// What the two registrations ask for (docs/providers.md 2).
var (
	mailScopes      = []string{IMAPScope, "offline_access", "openid", "email", "profile"}
	directoryScopes = []string{"https://graph.microsoft.com/Directory.Read.All", "https://graph.microsoft.com/Policy.Read.All", "openid", "profile"}
	selfScopes      = []string{"https://graph.microsoft.com/User.Read", "openid", "profile"}
)

// callbacks are the addresses of another purpose beside those of the grant.
func callbacks(uris []string, purpose string) []string {
	var out []string
	for _, u := range uris {
		if before, after, ok := strings.Cut(u, "/oauth/callback/"); ok {
			out = append(out, before+"/"+purpose+"/callback/"+after)
		}
	}
	return out
}

// registerDoctor makes the second registration, which may read the directory and no mail.
func (w *World) registerDoctor(opts Options) {
	w.DoctorID, w.DoctorSecret = registration(opts.Seed, "doctor")
	w.Issuer.AddClient(issuer.Client{
		ID: w.DoctorID, Name: "Mailroom Doctor", Secrets: []issuer.Secret{{Value: w.DoctorSecret}},
		RedirectURIs: callbacks(opts.RedirectURIs, "doctor"), Scopes: slices.Concat(directoryScopes, selfScopes),
	})
}

// registration is a client id in the form of a GUID and a secret, equal for equal seeds.
func registration(seed uint64, name string) (id, secret string) {
	h := fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "registration %s %d", name, seed)))
	return fmt.Sprintf("%s-%s-4%s-8%s-%s", h[:8], h[8:12], h[12:15], h[15:18], h[18:30]), "pretend~" + h[30:]
}

// everybody is the group whose members are assigned to the application.
const everybody = "Mailroom users"

// openDirectory starts the directory, which knows the accounts that the provider has: all are assigned to
// the application but not-assigned@, and all have a licence with a mailbox but those without one.
func (w *World) openDirectory(opts Options) (err error) {
	group, tenant := graph.Group{Name: everybody}, graph.Tenant{Policies: []string{graph.Legacy}, Requests: true, Reviewers: 1}
	for _, a := range w.Issuer.Accounts() {
		u := graph.User{Email: a.Email, Name: a.Name, ObjectID: a.ID(), Licences: []graph.Licence{graph.Basic()}}
		if w.IMAP.Account(a.Email) != nil {
			u.Licences = []graph.Licence{graph.Business()}
		}
		if a.Play.Username != "" {
			u.Aliases = []string{a.Play.Username}
		}
		tenant.Users = append(tenant.Users, u)
		if a.Email != notAssigned+"@"+Domain {
			group.Members = append(group.Members, a.Email)
		}
	}
	tenant.Groups = []graph.Group{group}
	tenant.Apps = []graph.App{{AppID: w.Issuer.ClientID, Name: "Mailroom", AssignmentRequired: true, Assigned: []string{everybody}}}
	consents := func(of func(client string) []string) map[string][]string {
		out := map[string][]string{}
		for _, id := range []string{w.Issuer.ClientID, w.DoctorID} {
			if scopes := of(id); len(scopes) > 0 {
				out[id] = scopes
			}
		}
		return out
	}
	w.Graph, err = graph.Start(graph.Options{Addr: opts.GraphAddr, Tenant: tenant, Log: opts.Log, Read: w.reader,
		Consented: func() map[string][]string {
			return consents(func(id string) []string { return w.Issuer.AdminConsent(id, w.Issuer.TenantID) })
		},
		ConsentedBy: func(email string) map[string][]string {
			return consents(func(id string) []string { return w.Issuer.UserConsent(id, email) })
		}})
	return err
}

func (w *World) reader(token string) (graph.Reader, bool) {
	t, ok := w.Issuer.Introspect(token)
	return graph.Reader{Email: t.Email, Scopes: t.Scopes}, ok
}
