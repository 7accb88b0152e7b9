package world_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"golang.org/x/oauth2"

	"mailroom/internal/mailroom"
	"mailroom/internal/pretend/issuer"
	"mailroom/internal/pretend/world"
)

const redirect = "http://127.0.0.1:8080/oauth/microsoft/callback"

func start(t *testing.T, opts world.Options) *world.World {
	t.Helper()
	opts.RedirectURIs = []string{"http://127.0.0.1/oauth/microsoft/callback"}
	if opts.Large == 0 {
		opts.Large = 300
	}
	w, err := world.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// config is what a client makes of the provider's data.
func config(p mailroom.Provider) *oauth2.Config {
	return &oauth2.Config{ClientID: p.ClientID, ClientSecret: p.ClientSecret, RedirectURL: redirect, Scopes: p.Scopes,
		Endpoint: oauth2.Endpoint{AuthURL: p.AuthURL, TokenURL: p.TokenURL, AuthStyle: oauth2.AuthStyleInParams}}
}

func grant(t *testing.T, w *world.World, email string) (*oauth2.Token, error) {
	t.Helper()
	cfg := config(w.Provider())
	verifier := oauth2.GenerateVerifier()
	cb, err := w.Issuer.Code(cfg.AuthCodeURL("s", oauth2.S256ChallengeOption(verifier)), email)
	if err != nil {
		t.Fatal(err)
	}
	if e := cb.Query().Get("error"); e != "" {
		return nil, errors.New(e + " " + cb.Query().Get("error_description"))
	}
	return cfg.Exchange(context.Background(), cb.Query().Get("code"), oauth2.VerifierOption(verifier))
}

type xoauth2 struct{ user, token string }

func (x xoauth2) Start() (string, []byte, error) {
	return "XOAUTH2", []byte("user=" + x.user + "\x01auth=Bearer " + x.token + "\x01\x01"), nil
}
func (x xoauth2) Next([]byte) ([]byte, error) { return []byte{}, nil }

func signIn(t *testing.T, w *world.World, user, token string, opts *imapclient.Options) *imapclient.Client {
	t.Helper()
	if opts == nil {
		opts = &imapclient.Options{}
	}
	opts.TLSConfig = &tls.Config{RootCAs: w.IMAP.CAPool()}
	c, err := imapclient.DialTLS(w.IMAP.TLSAddr(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.Authenticate(xoauth2{user, token}); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestARecruiterGrantsAndReads(t *testing.T) {
	w := start(t, world.Options{})
	sanne, thomas := w.Users[0], w.Users[1]
	tok, err := grant(t, w, sanne.Email)
	if err != nil {
		t.Fatal(err)
	}
	c := signIn(t, w, sanne.Mailbox, tok.AccessToken, nil)
	sel, err := c.Select("INBOX", &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil || sel.NumMessages < 80 {
		t.Fatal(sel, err)
	}
	list, err := c.List("", "*", nil).Collect()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range list {
		names = append(names, l.Mailbox)
	}
	for _, want := range []string{"Sent Items", "Projecten/Détachering – Zürich", "Calendar", "Outbox"} {
		if !slices.Contains(names, want) {
			t.Errorf("%q is missing from %v", want, names)
		}
	}

	// A genuine token does not open somebody else's mailbox.
	other := signIn(t, w, thomas.Mailbox, tok.AccessToken, nil)
	if _, err := other.List("", "*", nil).Collect(); err == nil || !strings.Contains(err.Error(), "authenticated but not connected") {
		t.Errorf("another's mailbox: %v", err)
	}

	tok, err = grant(t, w, thomas.Email)
	if err != nil {
		t.Fatal(err)
	}
	d := signIn(t, w, thomas.Mailbox, tok.AccessToken, nil)
	list, err = d.List("", "Verzonden items", nil).Collect()
	if err != nil || len(list) != 1 || slices.Contains(list[0].Attrs, imap.MailboxAttrSent) {
		t.Errorf("the Dutch sent folder: %+v %v", list, err)
	}
	total := 0
	for _, f := range w.IMAP.Account(thomas.Mailbox).Folders() {
		if !slices.Contains([]string{"Agenda", "Contactpersonen", "Logboek", "Notities", "Postvak UIT", "Taken"}, f.Name) {
			total += len(f.UIDs)
		}
	}
	if total != 30 {
		t.Errorf("the small mailbox holds %d mails", total)
	}
}

func TestNewMailArrivesWhileIdling(t *testing.T) {
	w := start(t, world.Options{})
	u := w.Users[0]
	tok, err := grant(t, w, u.Email)
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan uint32, 100)
	c := signIn(t, w, u.Mailbox, tok.AccessToken, &imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(d *imapclient.UnilateralDataMailbox) {
			if d.NumMessages != nil {
				told <- *d.NumMessages
			}
		},
	}})
	sel, err := c.Select("INBOX", &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil {
		t.Fatal(err)
	}
	idle, err := c.Idle()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	subjects := map[string]bool{}
	known := 0
	for range 40 {
		now = now.Add(3 * time.Minute)
		m, err := w.Arrive(now, u.Mailbox)
		if err != nil {
			t.Fatal(err)
		}
		subjects[m.Subject] = true
		if m.Person != "" {
			known++
		}
		stored, ok := w.IMAP.Account(u.Mailbox).Stored("INBOX", m.UID)
		if !ok || !strings.Contains(string(stored.Raw.Bytes()), "<"+m.MessageID+">") || len(stored.Flags) != 0 {
			t.Errorf("arrived: %+v", m)
		}
	}
	for want := sel.NumMessages + 40; ; {
		select {
		case n := <-told:
			if n == want {
				if err := idle.Close(); err != nil {
					t.Error(err)
				}
				if len(subjects) < 30 || known < 8 {
					t.Errorf("%d different subjects, %d of known people", len(subjects), known)
				}
				return
			}
		case <-time.After(5 * time.Second):
			t.Fatal("not told of every mail")
		}
	}
}

func TestRestartWithTheSameNowKeepsMailAndGivesNoUIDTwice(t *testing.T) {
	now := time.Now().Add(-time.Hour)
	inbox := func() (uint32, []uint32, uint32) {
		w := start(t, world.Options{Now: now})
		m, err := w.Arrive(time.Now(), w.Users[0].Mailbox)
		if err != nil {
			t.Fatal(err)
		}
		f := w.IMAP.Account(w.Users[0].Mailbox).Folders()[0]
		return f.UIDValidity, f.UIDs, m.UID
	}
	v1, uids1, new1 := inbox()
	v2, uids2, new2 := inbox()
	if v1 != v2 || !slices.Equal(uids1[:len(uids1)-1], uids2[:len(uids2)-1]) {
		t.Error("the mailbox is another one after a restart")
	}
	if new1 < 100_000+3600 || new2 < new1 {
		t.Errorf("arrivals got UIDs %d and %d", new1, new2)
	}
}

func TestEveryPlayPlays(t *testing.T) {
	w := start(t, world.Options{Huge: 60})
	want := map[string]string{
		"needs-admin": "access_denied AADSTS90094", "declined": "access_denied AADSTS65004", "not-assigned": "access_denied AADSTS50105",
		"blocked": "53003", "mfa": "ok", "revoked": "ok", "no-refresh": "ok", "fewer-scopes": "not connected", "alias": "ok", "imap-off": "not connected",
		"no-mailbox": "not connected", "slow": "ok", "throttled": "Suggested Backoff Time: 300000", "renumbered": "ok", "huge": "ok", "quirks": "ok",
		"wrong-account": "not connected", "expired": "ok", "provider-down": "503 Service Unavailable", "provider-slow": "ok", "malformed": "missing access_token",
	}
	w.Issuer.SetPlay("provider-slow@"+world.Domain, issuer.Play{}) // as slow@ below
	for _, p := range w.Plays {
		name, _, _ := strings.Cut(p.Address, "@")
		got := "ok"
		if a := w.IMAP.Account(p.Address); a != nil {
			f := a.Faults()
			f.Delay, f.FetchDelay = 0, 0 // slow@ would take a minute
			f.OddLogin = false           // go-imap's client hangs up on an odd response code
			a.SetFaults(f)
		}
		if err := walk(t, w, p.Address); err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want[name]) || (want[name] == "ok" && got != "ok") || want[name] == "" {
			t.Errorf("%s: %s, want %q", name, got, want[name])
		}
		if p.What == "" {
			t.Errorf("%s says nothing of itself", name)
		}
	}
	if len(w.Plays) != len(want) {
		t.Errorf("%d plays", len(w.Plays))
	}
	if sent := w.IMAP.Account("huge@" + world.Domain).Folders()[0]; len(sent.UIDs) > 0 {
		m, _ := w.IMAP.Account("huge@"+world.Domain).Stored("INBOX", sent.UIDs[len(sent.UIDs)-1])
		if m.Raw.Len() < 160<<20 {
			t.Errorf("the enormous mail has %d bytes", m.Raw.Len())
		}
	}
}

// walk grants, signs in and reads the inbox but for its largest mail.
func walk(t *testing.T, w *world.World, address string) error {
	tok, err := grant(t, w, address)
	if err != nil {
		return err
	}
	c := signIn(t, w, address, tok.AccessToken, nil)
	if _, err := c.Select("INBOX", &imap.SelectOptions{ReadOnly: true}).Wait(); err != nil {
		return err
	}
	_, err = c.Fetch(imap.SeqSet{{Start: 1, Stop: 45}}, &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{{Peek: true, Specifier: imap.PartSpecifierText, Partial: &imap.SectionPartial{Size: 100}}}}).Collect()
	return err
}

func TestOtherServerTakesAnAppPassword(t *testing.T) {
	w := start(t, world.Options{})
	c, err := imapclient.DialInsecure(w.Other.Addr(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Login(w.OtherUser.Address, w.OtherUser.Password).Wait(); err != nil {
		t.Fatal(err)
	}
	if sel, err := c.Select("INBOX", nil).Wait(); err != nil || sel.NumMessages == 0 {
		t.Error(sel, err)
	}
}

func TestRunArrivalsEndsWithItsContext(t *testing.T) {
	w := start(t, world.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	inbox := w.IMAP.Account(w.Users[1].Mailbox)
	before := inbox.Folders()[0].UIDNext
	go func() { done <- w.RunArrivals(ctx, 0, time.Millisecond) }()
	for changed := inbox.Changed(); inbox.Folders()[0].UIDNext < before+3; changed = inbox.Changed() {
		select {
		case <-changed:
		case <-time.After(5 * time.Second):
			t.Fatal("no mail came")
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestRevokedAccountLosesItsMailboxConnection(t *testing.T) {
	w := start(t, world.Options{})
	tok, err := grant(t, w, w.Users[0].Email)
	if err != nil {
		t.Fatal(err)
	}
	w.Issuer.RevokeAccount(w.Users[0].Email)
	c, err := imapclient.DialTLS(w.IMAP.TLSAddr(), &imapclient.Options{TLSConfig: &tls.Config{RootCAs: w.IMAP.CAPool()}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Authenticate(xoauth2{w.Users[0].Mailbox, tok.AccessToken}); err == nil {
		t.Error("a revoked token still signs in")
	}
	if r := issuer.Revoked(); r.Code != 50173 {
		t.Error(r)
	}
}

func TestTheDirectorySaysWhatTheProviderDoes(t *testing.T) {
	w := start(t, world.Options{})
	p := w.Provider()
	directory := oauth2.Config{ClientID: w.DoctorID, ClientSecret: w.DoctorSecret, RedirectURL: "http://127.0.0.1:8080/doctor/callback/microsoft", Scopes: p.Directory.Scopes,
		Endpoint: oauth2.Endpoint{AuthURL: p.AuthURL, TokenURL: p.TokenURL, AuthStyle: oauth2.AuthStyleInParams}}
	w.Issuer.Change(w.DoctorID, func(c *issuer.Client) { c.RedirectURIs = []string{directory.RedirectURL} })
	verifier := oauth2.GenerateVerifier()
	ask := directory.AuthCodeURL("s", oauth2.S256ChallengeOption(verifier))
	if cb, err := w.Issuer.Code(ask, w.Users[0].Email); err != nil || cb.Query().Get("error") != "access_denied" {
		t.Errorf("a recruiter may have the directory read: %v %v", cb, err)
	}
	cb, err := w.Issuer.Code(ask, w.ITAdmin)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := directory.Exchange(t.Context(), cb.Query().Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	read := func(path string) string {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.Graph.URL()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+tok.AccessToken)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != 200 {
			t.Fatalf("%s: %d %v %s", path, res.StatusCode, err, b)
		}
		return string(b)
	}
	if app := read("/servicePrincipals(appId='" + w.Issuer.ClientID + "')"); !strings.Contains(app, `"appRoleAssignmentRequired":true`) {
		t.Errorf("the application: %s", app)
	}
	w.SetUsersConsent(false)
	if policy := read("/policies/authorizationPolicy"); !strings.Contains(policy, "default-recommended") {
		t.Errorf("the policy: %s", policy)
	}
	if _, err := grant(t, w, w.Users[0].Email); err == nil {
		t.Error("users may not consent, and one did")
	}
	w.Issuer.GrantAdminConsent(true)
	if _, err := grant(t, w, w.Users[0].Email); err != nil {
		t.Errorf("after an administrator's consent: %v", err)
	}
	w.Assign(w.Users[0].Email, false)
	if _, err := grant(t, w, w.Users[0].Email); err == nil || !strings.Contains(err.Error(), "50105") {
		t.Errorf("taken off the list: %v", err)
	}
	w.License(w.Users[1].Email, false)
	if plans := read("/users/" + w.Users[1].Email + "/licenseDetails"); strings.Contains(plans, "EXCHANGE_S_STANDARD") || !strings.Contains(plans, "EXCHANGE_S_FOUNDATION") {
		t.Errorf("the licence: %s", plans)
	}
	if err := walk(t, w, w.Users[1].Email); err == nil || !strings.Contains(err.Error(), "not connected") {
		t.Errorf("without a licence: %v", err)
	}
}
