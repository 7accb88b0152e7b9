// Package oauth speaks OAuth 2.0 and OpenID Connect to a provider: consent URL,
// code, refresh, revocation, and what a refusal means. Providers are data
// (providers.json and a file of the operator's), and so is the catalogue of
// refusals (catalogue.json).
//
// It stores nothing, knows no user and no mailbox, and never logs a token
// request or its answer: of a refusal only its code and reference number.
package oauth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"mailroom/internal/mailroom"
	"mailroom/internal/netguard"
)

const (
	requestTimeout = 15 * time.Second
	maxAnswer      = 1 << 20 // octets of any answer: tokens, metadata, keys
)

// Options say how a Client reaches providers. The zero value is for production.
type Options struct {
	// AllowPrivate lets every provider stand on a private address; one whose data
	// says Loopback may in any case.
	AllowPrivate bool
	RootCAs      *x509.CertPool // nil for the system's
	Log          *slog.Logger
	Now          func() time.Time // nil for time.Now
}

// Client is safe for use by many goroutines.
type Client struct {
	open, guarded *http.Client
	log           *slog.Logger
	now           func() time.Time

	mu       sync.Mutex
	metadata map[string]metadata // by provider and discovery URL
	keys     map[string]*keySet  // by provider and JWKS URL
}

// New makes a Client.
func New(o Options) *Client {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Client{
		open:    httpClient(o, true),
		guarded: httpClient(o, o.AllowPrivate),
		log:     o.Log, now: o.Now,
		metadata: map[string]metadata{}, keys: map[string]*keySet{},
	}
}

func httpClient(o Options, allowPrivate bool) *http.Client {
	return &http.Client{
		Timeout: requestTimeout,
		Transport: bounded{&http.Transport{
			DialContext:           netguard.Dialer(allowPrivate).DialContext,
			TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs},
			TLSHandshakeTimeout:   10 * time.Second,
			ResponseHeaderTimeout: requestTimeout,
			IdleConnTimeout:       90 * time.Second,
			MaxIdleConnsPerHost:   8,
			ForceAttemptHTTP2:     true,
		}},
		// A token request carries secrets: it goes where the data says, or nowhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// http is the HTTP client for a provider.
func (c *Client) http(p mailroom.Provider) *http.Client {
	if p.Loopback || p.Private {
		return c.open
	}
	return c.guarded
}

// proving is the HTTP client for requests that prove who we are: with a key, each
// carries an assertion for the token endpoint.
func (c *Client) proving(p mailroom.Provider, tokenURL string) *http.Client {
	plain := c.http(p)
	if p.ClientKey == "" {
		return plain
	}
	signing := *plain
	signing.Transport = asserting{next: plain.Transport, provider: p, tokenURL: tokenURL, now: c.now}
	return &signing
}

// context carries the provider's HTTP client to x/oauth2.
func (c *Client) context(ctx context.Context, p mailroom.Provider, m metadata) context.Context {
	return context.WithValue(ctx, oauth2.HTTPClient, c.proving(p, m.TokenURL))
}

// bounded ends every answer with an error at maxAnswer.
type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := b.next.RoundTrip(r)
	if err == nil {
		res.Body = http.MaxBytesReader(nil, res.Body, maxAnswer)
	}
	return res, err
}

// fetch reads a public document: metadata or keys.
func (c *Client) fetch(ctx context.Context, p mailroom.Provider, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, mailroom.E(mailroom.NeedsVendor, "oauth.error.metadata", err).With("provider", p.Name)
	}
	req.Header.Set("Accept", "application/json")
	res, err := c.http(p).Do(req)
	if err != nil {
		return nil, unreachable(p, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, unreachable(p, err)
	}
	if res.StatusCode != http.StatusOK {
		return nil, unreachable(p, errors.New(res.Status))
	}
	return body, nil
}

// unreachable classifies a fault below OAuth: nothing is known about the grant.
func unreachable(p mailroom.Provider, err error) *mailroom.Error {
	var own *mailroom.Error
	if errors.As(err, &own) { // netguard's refusal
		return own
	}
	key := "oauth.error.network"
	var cert *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var dns *net.DNSError
	switch {
	case errors.As(err, &cert), errors.As(err, &record):
		key = "oauth.error.tls"
	case errors.As(err, &dns) && dns.IsNotFound:
		key = "oauth.error.dns"
	}
	return mailroom.E(mailroom.Unavailable, key, err).With("provider", p.Name)
}
