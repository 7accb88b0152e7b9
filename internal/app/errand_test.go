package app_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mailroom/internal/app"
	"mailroom/internal/mailroom"
	"mailroom/internal/peers"
	"mailroom/internal/portal"
	"mailroom/internal/pretend/world"
)

// ground is a world in which the errand can be done: a provider, a mail server
// and a recruiter's mailbox with mail of somebody that the agency knows.
type ground struct {
	roots     *x509.CertPool // nil for the system's
	providers mailroom.Providers
	mailbox   string
	people    []byte // CSV
	// known is the subject of a mail in the inbox from person.
	known, person string
	consent       func(b *browser)        // from the provider's first page back to ours
	deliver       func() (subject string) // a new mail from somebody known
	watched       func() bool             // somebody is signed in to the mailbox
	unchanged     func(t *testing.T)      // nothing changed the mailbox
	sent          string                  // IMAP name of the sent folder
}

// TestErrand does the main job of Mailroom in a browser, as a recruiter and as
// an administrator.
func TestErrand(t *testing.T) {
	t.Run("Dovecot and an OpenID provider, SQLite", func(t *testing.T) { errand(t, realGround(t), "") })
	t.Run("Dovecot and an OpenID provider, PostgreSQL", func(t *testing.T) { errand(t, realGround(t), peers.Postgres(t)) })
	t.Run("the pretend world, SQLite", func(t *testing.T) { errand(t, pretendGround(t), "") })
}

func errand(t *testing.T, g ground, database string) {
	a := start(t, g, database)
	admin, recruiter := settle(t, a, g)

	b := newBrowser(t, a.URL())
	b.signIn(recruiter)

	// 1. Username.
	b.open("/settings/integrations")
	b.see("Mail - Incoming IMAP Username", "Mail - Incoming IMAP Password (SE2936)", "Mail - IMAP Incoming - oAuth 2.0 activation", "Mail - IMAP Folders Mapping")
	b.fill("#username input[name=address]", g.mailbox)
	b.click("#username button")
	b.see(g.mailbox)

	// 2. Grant Permission, at the provider and back.
	b.open("/settings/integrations/oauth")
	b.click("input[name=account][value^=outlook]")
	b.press("Grant Permission")
	g.consent(b)
	b.see("It worked: permission is granted.", "Revoke Permission", g.mailbox)
	b.sane()

	// 3. Live folders, two rows ready, Save Mappings.
	b.press("Next: map folders")
	b.at("/settings/integrations/mapping")
	b.see("Inbox (", g.sent)
	b.press("Save Mappings")
	b.see("The mappings are saved")

	// 4. The mail is in the OTYS mailbox, linked.
	b.open("/mail")
	b.see(g.known, g.person)
	b.sane()
	b.press(g.known)
	b.at("/mail/msg_")
	b.see(g.person, g.mailbox)
	b.sane()

	// 5. A mail delivered afterwards appears without a click.
	b.open("/mail")
	b.see(g.known)
	fresh := g.deliver()
	b.see(fresh)

	// 6. The administrator sees it.
	boss := newBrowser(t, a.URL())
	boss.signIn(admin)
	boss.open("/admin/sync")
	boss.see(g.mailbox, "Up to date")
	boss.sane()

	// 7. Revoke stops it; mapping and mail stay.
	b.open("/settings/integrations/oauth")
	b.press("Revoke Permission")
	b.see("Revoke permission?")
	b.press("Revoke Permission")
	b.see("Permission is revoked and the sync has stopped.", "Our connections to the mailbox are closed.")
	within(t, "the connection to the mailbox is dropped", func() bool { return !g.watched() })
	late := g.deliver()
	b.open("/settings/integrations/mapping")
	b.see(g.sent)
	b.open("/mail")
	b.see(fresh)
	if strings.Contains(b.text(), late) {
		t.Error("mail came in after permission was revoked")
	}
	g.unchanged(t)
}

// start runs a Mailroom on loopback until the test ends.
func start(t *testing.T, g ground, database string) *app.App {
	t.Helper()
	cfg := app.Defaults()
	cfg.Addr, cfg.Data, cfg.Database = "127.0.0.1:0", filepath.Join(t.TempDir(), "data"), database
	cfg.Poll = 5 * time.Second
	var logged bytes.Buffer
	cfg.Log = slog.New(slog.NewJSONHandler(&logged, nil))
	cfg.Providers, cfg.RootCAs = g.providers, g.roots
	a, err := app.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Mailroom stopped with %v", err)
		}
		secretsStayOut(t, logged.String(), g)
	})
	return a
}

