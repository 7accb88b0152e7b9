package graph

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"mailroom/internal/mailroom"
	"mailroom/internal/netguard"
)

const (
	requestTimeout = 15 * time.Second
	maxAnswer      = 2 << 20 // octets of one page
	maxPages       = 50
	maxRows        = 10_000 // of one list
)

// Options say how a Client reaches directories. The zero value is for production.
type Options struct {
	// AllowPrivate lets every directory stand on a private address; one whose
	// provider says Loopback may in any case.
	AllowPrivate bool
	RootCAs      *x509.CertPool // nil for the system's
	Now          func() time.Time
}

// Client is safe for use by many goroutines. It holds no token.
type Client struct {
	open, guarded *http.Client
	now           func() time.Time
}

// New makes a Client.
func New(o Options) *Client {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Client{open: httpClient(o, true), guarded: httpClient(o, o.AllowPrivate), now: o.Now}
}

func httpClient(o Options, allowPrivate bool) *http.Client {
	return &http.Client{
		Timeout: requestTimeout,
		Transport: &http.Transport{
			DialContext:           netguard.Dialer(allowPrivate).DialContext,
			TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs},
			TLSHandshakeTimeout:   10 * time.Second,
			ResponseHeaderTimeout: requestTimeout,
			IdleConnTimeout:       30 * time.Second,
			MaxIdleConnsPerHost:   4,
			ForceAttemptHTTP2:     true,
		},
		// The token goes to the directory that the data names, or nowhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Directory is one tenant's directory, read with one token. Which tenant it is
// the token says.
//
// Its errors are *mailroom.Error: NotFound "doctor.error.not_there"; Forbidden
// "doctor.error.forbidden" when the token may not read this; Throttled with
// Until; NeedsVendor for a request that the directory does not understand;
// Unavailable for all that passes by itself.
type Directory struct {
	c     *Client
	http  *http.Client
	base  *url.URL
	fault error // of the address itself
	token string
}

// Directory opens a provider's directory. The token is kept as long as the value
// is, and no longer.
func (c *Client) Directory(p mailroom.Provider, token string) *Directory {
	d := &Directory{c: c, http: c.guarded, token: token}
	if p.Loopback {
		d.http = c.open
	}
	var address string
	if p.Directory != nil {
		address = p.Directory.URL
	}
	u, err := url.Parse(strings.TrimSuffix(address, "/"))
	switch {
	case err != nil:
	case u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		err = errors.New("no absolute address")
	case u.Scheme != "https" && !(u.Scheme == "http" && p.Loopback):
		err = errors.New("not https")
	}
	if err != nil {
		d.fault = mailroom.E(mailroom.NeedsVendor, "doctor.error.address", fmt.Errorf("directory address %q: %w", address, err)).
			With("provider", p.Name)
	}
	d.base = u
	return d
}

// read fetches one object: path is below the base, already escaped.
func (d *Directory) read(ctx context.Context, path string, query url.Values, into any) error {
	if d.fault != nil {
		return d.fault
	}
	return d.fetch(ctx, d.at(path, query), into)
}

func (d *Directory) at(path string, query url.Values) string {
	// Spaces as %20: OData services do not all read "+" as one.
	address := d.base.String() + path
	if len(query) > 0 {
		address += "?" + strings.ReplaceAll(query.Encode(), "+", "%20")
	}
	return address
}

// list reads all pages of a list.
func list[T any](ctx context.Context, d *Directory, path string, query url.Values) ([]T, error) {
	if d.fault != nil {
		return nil, d.fault
	}
	var out []T
	next := d.at(path, query)
	for range maxPages {
		var page struct {
			Value []T    `json:"value"`
			Next  string `json:"@odata.nextLink"`
		}
		if err := d.fetch(ctx, next, &page); err != nil {
			return nil, err
		}
		if out = append(out, page.Value...); len(out) > maxRows {
			return nil, tooLong()
		}
		if page.Next == "" {
			return out, nil
		}
		if !d.own(page.Next) {
			return nil, malformed(errors.New("the next page is elsewhere"))
		}
		next = page.Next
	}
	return nil, tooLong()
}

// own reports whether an address that came in an answer is of this directory:
// the token is shown to nobody else.
func (d *Directory) own(next string) bool {
	u, err := url.Parse(next)
	return err == nil && u.Scheme == d.base.Scheme && u.Host == d.base.Host && u.User == nil &&
		strings.HasPrefix(u.Path, d.base.Path+"/") && !strings.Contains(u.Path, "/../")
}

func (d *Directory) fetch(ctx context.Context, address string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return malformed(errors.New("address of a request")) // its text may hold an address of a person
	}
	req.Header.Set("Authorization", "Bearer "+d.token)
	req.Header.Set("Accept", "application/json")
	res, err := d.http.Do(req)
	if err != nil {
		return unreachable(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(http.MaxBytesReader(nil, res.Body, maxAnswer))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return tooLong()
	case err != nil:
		return unreachable(err)
	case res.StatusCode != http.StatusOK:
		return d.refused(res, body)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return malformed(errors.New("no JSON of the expected form"))
	}
	return nil
}

var (
	codeForm = regexp.MustCompile(`^[A-Za-z_]{1,60}$`)
	refForm  = regexp.MustCompile(`^[0-9a-fA-F-]{16,40}$`)
)

// refused classifies by the status; the code and the number of the request are
// kept for the help desk. The message is not: it may name a person.
func (d *Directory) refused(res *http.Response, body []byte) error {
	var a struct {
		Error struct {
			Code  string `json:"code"`
			Inner struct {
				Request string `json:"request-id"`
			} `json:"innerError"`
		} `json:"error"`
	}
	_ = json.Unmarshal(body, &a) // a gateway's page is no JSON: the status says enough
	code, ref := a.Error.Code, a.Error.Inner.Request
	if !codeForm.MatchString(code) {
		code = http.StatusText(res.StatusCode)
	}
	if !refForm.MatchString(ref) {
		if ref = res.Header.Get("request-id"); !refForm.MatchString(ref) {
			ref = "–"
		}
	}
	kind, key := mailroom.Unavailable, "doctor.error.unavailable"
	switch s := res.StatusCode; {
	case s == http.StatusNotFound:
		kind, key = mailroom.NotFound, "doctor.error.not_there"
	case s == http.StatusForbidden:
		kind, key = mailroom.Forbidden, "doctor.error.forbidden"
	case s == http.StatusUnauthorized:
		kind, key = mailroom.Unavailable, "doctor.error.token"
	case s == http.StatusTooManyRequests:
		kind, key = mailroom.Throttled, "doctor.error.throttled"
	case s == http.StatusServiceUnavailable && res.Header.Get("Retry-After") != "":
		kind, key = mailroom.Throttled, "doctor.error.throttled"
	case s >= 300 && s < 500:
		kind, key = mailroom.NeedsVendor, "doctor.error.request"
	}
	e := mailroom.E(kind, key, fmt.Errorf("directory: %d %s", res.StatusCode, code)).
		With("code", strconv.Itoa(res.StatusCode)+" "+code).With("ref", ref)
	if kind == mailroom.Throttled {
		e.Until = d.c.now().Add(retryAfter(res.Header.Get("Retry-After"), d.c.now())).UTC()
	}
	return e
}

// retryAfter reads RFC 9110 §10.2.3; between a second and an hour, a minute when
// it says nothing.
func retryAfter(header string, now time.Time) time.Duration {
	wait := time.Minute
	if s, err := strconv.Atoi(strings.TrimSpace(header)); err == nil {
		wait = time.Duration(s) * time.Second
	} else if at, err := http.ParseTime(header); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, time.Second), time.Hour)
}

// unreachable is a fault below HTTP. The text of a *url.Error holds the whole
// address, which names a person: only its cause goes on.
func unreachable(err error) error {
	var own *mailroom.Error
	if errors.As(err, &own) { // netguard's refusal
		return own
	}
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	return mailroom.E(mailroom.Unavailable, "doctor.error.network", err)
}

func malformed(err error) error {
	return mailroom.E(mailroom.Unavailable, "doctor.error.malformed", err)
}

func tooLong() error {
	return mailroom.E(mailroom.Unavailable, "doctor.error.too_long", errors.New("more than the bound"))
}
