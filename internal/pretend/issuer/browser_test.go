package issuer_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"golang.org/x/oauth2"

	"mailroom/internal/peers"
	"mailroom/internal/pretend/issuer"
)

// TestPagesInChromium proves what only a browser can: that the policy lets the forms through to the
// application, that axe finds nothing, and that nothing sticks out on a telephone.
func TestPagesInChromium(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "<!doctype html><html lang=en><title>App</title><h1 id=app>%s %s</h1>", r.URL.Query().Get("error"), r.URL.Query().Get("code"))
	}))
	defer app.Close()
	s := start(t, issuer.Options{})
	s.AllowRedirect(app.URL + "/cb")
	cfg := config(s)
	cfg.RedirectURL = app.URL + "/cb"
	authURL := cfg.AuthCodeURL("st", oauth2.S256ChallengeOption(oauth2.GenerateVerifier()), oauth2.SetAuthURLParam("prompt", "select_account"), oauth2.SetAuthURLParam("login_hint", "nobody@agency.example"))

	ctx, cancel := context.WithTimeout(peers.Chromium(t), time.Minute)
	defer cancel()
	do := func(actions ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(ctx, actions...); err != nil {
			t.Fatal(err)
		}
	}
	look := func(name string) {
		t.Helper()
		for _, v := range []struct {
			width int64
			dark  bool
		}{{1280, false}, {1280, true}, {390, false}, {390, true}} {
			if err := peers.Viewport(ctx, v.width, 844, v.dark); err != nil {
				t.Fatal(err)
			}
			found, err := peers.Axe(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range found {
				t.Errorf("%s at %d, dark %v: %v", name, v.width, v.dark, f)
			}
			wide, err := chromedp.Run(ctx, chromedp.Evaluate[int64]("document.documentElement.scrollWidth"))
			if err != nil || wide > v.width {
				t.Errorf("%s is %d wide at %d: %v", name, wide, v.width, err)
			}
			if dir := os.Getenv("PRETEND_SCREENSHOTS"); dir != "" {
				if err := peers.Screenshot(ctx, filepath.Join(dir, fmt.Sprintf("%s-%d-%v.png", name, v.width, v.dark)), v.width, 844, v.dark); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	arrived := func(want string) {
		t.Helper()
		do(chromedp.WaitVisible(chromedp.CSS("#app")))
		got, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS("#app")))
		if err != nil || !strings.HasPrefix(strings.TrimSpace(got), want) {
			t.Errorf("the application got %q, %v; want %q", got, err, want)
		}
	}

	do(chromedp.Navigate(authURL))
	look("picker")
	do(chromedp.Click(chromedp.CSS(`[data-account="` + sanne + `"]`)))
	do(chromedp.WaitVisible(chromedp.CSS("#consent-accept")))
	look("consent")
	do(chromedp.Click(chromedp.CSS("#consent-cancel")))
	arrived("access_denied")

	do(chromedp.Navigate(authURL), chromedp.Click(chromedp.CSS(`[data-account="`+sanne+`"]`)), chromedp.Click(chromedp.CSS("#consent-accept")))
	arrived("0.pretend.")

	do(chromedp.Navigate(authURL), chromedp.Click(chromedp.CSS(`[data-account="needs-admin@agency.example"]`)), chromedp.WaitVisible(chromedp.CSS("#return")))
	look("refusal")
	do(chromedp.Click(chromedp.CSS("#return")))
	arrived("access_denied")

	do(chromedp.Navigate(strings.Replace(authURL, "client_id=", "client_id=x", 1)))
	look("error")

	do(chromedp.Navigate(s.URL()), chromedp.WaitVisible(chromedp.CSS("#switch-down")))
	look("home")
	if err := s.AddAccount(issuer.Account{Email: it, Name: "Ilse Kramer", Admin: true}); err != nil {
		t.Fatal(err)
	}
	do(chromedp.Navigate(strings.Replace(consentLink(s, "organizations", imapAll+" offline_access openid"), url.QueryEscape(reported), url.QueryEscape(app.URL+"/cb"), 1)))
	look("admin-picker")
	do(chromedp.Click(chromedp.CSS(`[data-account="`+it+`"]`)), chromedp.WaitVisible(chromedp.CSS("#consent-accept")))
	look("admin-consent")
	do(chromedp.Click(chromedp.CSS("#consent-accept")), chromedp.WaitVisible(chromedp.CSS("#app")))
	if len(s.AdminConsent(s.ClientID, s.TenantID)) == 0 {
		t.Error("accepted, and nothing was consented to")
	}
	do(chromedp.Navigate(strings.Replace(authURL, "select_account", "consent", 1)), chromedp.Click(chromedp.CSS(`[data-account="`+it+`"]`)), chromedp.WaitVisible(chromedp.CSS("#everybody")))
	look("consent-of-an-administrator")
}