// secretsStayOut: no address, subject, token or password at info level.
func secretsStayOut(t *testing.T, logged string, g ground) {
	for _, secret := range []string{g.mailbox, g.known, "eyJ", "Bearer", "code=", "state="} {
		if strings.Contains(logged, secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	if t.Failed() {
		t.Log(logged)
	}
}

type account struct{ email, password string }

// settle makes the organization through the one-time link, and a recruiter.
func settle(t *testing.T, a *app.App, g ground) (admin, recruiter account) {
	t.Helper()
	ctx := t.Context()
	admin, recruiter = account{"boss@portal.example", "a long admin password"}, account{"recruiter@portal.example", "a long recruiter password"}
	link, err := a.SetupLink(ctx)
	if err != nil || link == "" {
		t.Fatal("no set-up link", err)
	}
	b := newBrowser(t, a.URL())
	b.open(strings.TrimPrefix(link, a.URL()))
	b.fill("input[name=organization]", "Agency")
	b.fill("input[name=name]", "Boss")
	b.fill("input[name=email]", admin.email)
	b.fill("input[name=password]", admin.password)
	b.submit("form[action='/setup']")
	b.see("Sync state")
	if again, _ := a.SetupLink(ctx); again != "" {
		t.Error("the set-up link works twice")
	}
	boss, err := a.Portal.SignIn(ctx, admin.email, admin.password)
	if err != nil {
		t.Fatal(err)
	}
	u, _, err := a.Portal.AddUser(ctx, boss, portal.UserForm{Email: recruiter.email, Name: "Rik", Role: mailroom.Recruiter})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Portal.SetPassword(ctx, boss, u.ID, recruiter.password); err != nil {
		t.Fatal(err)
	}
	report, err := a.Portal.ImportPeople(ctx, boss, bytes.NewReader(g.people))
	if err != nil || len(report.Bad) > 0 {
		t.Fatal(err, report.Bad)
	}
	return admin, recruiter
}

// realGround is made of servers that nobody here wrote.
func realGround(t *testing.T) ground {
	const mailbox, client, secret = "rik@agency.example", "mailroom", "client-secret"
	op := peers.OIDCProvider(t, peers.OIDCOptions{Clients: []peers.OIDCClient{{
		ID: client, Secret: secret, RedirectURIs: []string{"http://127.0.0.1/oauth/callback/microsoft"},
	}}})
	d := peers.Dovecot(t, peers.DovecotOptions{OAuth: op.DovecotOAuth()})
	began := time.Now().Add(-24 * time.Hour)
	mail := func(n int, subject string) peers.Mail {
		at := began.Add(time.Duration(n) * time.Minute)
		return peers.Mail{Date: at, Raw: fmt.Appendf(nil, "From: Carla Candidate <carla@home.example>\r\nTo: %s\r\nMessage-ID: <%d@home.example>\r\nDate: %s\r\nSubject: %s\r\n\r\nHello Rik, this is mail %d.\r\n",
			mailbox, n, at.Format(time.RFC1123Z), subject, n)}
	}
	var inbox []peers.Mail
	for n := range 60 {
		inbox = append(inbox, mail(n, fmt.Sprintf("My application %d", n)))
	}
	d.Deliver(mailbox, "INBOX", inbox...)
	d.Deliver(mailbox, "Sent", peers.Mail{Raw: fmt.Appendf(nil, "From: %s\r\nTo: carla@home.example\r\nMessage-ID: <s@agency.example>\r\nSubject: Invitation\r\n\r\nDear Carla\r\n", mailbox), Flags: []string{`\Seen`}})
	before := d.Snapshot(mailbox)
	d.ForgetCommands()
	next := 100
	return ground{
		mailbox: mailbox, known: "My application 59", person: "Carla Candidate", sent: "Sent",
		people: []byte("kind,name,emails,company,reference\ncandidate,Carla Candidate,carla@home.example,,C1\n"),
		providers: mailroom.Providers{{
			ID: "microsoft", Name: "Outlook", Kind: mailroom.Outlook, Issuer: op.Issuer, AuthURL: op.AuthURL, TokenURL: op.TokenURL,
			DiscoveryURL: op.Issuer + "/.well-known/openid-configuration", RevokeURL: op.RevocationURL,
			ClientID: client, ClientSecret: secret, Scopes: []string{"openid", "email", "profile", "offline_access", peers.ScopeOutlookIMAP},
			AuthParams: map[string]string{"prompt": "consent"}, SubjectClaims: []string{"sub"}, AddressClaims: []string{"email"},
			IMAP: mailroom.Endpoint{Host: d.Host, Port: d.Port, TLS: mailroom.PlainText}, SASL: []string{"XOAUTH2"}, MaxConnections: 2, Loopback: true,
		}},
		consent: func(b *browser) {
			b.wait("#login")
			b.click("#signin")
			b.click("#consent")
		},
		deliver: func() string {
			next++
			subject := fmt.Sprintf("Fresh from the errand %d", next)
			d.Deliver(mailbox, "INBOX", mail(next, subject))
			return subject
		},
		watched: func() bool { return d.Connections(mailbox) > 0 },
		unchanged: func(t *testing.T) {
			if cmds := d.ChangingCommands(); len(cmds) > 0 {
				t.Errorf("commands that change the mailbox: %v", cmds)
			}
			after := d.Snapshot(mailbox)
			for folder, was := range before {
				for uid, flags := range was.Flags {
					if now, ok := after[folder].Flags[uid]; !ok || !slices.Equal(now, flags) {
						t.Errorf("%s uid %d: flags %v became %v", folder, uid, flags, now)
					}
				}
			}
		},
	}
}

// pretendGround is the demo's world.
func pretendGround(t *testing.T) ground {
	w, err := world.Start(world.Options{Large: 300, RedirectURIs: []string{"http://127.0.0.1/oauth/callback/microsoft"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	mailbox := w.Users[0].Mailbox
	arrive := func() world.Mail {
		for {
			m, err := w.Arrive(time.Now(), mailbox)
			if err != nil {
				t.Fatal(err)
			}
			if m.Person != "" { // strangers write too
				return m
			}
		}
	}
	first := arrive()
	return ground{
		mailbox: mailbox, people: w.PeopleCSV(), known: first.Subject, person: first.Person, sent: "Sent Items",
		providers: mailroom.Providers{w.Provider()},
		consent: func(b *browser) {
			b.click("[data-account='" + mailbox + "']")
			b.click("#consent-accept")
		},
		deliver: func() string { return arrive().Subject },
		watched: func() bool { return w.IMAP.Connections(mailbox) > 0 },
		unchanged: func(t *testing.T) {
			if cmds := w.IMAP.Mutating(); len(cmds) > 0 {
				t.Errorf("commands that change the mailbox: %v", cmds)
			}
		},
	}
}

func within(t *testing.T, what string, true func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for tick := time.NewTicker(50 * time.Millisecond); !true(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited too long until %s", what)
		}
	}
}
