package oauth

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"golang.org/x/oauth2"

	"mailroom/internal/mailroom"
)

// Check looks at a provider's data and our registration there, as far as can be
// seen without a person: discovery, keys, the form of the redirect URI, and what
// the authorization endpoint says to a request that may show no page
// (prompt=none, OpenID Connect Core §3.1.2.1).
func (c *Client) Check(ctx context.Context, p mailroom.Provider, redirectURL string) []mailroom.Check {
	m, out, ok := c.checkEndpoints(ctx, p)
	out = append(out, c.checkRedirect(p, redirectURL))
	if !ok || p.ClientID == "" {
		return out
	}
	return append(out, c.checkRegistration(ctx, p, m, redirectURL)...)
}

// checkEndpoints reads the discovery document anew, and the keys.
func (c *Client) checkEndpoints(ctx context.Context, p mailroom.Provider) (metadata, []mailroom.Check, bool) {
	var out []mailroom.Check
	now := c.now().UTC()
	if p.DiscoveryURL != "" {
		const name = "provider.check.discovery"
		found, err := c.readMetadata(ctx, p)
		if err == nil {
			c.mu.Lock()
			c.metadata[p.ID+" "+p.DiscoveryURL] = found
			c.mu.Unlock()
			out = append(out, mailroom.Passed(name, map[string]any{"issuer": found.Issuer}))
		} else {
			out = append(out, mailroom.Failing(name, err, now))
		}
	}
	m, err := c.endpoints(ctx, p)
	if err != nil {
		return m, append(out, mailroom.Failing("provider.check.endpoints", err, now)), false
	}
	out = append(out, mailroom.Passed("provider.check.endpoints", map[string]any{"host": hostOf(m.TokenURL)}))
	if !asksIDToken(p) {
		return m, out, true
	}
	const name = "provider.check.keys"
	body, err := c.fetch(ctx, p, m.JWKSURL)
	if err != nil {
		return m, append(out, mailroom.Failing(name, err, now)), true
	}
	n := len(parseKeys(body))
	if n == 0 {
		return m, append(out, mailroom.Failing(name, mailroom.E(mailroom.NeedsVendor, "provider.error.no_keys").With("provider", p.Name), now)), true
	}
	return m, append(out, mailroom.Passed(name, map[string]any{"n": n})), true
}

func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Host
}

// checkRedirect looks at the form of our redirect URI: https, or plain http on
// this machine only, where providers take it (RFC 8252 §8.3).
func (c *Client) checkRedirect(p mailroom.Provider, redirectURL string) mailroom.Check {
	const name = "provider.check.redirect"
	bad := func(key string) mailroom.Check {
		return mailroom.Failing(name, mailroom.E(mailroom.NeedsVendor, key).With("uri", redirectURL).With("provider", p.Operator()), c.now().UTC())
	}
	u, err := url.Parse(redirectURL)
	if err != nil || u.Host == "" || u.Fragment != "" || u.User != nil {
		return bad("provider.error.redirect_form")
	}
	ip := net.ParseIP(u.Hostname())
	local := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	switch {
	case u.Scheme != "https" && !local:
		return bad("provider.error.redirect_https")
	case ip != nil && !local:
		return bad("provider.error.redirect_ip")
	case u.Scheme != "https" && ip != nil && p.Kind == mailroom.Outlook && !p.Loopback:
		// Entra's console takes http://localhost only.
		return bad("provider.error.redirect_localhost")
	}
	return mailroom.Passed(name, map[string]any{"uri": redirectURL})
}

// checkRegistration begins a grant as a browser would that is signed in nowhere:
// a provider that knows client and redirect URI sends it back with login_required,
// any other shows a page of its own, since it must not send it to an address that
// it does not know (RFC 6749 §4.1.2.1).
func (c *Client) checkRegistration(ctx context.Context, p mailroom.Provider, m metadata, redirectURL string) []mailroom.Check {
	const client, scopes = "provider.check.client", "provider.check.scopes"
	now := c.now().UTC()
	state := mailroom.NewSecret()
	opts := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(oauth2.GenerateVerifier()), oauth2.SetAuthURLParam("nonce", mailroom.NewSecret())}
	for k, v := range p.AuthParams {
		opts = append(opts, oauth2.SetAuthURLParam(k, v))
	}
	opts = append(opts, oauth2.SetAuthURLParam("prompt", "none"))
	answer, err := c.silently(ctx, p, c.config(p, m, redirectURL).AuthCodeURL(state, opts...), redirectURL)
	notTold := mailroom.E(mailroom.Unavailable, "provider.error.not_told").With("provider", p.Operator())
	switch {
	case err != nil:
		return []mailroom.Check{mailroom.Unseen(client, err, now), mailroom.Unseen(scopes, err, now)}
	case answer.back == nil:
		if refusal := c.pageSays(p, answer); refusal != nil {
			return []mailroom.Check{mailroom.Failing(client, refusal, now), mailroom.Unseen(scopes, notTold, now)}
		}
		return []mailroom.Check{mailroom.Unseen(client, notTold, now), mailroom.Unseen(scopes, notTold, now)}
	case answer.back.Get("state") != state:
		return []mailroom.Check{mailroom.Unseen(client, notTold, now), mailroom.Unseen(scopes, notTold, now)}
	}
	known := mailroom.Passed(client, map[string]any{"uri": redirectURL})
	asked := mailroom.Passed(scopes, map[string]any{"scopes": strings.Join(p.Scopes, ", ")})
	switch e := answer.back.Get("error"); e {
	case "", "login_required", "interaction_required", "consent_required", "account_selection_required":
		return []mailroom.Check{known, asked}
	case "invalid_scope":
		refusal := c.Refusal(p, e, answer.back.Get("error_description"), "")
		return []mailroom.Check{known, mailroom.Failing(scopes, refusal, now)}
	case "unauthorized_client", "invalid_client", "invalid_request", "unsupported_response_type":
		refusal := c.Refusal(p, e, answer.back.Get("error_description"), "")
		return []mailroom.Check{mailroom.Failing(client, refusal, now), mailroom.Unseen(scopes, notTold, now)}
	default:
		// The redirect URI is right, or the answer had not come back here.
		return []mailroom.Check{known, mailroom.Unseen(scopes, c.Refusal(p, e, answer.back.Get("error_description"), ""), now)}
	}
}

