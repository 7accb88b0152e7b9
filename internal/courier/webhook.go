package courier

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"mailroom/internal/mailroom"
	"mailroom/internal/netguard"
)

// Webhook posts events to one address, signed as Standard Webhooks says
// (standard-webhooks.md, "Webhook headers" and "Signature scheme").
type Webhook struct {
	url     *url.URL
	secrets [][]byte
	client  *http.Client
	now     func() time.Time
}

// WebhookOptions are what a Webhook needs beside address and secret.
type WebhookOptions struct {
	AllowPrivate bool // addresses of the own network, see netguard
	RootCAs      *x509.CertPool
	Now          func() time.Time // nil for the clock
}

// postTimeout bounds one event.
const postTimeout = 20 * time.Second

// NewWebhook reads where events go and what they are signed with: one secret
// "whsec_…" of 24 to 64 bytes in base64, or several with spaces between while one
// takes the place of another. The address must be https, unless private ones are
// allowed.
func NewWebhook(raw, secrets string, o WebhookOptions) (*Webhook, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || (u.Scheme != "https" && !(u.Scheme == "http" && o.AllowPrivate)) || u.User != nil {
		return nil, errors.New("must be an https address without user and password")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	w := &Webhook{url: u, now: o.Now}
	for s := range strings.FieldsSeq(secrets) {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(s, "whsec_"))
		if err != nil || !strings.HasPrefix(s, "whsec_") || len(key) < 24 || len(key) > 64 {
			return nil, errors.New("its secret must be whsec_ and 24 to 64 bytes in base64") // never the secret
		}
		w.secrets = append(w.secrets, key)
	}
	if len(w.secrets) == 0 {
		return nil, errors.New("needs a secret, or nobody could tell our events from others'")
	}
	w.client = &http.Client{
		Timeout: postTimeout,
		Transport: &http.Transport{
			DialContext:         netguard.Dialer(o.AllowPrivate).DialContext,
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs},
			TLSHandshakeTimeout: 10 * time.Second,
			IdleConnTimeout:     time.Minute,
			ForceAttemptHTTP2:   true,
		},
		// What is signed for one address goes to no other.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return w, nil
}

// Host is where events go, for pages: the path may be a secret.
func (w *Webhook) Host() string { return w.url.Host }

// Event is what is posted.
type Event struct {
	Type      string    `json:"type"` // "mailbox.failed"
	Timestamp time.Time `json:"timestamp"`
	Data      any       `json:"data"`
}

// Post carries one event; id is the same for each attempt, so that a receiver can
// drop the second. Errors: Invalid "host.error.private" when the address is not
// public; Throttled "courier.error.webhook_later", with Until where the receiver
// said when; NeedsVendor "…webhook_gone" (410), "…webhook_refused", "…webhook_tls";
// Unavailable "…webhook_network".
func (w *Webhook) Post(ctx context.Context, id string, e Event) error {
	body, err := json.Marshal(e)
	if err != nil {
		return err
	}
	at := strconv.FormatInt(w.now().Unix(), 10)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url.String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Mailroom")
	req.Header.Set("webhook-id", id)
	req.Header.Set("webhook-timestamp", at)
	req.Header.Set("webhook-signature", w.sign(id, at, body))
	res, err := w.client.Do(req)
	if err != nil {
		return w.unreachable(err)
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, 64<<10) // so that the connection can be used again
	return w.answered(res)
}

// sign is "v1,…" for each secret, the first for whoever reads one only.
func (w *Webhook) sign(id, at string, body []byte) string {
	var out []string
	for _, key := range w.secrets {
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "%s.%s.", id, at)
		mac.Write(body)
		out = append(out, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(out, " ")
}

func (w *Webhook) answered(res *http.Response) error {
	e := func(kind mailroom.Kind, key string) *mailroom.Error {
		return mailroom.E(kind, "courier.error."+key, fmt.Errorf("webhook %d", res.StatusCode)).
			With("host", w.Host()).With("code", strconv.Itoa(res.StatusCode))
	}
	switch code := res.StatusCode; {
	case code >= 200 && code < 300:
		return nil
	case code == http.StatusGone: // "disable the endpoint": whoever runs Mailroom takes it out
		return e(mailroom.NeedsVendor, "webhook_gone")
	case code == http.StatusTooManyRequests, code >= 500:
		later := e(mailroom.Throttled, "webhook_later")
		if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && s > 0 {
			later.Until = w.now().Add(min(time.Duration(s)*time.Second, 24*time.Hour)).UTC()
		} else if at, err := http.ParseTime(res.Header.Get("Retry-After")); err == nil {
			later.Until = at.UTC()
		}
		return later
	}
	return e(mailroom.NeedsVendor, "webhook_refused")
}

// unreachable leaves the error's own words behind: they hold the URL.
func (w *Webhook) unreachable(err error) error {
	var known *mailroom.Error
	if errors.As(err, &known) {
		return known
	}
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	if errors.As(err, &unknown) || errors.As(err, &name) || errors.As(err, &invalid) {
		return mailroom.E(mailroom.NeedsVendor, "courier.error.webhook_tls").With("host", w.Host())
	}
	return mailroom.E(mailroom.Unavailable, "courier.error.webhook_network").With("host", w.Host())
}
