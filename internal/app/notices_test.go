package app_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"mailroom/internal/app"
	"mailroom/internal/portal"
)

// TestWhatWillBreakIsTold: a whole Mailroom whose secret ends in two days tells
// its webhook, once over a restart, and its operator's monitoring; neither its log
// nor its figures name anybody.
func TestWhatWillBreakIsTold(t *testing.T) {
	const secret = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	came := make(chan *http.Request, 9)
	bodies := make(chan string, 9)
	hook := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies <- string(body)
		came <- r
	}))
	defer hook.Close()
	cfg := configured(newSite(t))
	log := &lockedBuffer{}
	cfg.Log = slog.New(slog.NewTextHandler(log, nil))
	cfg.RootCAs = x509.NewCertPool()
	cfg.RootCAs.AddCert(hook.Certificate())
	cfg.Webhook, cfg.WebhookSecret = hook.URL, "whsec_"+secret
	cfg.MicrosoftClientID, cfg.MicrosoftClientSecret = "client", "hush"
	cfg.MicrosoftSecretExpires = time.Now().Add(3 * 24 * time.Hour).UTC().Format(time.DateOnly)

	for start := range 2 {
		a, err := app.New(t.Context(), cfg)
		must(t, err)
		if start == 0 {
			_, err = a.Portal.AddOrganization(t.Context(), portal.SetupForm{Organization: "Agency", Name: "Anna", Email: "anna@agency.example", Password: longEnough})
			must(t, err)
		}
		ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx) }()
		if start == 0 {
			select {
			case r := <-came:
				mac := hmac.New(sha256.New, unbase64(t, secret))
				body := <-bodies
				mac.Write([]byte(r.Header.Get("webhook-id") + "." + r.Header.Get("webhook-timestamp") + "." + body))
				if r.Header.Get("webhook-signature") != "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)) {
					t.Errorf("the signature of %s is not ours: %v", body, r.Header)
				}
				if !strings.Contains(body, `"expiry.ahead"`) || !strings.Contains(body, `"days":7`) || strings.Contains(body, "hush") {
					t.Errorf("told: %s", body)
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("nothing was told:\n%s", log)
			}
		}
		var figures string
		within(t, "the figures are there", func() bool {
			_, figures = ask(t, a.URL()+"/metrics")
			return strings.Contains(figures, `mailroom_expiring{kind="secret"} 1`)
		})
		m := regexp.MustCompile(`mailroom_expiry_seconds\{kind="secret"\} (\S+)`).FindStringSubmatch(figures)
		if m == nil {
			t.Fatalf("no seconds left in\n%s", figures)
		}
		if left, err := strconv.ParseFloat(m[1], 64); err != nil || left < 24*3600 || left > 3*24*3600 {
			t.Errorf("%s seconds left", m[1])
		}
		stop()
		must(t, <-done)
		for _, word := range []string{"anna@", "agency.example", "hush", secret} {
			if strings.Contains(figures, word) || strings.Contains(log.String(), word) {
				t.Errorf("figures or log name %s", word)
			}
		}
	}
	if len(came) > 0 {
		t.Errorf("told again after a restart: %s", <-bodies)
	}
}

func unbase64(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	must(t, err)
	return b
}
