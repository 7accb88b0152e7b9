package peers_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"mailroom/internal/peers"
)

func TestOIDCGrantsAndProvesWhoSignedIn(t *testing.T) {
	op := peers.OIDCProvider(t, peers.OIDCOptions{})
	token := op.Token(rik)
	provider, err := oidc.NewProvider(t.Context(), op.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{ClientID: "mailroom"}).Verify(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	var claims struct{ Email string }
	if err := id.Claims(&claims); err != nil || claims.Email != rik {
		t.Errorf("the ID token is for %q (%v)", claims.Email, err)
	}
	if scope, _ := token.Extra("scope").(string); !strings.Contains(scope, peers.ScopeOutlookIMAP) {
		t.Errorf("scope %q", scope)
	}
	if token.RefreshToken == "" || time.Until(token.Expiry) < 50*time.Minute {
		t.Errorf("refresh token %t, expiry %v", token.RefreshToken != "", token.Expiry)
	}
	if held := op.Introspect(token.AccessToken); held["active"] != true || held["email"] != rik {
		t.Errorf("introspection says %v", held)
	}
}

// A rotated refresh token that is used a second time has been stolen by somebody:
// the provider revokes the whole grant (RFC 9700, 4.14.2).
func TestOIDCRevokesTheGrantWhenARefreshTokenIsReused(t *testing.T) {
	op := peers.OIDCProvider(t, peers.OIDCOptions{})
	first := op.Token(rik)
	refresh := func(refreshToken string) (*oauth2.Token, error) {
		return op.Config().TokenSource(context.Background(), &oauth2.Token{RefreshToken: refreshToken}).Token()
	}
	second, err := refresh(first.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	if second.RefreshToken == first.RefreshToken || !op.Active(second.AccessToken) {
		t.Fatalf("no rotation, or the new access token is dead")
	}
	var refused *oauth2.RetrieveError
	if _, err := refresh(first.RefreshToken); !errors.As(err, &refused) || refused.ErrorCode != "invalid_grant" {
		t.Errorf("reuse was answered with %v", err)
	}
	if op.Active(second.AccessToken) || op.Active(second.RefreshToken) {
		t.Error("tokens of the family are still good")
	}
}

func TestOIDCOptions(t *testing.T) {
	op := peers.OIDCProvider(t, peers.OIDCOptions{
		Clients:           []peers.OIDCClient{{ID: "public", RedirectURIs: []string{"http://127.0.0.1/back"}}},
		Accounts:          []peers.OIDCAccount{{Email: rik, Name: "Rik de Vries"}},
		Scopes:            []string{"post"},
		AccessTokenLife:   2 * time.Second,
		RefreshAlways:     true,
		KeepRefreshTokens: true,
		AllowPlainCode:    true,
	})
	config := op.Config("openid", "post")
	config.RedirectURL = "http://127.0.0.1:4711/back"

	denied := op.Refuse(config.AuthCodeURL("s1"), rik)
	if denied.Query().Get("error") != "access_denied" || denied.Query().Get("state") != "s1" {
		t.Errorf("a refusal came back as %s", denied)
	}
	callback := op.Authorize(config.AuthCodeURL("s2", oauth2.SetAuthURLParam("prompt", "select_account")), rik)
	if callback.Host != "127.0.0.1:4711" {
		t.Fatalf("sent to %s", callback)
	}
	token, err := config.Exchange(context.Background(), callback.Query().Get("code"))
	if err != nil {
		t.Fatal(err)
	}
	if life := time.Until(token.Expiry); life > 3*time.Second {
		t.Errorf("the access token lives %v", life)
	}
	for range 2 {
		source := config.TokenSource(context.Background(), &oauth2.Token{RefreshToken: token.RefreshToken})
		if _, err := source.Token(); err != nil {
			t.Errorf("refresh: %v", err)
		}
	}
}
