package oauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"mailroom/internal/mailroom"
)

// assumedLife is how long a token lives whose life was not told (RFC 6749 §5.1
// only recommends expires_in).
const assumedLife = 30 * time.Minute

// ConsentURL is where the browser goes to grant permission.
func (c *Client) ConsentURL(ctx context.Context, p mailroom.Provider, r mailroom.ConsentRequest) (string, error) {
	if !p.Configured() {
		return "", mailroom.E(mailroom.NeedsVendor, "oauth.error.not_configured").With("provider", p.Name)
	}
	m, err := c.endpoints(ctx, p)
	if err != nil {
		return "", err
	}
	opts := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(r.Verifier)}
	for k, v := range p.AuthParams {
		opts = append(opts, oauth2.SetAuthURLParam(k, v))
	}
	if asksIDToken(p) {
		opts = append(opts, oauth2.SetAuthURLParam("nonce", r.Nonce))
	}
	if r.Select {
		// A hint would choose for the person (OpenID Connect Core §3.1.2.1).
		opts = append(opts, oauth2.SetAuthURLParam("prompt", "select_account"))
	} else if r.LoginHint != "" {
		opts = append(opts, oauth2.SetAuthURLParam("login_hint", r.LoginHint))
	}
	if r.Force {
		opts = append(opts, oauth2.SetAuthURLParam("prompt", "consent"))
	}
	return c.config(p, m, r.RedirectURL).AuthCodeURL(r.State, opts...), nil
}

// Exchange turns the code of a callback into tokens, and proves by the ID token
// who granted.
func (c *Client) Exchange(ctx context.Context, p mailroom.Provider, r mailroom.CodeRequest) (mailroom.Tokens, error) {
	m, err := c.endpoints(ctx, p)
	if err != nil {
		return mailroom.Tokens{}, err
	}
	// Before the code leaves the house: it may be another provider's (RFC 9207 §2.4).
	if (r.Issuer == "" && m.SendsIss) || (r.Issuer != "" && !sameIssuer(m.Issuer, r.Issuer)) {
		return mailroom.Tokens{}, c.unproved(p, fmt.Errorf("callback of issuer %q, want %q", r.Issuer, m.Issuer))
	}
	t, err := c.config(p, m, r.RedirectURL).Exchange(c.context(ctx, p, m), r.Code, oauth2.VerifierOption(r.Verifier))
	if err != nil {
		return mailroom.Tokens{}, c.refusedToken(p, err, redeeming)
	}
	out := c.tokens(p, t)
	out.Refresh = t.RefreshToken
	if asksIDToken(p) {
		raw, _ := t.Extra("id_token").(string)
		if err := c.identify(ctx, p, m, raw, r.Nonce, t.AccessToken, &out); err != nil {
			return mailroom.Tokens{}, err
		}
	}
	return out, nil
}

// Refresh gets a new access token. Tokens.Refresh is "" when the old refresh
// token stays good.
func (c *Client) Refresh(ctx context.Context, p mailroom.Provider, refreshToken string) (mailroom.Tokens, error) {
	m, err := c.endpoints(ctx, p)
	if err != nil {
		return mailroom.Tokens{}, err
	}
	t, err := c.config(p, m, "").TokenSource(c.context(ctx, p, m), &oauth2.Token{RefreshToken: refreshToken}).Token()
	if err != nil {
		return mailroom.Tokens{}, c.refusedToken(p, err, refreshing)
	}
	out := c.tokens(p, t)
	if t.RefreshToken != refreshToken { // x/oauth2 repeats the old one when none came
		out.Refresh = t.RefreshToken
	}
	return out, nil
}

func (c *Client) tokens(p mailroom.Provider, t *oauth2.Token) mailroom.Tokens {
	out := mailroom.Tokens{Access: t.AccessToken, ExpiresAt: c.now().Add(assumedLife).UTC(), Scopes: p.Scopes}
	if t.ExpiresIn > 0 {
		out.ExpiresAt = c.now().Add(time.Duration(t.ExpiresIn) * time.Second).UTC()
	}
	// Left out when it is what was asked for (RFC 6749 §5.1).
	if given, ok := t.Extra("scope").(string); ok && strings.TrimSpace(given) != "" {
		out.Scopes = strings.Fields(given)
	}
	return out
}

// Revoke asks the provider to forget a token and the grant behind it (RFC 7009).
// false without an error: it has no such endpoint.
func (c *Client) Revoke(ctx context.Context, p mailroom.Provider, token string) (bool, error) {
	m, err := c.endpoints(ctx, p)
	if err != nil {
		return false, err
	}
	if m.RevokeURL == "" {
		return false, nil
	}
	form := url.Values{"token": {token}, "token_type_hint": {"refresh_token"}}
	inBody := authStyle(p) == oauth2.AuthStyleInParams
	if inBody {
		form.Set("client_id", p.ClientID)
		if p.ClientSecret != "" && p.ClientKey == "" {
			form.Set("client_secret", p.ClientSecret)
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.RevokeURL, strings.NewReader(form.Encode()))
	if err != nil {
		return false, mailroom.E(mailroom.NeedsVendor, "oauth.error.metadata", err).With("provider", p.Name)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if !inBody {
		req.SetBasicAuth(url.QueryEscape(p.ClientID), url.QueryEscape(p.ClientSecret))
	}
	res, err := c.proving(p, m.TokenURL).Do(req)
	if err != nil {
		return false, unreachable(p, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return false, unreachable(p, err)
	}
	if res.StatusCode == http.StatusOK {
		return true, nil
	}
	a := answerOf(res, body)
	// RFC 7009 §2.2 answers 200 for a token that is dead already; Google says so
	// with an error. Either way nothing of it is left.
	if a.Error == "invalid_token" || a.Error == "invalid_grant" {
		return true, nil
	}
	return false, c.refused(p, a, revoking)
}

// refusedToken classifies what x/oauth2 returned. Its own errors quote the whole
// answer, so none of their text goes on.
func (c *Client) refusedToken(p mailroom.Provider, err error, at stage) *mailroom.Error {
	var re *oauth2.RetrieveError
	if errors.As(err, &re) {
		return c.refused(p, answerOf(re.Response, re.Body), at)
	}
	var ue *url.Error
	if errors.As(err, &ue) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return unreachable(p, err)
	}
	return mailroom.E(mailroom.Unavailable, "oauth.error.malformed",
		errors.New("the token endpoint's answer is no token and no error")).With("provider", p.Name)
}
