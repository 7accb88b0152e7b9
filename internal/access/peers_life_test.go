package access_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"golang.org/x/oauth2"

	"mailroom/internal/access"
	"mailroom/internal/imapconn"
	"mailroom/internal/mailroom"
	"mailroom/internal/peers"
)

// overheard is an OAuth door at which somebody copies the refresh tokens.
type overheard struct {
	access.OAuth
	mu     sync.Mutex
	tokens []string
}

func (o *overheard) copied(t mailroom.Tokens, err error) (mailroom.Tokens, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if t.Refresh != "" {
		o.tokens = append(o.tokens, t.Refresh)
	}
	return t, err
}

func (o *overheard) Exchange(ctx context.Context, p mailroom.Provider, r mailroom.CodeRequest) (mailroom.Tokens, error) {
	return o.copied(o.OAuth.Exchange(ctx, p, r))
}

func (o *overheard) Refresh(ctx context.Context, p mailroom.Provider, token string) (mailroom.Tokens, error) {
	return o.copied(o.OAuth.Refresh(ctx, p, token))
}

// What a grant's life means at a mail server that asks the provider about each
// token: both of them nobody here wrote.
func TestAGrantsLifeAtAMailServer(t *testing.T) {
	op := peers.OIDCProvider(t, peers.OIDCOptions{})
	d := peers.Dovecot(t, peers.DovecotOptions{OAuth: op.DovecotOAuth()})
	const owner = "anna@werk.example"
	h := newHouse(t)
	p := oidcProvider(op)
	h.before(p, owner)
	heard := &overheard{OAuth: h.deps.OAuth}
	h.deps.OAuth = heard
	h.Access = access.New(h.deps)
	signIn := func(token string) error {
		t.Helper()
		c, err := imapconn.Open(t.Context(), imapconn.Account{Endpoint: mailroom.Endpoint{Host: d.Host, Port: d.Port, TLS: mailroom.PlainText},
			Username: owner, Token: token, SASL: []string{"XOAUTH2"}, Log: h.deps.Log})
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Folders(t.Context())
		return err
	}
	opens := func(when, token string) {
		t.Helper()
		if err := signIn(token); err != nil {
			t.Errorf("%s the mailbox does not open: %v", when, err)
		}
	}
	refused := func(when, token string) {
		t.Helper()
		if err := signIn(token); mailroom.AsError(err) == nil || mailroom.AsError(err).Key != "imap.error.auth" {
			t.Errorf("%s the mailbox is not shut: %v", when, err)
		}
	}
	token := func() string {
		t.Helper()
		got, err := h.token()
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	grant := func() string {
		t.Helper()
		if _, err := h.back(op.Authorize(h.consentURL(), owner)); err != nil {
			t.Fatal(err)
		}
		return token()
	}

	opens("granted,", grant())
	h.spend()
	refreshed := token()
	opens("refreshed,", refreshed)
	h.idle(8 * day)
	if got, err := h.KeepFresh(t.Context()); err != nil || got.Refreshed != 1 {
		t.Errorf("kept fresh: %+v, %v", got, err)
	}
	kept := token()
	opens("kept fresh,", kept)
	if len(heard.tokens) != 3 || heard.tokens[0] == heard.tokens[1] || heard.tokens[1] == heard.tokens[2] {
		t.Fatal("this provider does not rotate: the test shows nothing")
	}

	// Somebody who copied the first refresh token uses it: the provider cannot tell
	// who is the thief, and ends the whole family.
	thief := op.Config().TokenSource(t.Context(), &oauth2.Token{RefreshToken: heard.tokens[0]})
	var answer *oauth2.RetrieveError
	if _, err := thief.Token(); !errors.As(err, &answer) || answer.ErrorCode != "invalid_grant" {
		t.Errorf("the stolen token was answered with %v", err)
	}
	refused("after the reuse", kept)
	h.exec(`UPDATE grants SET refreshed_at = refreshed_at - 120000000 WHERE mailbox_id = $1`, h.box.ID)
	_, _, err := h.Renew(t.Context(), h.box.ID, kept) // what whoever reads the mailbox does then
	wants(t, err, mailroom.NeedsConsent, "oauth.error.grant_ended")
	if h.problem() != "oauth.error.grant_ended" {
		t.Errorf("the mailbox shows %q", h.problem())
	}

	// Granting again mends it, and revoking ends it at the mail server too.
	again := grant()
	opens("granted again,", again)
	if h.problem() != "" {
		t.Errorf("granted again, the mailbox shows %q", h.problem())
	}
	out, err := h.Revoke(t.Context(), h.user, h.box)
	if err != nil || !out.ProviderRevoked || out.RevokePage != "" {
		t.Errorf("revoked: %+v, %v", out, err)
	}
	refused("revoked,", again)
	for _, old := range heard.tokens {
		if op.Active(old) {
			t.Error("a refresh token outlives the revocation")
		}
	}
}
