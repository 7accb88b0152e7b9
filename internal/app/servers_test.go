package app_test

import (
	"fmt"
	"testing"

	"mailroom/internal/app"
	"mailroom/internal/mailroom"
	"mailroom/internal/peers"
	"mailroom/internal/portal"
)

// TestEveryKindOfServer syncs from servers with and without the extensions that
// Mailroom uses, by password and by either token mechanism, in the clear on
// loopback, by TLS and by STARTTLS: all mail is there, new mail comes by itself,
// nothing in the mailbox is changed.
func TestEveryKindOfServer(t *testing.T) {
	const owner = "rik@agency.example"
	for _, c := range []struct {
		name    string
		without []string
		tls     mailroom.TLSMode
		sasl    string // "" for a password
	}{
		{"with everything", nil, mailroom.PlainText, ""},
		{"as little as Exchange", []string{"CONDSTORE", "QRESYNC", "LIST-STATUS", "LIST-EXTENDED", "SPECIAL-USE", "ESEARCH"}, mailroom.PlainText, ""},
		{"without IDLE", []string{"IDLE"}, mailroom.PlainText, ""},
		{"over TLS", nil, mailroom.ImplicitTLS, ""},
		{"over STARTTLS", nil, mailroom.StartTLS, ""},
		{"XOAUTH2 over TLS", nil, mailroom.ImplicitTLS, "XOAUTH2"},
		{"OAUTHBEARER over TLS", nil, mailroom.ImplicitTLS, "OAUTHBEARER"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			opts := peers.DovecotOptions{Without: c.without, Users: map[string]string{owner: "secret"}}
			var op *peers.OIDCServer
			if c.sasl != "" {
				op = peers.OIDCProvider(t, peers.OIDCOptions{Clients: []peers.OIDCClient{{
					ID: "mailroom", Secret: "client-secret", RedirectURIs: []string{"http://127.0.0.1/oauth/callback/corp"}}}})
				opts = peers.DovecotOptions{OAuth: op.DovecotOAuth()}
			}
			d := peers.Dovecot(t, opts)
			var mails []peers.Mail
			for n := range 80 {
				mails = append(mails, numbered(owner, n))
			}
			d.Deliver(owner, "INBOX", mails...)
			d.Deliver(owner, "Sent", numbered(owner, 1000))
			d.ForgetCommands()

			at := mailroom.Endpoint{Host: d.Host, Port: d.Port, TLS: c.tls}
			if c.tls == mailroom.ImplicitTLS {
				at.Port = d.TLSPort
			}
			g := ground{mailbox: owner, known: "no such subject", roots: d.Cert.CA}
			if op != nil {
				g.providers = mailroom.Providers{{
					ID: "corp", Name: "Corp", Kind: mailroom.Other, Issuer: op.Issuer, AuthURL: op.AuthURL, TokenURL: op.TokenURL,
					DiscoveryURL: op.Issuer + "/.well-known/openid-configuration", ClientID: "mailroom", ClientSecret: "client-secret",
					Scopes:     []string{"openid", "email", "offline_access", peers.ScopeOutlookIMAP},
					AuthParams: map[string]string{"prompt": "consent"}, SubjectClaims: []string{"sub"}, AddressClaims: []string{"email"},
					IMAP: at, SASL: []string{c.sasl}, MaxConnections: 2, Loopback: true,
				}}
			}
			a := start(t, g, "")
			u := connected(t, a, owner, at, op)
			inOTYS(t, a, u, 81)
			d.Deliver(owner, "INBOX", numbered(owner, 2000))
			inOTYS(t, a, u, 82)
			if cmds := d.ChangingCommands(); len(cmds) > 0 {
				t.Errorf("commands that change the mailbox: %v", cmds)
			}
		})
	}
}

func numbered(to string, n int) peers.Mail {
	return peers.Mail{Raw: fmt.Appendf(nil, "From: carla@home.example\r\nTo: %s\r\nMessage-ID: <%d@home.example>\r\nSubject: Mail %d\r\n\r\nNumber %d.\r\n", to, n, n, n)}
}

// connected makes an organization with one user whose two folders are mapped: by
// password, or by a grant at op.
func connected(t *testing.T, a *app.App, owner string, at mailroom.Endpoint, op *peers.OIDCServer) mailroom.User {
	t.Helper()
	ctx := t.Context()
	u, err := a.Portal.AddOrganization(ctx, portal.SetupForm{Organization: "Agency", Name: "Rik", Email: owner, Password: "a long password"})
	must(t, err)
	must(t, a.Portal.SaveOrganization(ctx, u, portal.OrganizationForm{Name: "Agency", AllowPrivateHosts: true}))
	must(t, a.Portal.SaveAddress(ctx, u, owner, false))
	if op == nil {
		must(t, a.Portal.ChooseAccount(ctx, u, portal.AccountForm{Account: mailroom.Other, IMAP: at}))
		must(t, a.Portal.SavePassword(ctx, u, "secret"))
	} else {
		where, err := a.Portal.BeginGrant(ctx, u, "browser", portal.AccountForm{Account: mailroom.Other, ProviderID: "corp"})
		must(t, err)
		back := op.Authorize(where, owner).Query()
		_, err = a.Portal.FinishGrant(ctx, u, "browser", portal.Callback{ProviderID: "corp", State: back.Get("state"), Code: back.Get("code"), Issuer: back.Get("iss")})
		must(t, err)
	}
	page, err := a.Portal.RefreshFolders(ctx, u)
	must(t, err)
	if page.Problem != nil || len(page.Suggested) != 2 {
		t.Fatalf("problem %v, suggested %+v", page.Problem, page.Suggested)
	}
	must(t, a.Portal.SaveMappings(ctx, u, portal.MappingsForm{Version: page.Version, Rows: page.Suggested}))
	return u
}

// inOTYS waits until so many mails are in the OTYS mailbox and nothing waits.
func inOTYS(t *testing.T, a *app.App, u mailroom.User, want int64) {
	t.Helper()
	within(t, fmt.Sprintf("%d mails are stored", want), func() bool {
		page, err := a.Portal.MappingPage(t.Context(), u)
		must(t, err)
		var n int64
		for _, r := range page.Rows {
			if r.Progress.Problem != nil || page.Mailbox.Problem != nil {
				t.Fatalf("problem: %v %v", r.Progress.Problem, page.Mailbox.Problem)
			}
			n += r.Progress.Stored
		}
		return n == want
	})
}
