package courier_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mailroom/internal/courier"
	"mailroom/internal/mailroom"
)

const (
	oldSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	newSecret = "whsec_VGhpcyBpcyBhIG5ldyBzZWNyZXQgb2YgMzIgYnl0ZXM="
)

// verified is a receiver's check, written after the specification and not after
// the sender: message id, timestamp within five minutes, and any of the
// signatures made with our one secret.
func verified(secret string, h http.Header, body []byte, now time.Time) bool {
	at, err := strconv.ParseInt(h.Get("webhook-timestamp"), 10, 64)
	if err != nil || now.Sub(time.Unix(at, 0)).Abs() > 5*time.Minute || h.Get("webhook-id") == "" {
		return false
	}
	key, err := base64.StdEncoding.DecodeString(secret[len("whsec_"):])
	if err != nil {
		return false
	}
	signed := append([]byte(h.Get("webhook-id")+"."+h.Get("webhook-timestamp")+"."), body...)
	mac := hmac.New(sha256.New, key)
	mac.Write(signed)
	want := mac.Sum(nil)
	for _, one := range strings.Split(h.Get("webhook-signature"), " ") {
		version, value, _ := strings.Cut(one, ",")
		got, err := base64.StdEncoding.DecodeString(value)
		if version == "v1" && err == nil && hmac.Equal(got, want) {
			return true
		}
	}
	return false
}

// The specification's own example, so that verified is right by somebody else's word.
func TestVerifierKnowsTheSpecificationsExample(t *testing.T) {
	h := http.Header{}
	h.Set("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek")
	h.Set("webhook-timestamp", "1614265330")
	h.Set("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
	if !verified(oldSecret, h, []byte(`{"test": 2432232314}`), time.Unix(1614265330, 0)) {
		t.Error("the example of standard-webhooks does not verify")
	}
	if verified(oldSecret, h, []byte(`{"test": 2432232315}`), time.Unix(1614265330, 0)) {
		t.Error("a changed body verifies")
	}
}

func roots(s *httptest.Server) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return pool
}

func TestWebhookIsSigned(t *testing.T) {
	type got struct {
		header http.Header
		body   []byte
	}
	came := make(chan got, 4)
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		came <- got{r.Header, body}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer s.Close()
	hook, err := courier.NewWebhook(s.URL+"/secret-path", newSecret+" "+oldSecret, courier.WebhookOptions{AllowPrivate: true, RootCAs: roots(s)})
	if err != nil {
		t.Fatal(err)
	}
	event := courier.Event{Type: "mailbox.failed", Timestamp: time.Now().UTC(), Data: map[string]string{"mailbox": "mbx_1"}}
	for range 2 {
		if err := hook.Post(t.Context(), "not_1", event); err != nil {
			t.Fatal(err)
		}
	}
	first, second := <-came, <-came
	for _, secret := range []string{oldSecret, newSecret} { // while one takes the place of the other, both verify
		if !verified(secret, first.header, first.body, time.Now()) {
			t.Errorf("%v does not verify", first.header)
		}
	}
	if verified("whsec_"+base64.StdEncoding.EncodeToString(make([]byte, 32)), first.header, first.body, time.Now()) {
		t.Error("verifies with a secret that is not ours")
	}
	if first.header.Get("webhook-id") != "not_1" || second.header.Get("webhook-id") != "not_1" {
		t.Error("a second attempt has another id")
	}
	var e courier.Event
	if err := json.Unmarshal(first.body, &e); err != nil || e.Type != "mailbox.failed" || !e.Timestamp.Equal(event.Timestamp) {
		t.Errorf("body %s", first.body)
	}
}

func TestWebhookAnswers(t *testing.T) {
	var status atomic.Int32
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			t.Error("a redirect was followed")
		}
		w.Header().Set("Location", "/elsewhere")
		w.Header().Set("Retry-After", "120")
		w.WriteHeader(int(status.Load()))
	}))
	defer s.Close()
	now := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	hook, err := courier.NewWebhook(s.URL+"/secret-path", oldSecret, courier.WebhookOptions{AllowPrivate: true, RootCAs: roots(s), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	for code, want := range map[int32]struct {
		kind mailroom.Kind
		key  string
	}{
		302: {mailroom.NeedsVendor, "webhook_refused"}, 401: {mailroom.NeedsVendor, "webhook_refused"}, 410: {mailroom.NeedsVendor, "webhook_gone"},
		429: {mailroom.Throttled, "webhook_later"}, 503: {mailroom.Throttled, "webhook_later"},
	} {
		status.Store(code)
		e := mailroom.AsError(hook.Post(t.Context(), "not_1", courier.Event{}))
		if e == nil || e.Kind != want.kind || e.Key != "courier.error."+want.key || strings.Contains(e.Error(), "secret-path") {
			t.Errorf("%d: %v", code, e)
		} else if want.kind == mailroom.Throttled && !e.Until.Equal(now.Add(2*time.Minute)) {
			t.Errorf("%d: until %v", code, e.Until)
		}
	}
	untrusted, err := courier.NewWebhook(s.URL+"/secret-path", oldSecret, courier.WebhookOptions{AllowPrivate: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Config.ErrorLog = nil
	if e := mailroom.AsError(untrusted.Post(t.Context(), "not_1", courier.Event{})); e.Key != "courier.error.webhook_tls" {
		t.Errorf("a certificate nobody trusts: %v", e)
	}
}

// The own network is out of reach, also by a name: the guard looks at the address
// that is really connected to.
func TestWebhookIsKeptOutOfTheOwnNetwork(t *testing.T) {
	var reached atomic.Bool
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Store(true) }))
	defer s.Close()
	for _, host := range []string{s.URL, strings.Replace(s.URL, "127.0.0.1", "localhost", 1), "https://169.254.169.254/latest", "https://[::1]:1/"} {
		hook, err := courier.NewWebhook(host, oldSecret, courier.WebhookOptions{RootCAs: roots(s)})
		if err != nil {
			t.Fatal(err)
		}
		if e := mailroom.AsError(hook.Post(t.Context(), "not_1", courier.Event{})); e == nil || e.Key != "host.error.private" {
			t.Errorf("%s: %v", host, e)
		}
	}
	if reached.Load() {
		t.Error("the server was reached")
	}
}

func TestWebhookSettings(t *testing.T) {
	for _, bad := range [][2]string{
		{"http://hooks.example", oldSecret}, {"https://u:p@hooks.example", oldSecret}, {"ftp://x", oldSecret}, {"", oldSecret},
		{"https://hooks.example", ""}, {"https://hooks.example", "whsec_c2hvcnQ="}, {"https://hooks.example", "c2VjcmV0"}, {"https://hooks.example", "whsec_%%%"},
	} {
		if _, err := courier.NewWebhook(bad[0], bad[1], courier.WebhookOptions{}); err == nil {
			t.Errorf("%v is taken", bad)
		} else if len(bad[1]) > 5 && strings.Contains(err.Error(), bad[1]) {
			t.Errorf("the secret stands in %v", err)
		}
	}
}