// silent is what an authorization endpoint answers: back to our redirect URI with
// a query, or else a page.
type silent struct {
	back url.Values
	page string // with the address that it was found at
}

// hops that a provider may send a browser around on its own host before it answers.
const hops = 4

// silently asks without a browser. It follows redirects on the provider's host
// only, and never one to our own address.
func (c *Client) silently(ctx context.Context, p mailroom.Provider, at, redirectURL string) (silent, error) {
	host := hostOf(at)
	for range hops {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
		if err != nil {
			return silent{}, mailroom.E(mailroom.NeedsVendor, "oauth.error.metadata", err).With("provider", p.Name)
		}
		req.Header.Set("Accept", "text/html")
		res, err := c.http(p).Do(req)
		if err != nil {
			return silent{}, unreachable(p, err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			return silent{}, unreachable(p, err)
		}
		if res.StatusCode >= 500 {
			return silent{}, unreachable(p, errors.New(res.Status))
		}
		to, err := res.Location()
		if err != nil { // no redirect
			return silent{page: at + "\n" + string(body)}, nil
		}
		if bare(to) == redirectURL {
			return silent{back: to.Query()}, nil
		}
		if at = to.String(); to.Host != host {
			return silent{page: at}, nil
		}
	}
	return silent{page: at}, nil
}

// bare is an address without its query.
func bare(u *url.URL) string {
	b := *u
	b.RawQuery, b.Fragment = "", ""
	return b.String()
}

var (
	pageCode  = regexp.MustCompile(`AADSTS(\d{4,9}):`)
	pageError = regexp.MustCompile(`redirect_uri_mismatch|deleted_client|disabled_client|invalid_client|unauthorized_client|invalid_redirect_uri`)
	// Google's error page has its error in a parameter in base64.
	authError = regexp.MustCompile(`[?&]authError=([A-Za-z0-9%_=+/-]+)`)
)

// pageSays reads what a provider's own error page says about us; nil when it says
// nothing that is known.
func (c *Client) pageSays(p mailroom.Provider, s silent) *mailroom.Error {
	text := s.page
	if m := authError.FindStringSubmatch(text); m != nil {
		if raw, err := url.QueryUnescape(m[1]); err == nil {
			raw = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(raw), "=")
			if b, err := base64.RawStdEncoding.DecodeString(raw); err == nil {
				text += "\n" + string(b)
			}
		}
	}
	if m := pageCode.FindStringSubmatch(text); m != nil {
		if m[1] == "700016" { // asked with "common": no tenant of anybody's is meant
			return mailroom.E(mailroom.NeedsVendor, "provider.error.client_unknown").With("provider", p.Operator()).With("code", "AADSTS700016")
		}
		return c.refused(p, answer{Error: "invalid_request", Description: fmt.Sprintf("AADSTS%s:", m[1])}, consenting)
	}
	switch found := pageError.FindString(text); found {
	case "":
		return nil
	case "redirect_uri_mismatch", "invalid_redirect_uri":
		return c.refused(p, answer{Error: "redirect_uri_mismatch"}, consenting)
	default:
		return mailroom.E(mailroom.NeedsVendor, "provider.error.client_unknown").With("provider", p.Operator()).With("code", found)
	}
}

// CheckClient asks for a token with an invented code: nil when the provider
// refuses the code, which it does after it has taken the client for good (RFC 6749
// §3.2.1, §5.2). It is weaker than a real request: some look at the code first.
func (c *Client) CheckClient(ctx context.Context, p mailroom.Provider, redirectURL string) error {
	m, err := c.endpoints(ctx, p)
	if err != nil {
		return err
	}
	_, err = c.config(p, m, redirectURL).Exchange(c.context(ctx, p, m), mailroom.NewSecret(), oauth2.VerifierOption(oauth2.GenerateVerifier()))
	if err == nil {
		return mailroom.E(mailroom.Unavailable, "provider.error.not_told", errors.New("a token for an invented code")).With("provider", p.Operator())
	}
	var re *oauth2.RetrieveError
	if errors.As(err, &re) && answerOf(re.Response, re.Body).Error == "invalid_grant" {
		return nil
	}
	return c.refusedToken(p, err, redeeming)
}
