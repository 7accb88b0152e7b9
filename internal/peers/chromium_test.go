package peers_test

import (
	"context"
	"image"
	_ "image/png"
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
)

const strictPage = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A page</title>
<link rel="stylesheet" href="/style.css"></head><body><main><h1>Hello</h1>%s</main></body></html>`

// site serves one page under the policy that Mailroom's own pages have.
func site(t *testing.T, body string) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/style.css" {
			w.Header().Set("Content-Type", "text/css")
			w.Write([]byte(`:root{color-scheme:light dark} body{background:light-dark(#ffffff,#000000);color:light-dark(#000000,#ffffff);height:2000px;margin:0}`))
			return
		}
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'")
		w.Header().Set("Content-Type", "text/html")
		w.Write([]byte(strings.Replace(strictPage, "%s", body, 1)))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestChromiumTakesPicturesInLightAndDark(t *testing.T) {
	ctx := peers.Chromium(t)
	if err := chromedp.Do(ctx, chromedp.Navigate(site(t, ""))); err != nil {
		t.Fatal(err)
	}
	corner := map[bool]uint32{}
	for _, dark := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "pictures", "page.png")
		if err := peers.Screenshot(ctx, path, 390, 844, dark); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		picture, _, err := image.Decode(file)
		if err != nil {
			t.Fatal(err)
		}
		if size := picture.Bounds().Size(); size.X != 390 || size.Y < 1900 {
			t.Errorf("the picture is %v", size)
		}
		corner[dark], _, _, _ = picture.At(389, 1000).RGBA()
	}
	if corner[false] != 0xffff || corner[true] != 0 {
		t.Errorf("light is %x and dark is %x", corner[false], corner[true])
	}
}

func TestAxeFindsWhatIsWrongUnderAStrictPolicy(t *testing.T) {
	ctx := peers.Chromium(t)
	axe := func(body string) []peers.Violation {
		t.Helper()
		if err := chromedp.Do(ctx, chromedp.Navigate(site(t, body))); err != nil {
			t.Fatal(err)
		}
		found, err := peers.Axe(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if found := axe(`<p><label>Name <input></label></p>`); len(found) != 0 {
		t.Errorf("a good page is said to break %v", found)
	}
	found := axe(`<p><input></p>`)
	if len(found) != 1 || found[0].ID != "label" || !strings.Contains(found[0].String(), "<input>") {
		t.Errorf("an input without a label gives %v", found)
	}
}

// The errand's browser test walks the provider's pages by these ids.
func TestChromiumGrantsAtTheProvider(t *testing.T) {
	op := peers.OIDCProvider(t, peers.OIDCOptions{Accounts: []peers.OIDCAccount{{Email: rik, Name: "Rik"}}})
	came := make(chan url.Values, 1)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/oauth/callback" {
			came <- r.URL.Query()
		}
		w.Write([]byte("<title>Back</title>"))
	}))
	defer app.Close()
	config := op.Config()
	config.RedirectURL = app.URL + "/oauth/callback"
	verifier := oauth2.GenerateVerifier()
	start := config.AuthCodeURL("s", oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("prompt", "consent"), oauth2.SetAuthURLParam("login_hint", rik))

	ctx := peers.Chromium(t)
	if err := chromedp.Do(ctx, chromedp.Navigate(start)); err != nil {
		t.Fatal(err)
	}
	if hint, err := chromedp.Run(ctx, chromedp.Value(chromedp.CSS("#login"))); hint != rik || err != nil {
		t.Errorf("the sign-in page suggests %q (%v)", hint, err)
	}
	err := chromedp.Do(ctx,
		chromedp.SetValue(chromedp.CSS("#login"), "stranger@example.org"),
		chromedp.Click(chromedp.CSS("#signin")),
		chromedp.WaitVisible(chromedp.CSS("#complaint")),
		chromedp.SetValue(chromedp.CSS("#login"), rik),
		chromedp.Click(chromedp.CSS("#signin")),
		chromedp.WaitVisible(chromedp.CSS("#consent")))
	if err != nil {
		t.Fatal(err)
	}
	if account, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS("#account"))); account != rik || err != nil {
		t.Errorf("the consent page asks %q (%v)", account, err)
	}
	if err := chromedp.Do(ctx, chromedp.Click(chromedp.CSS("#consent"))); err != nil {
		t.Fatal(err)
	}
	select {
	case answer := <-came:
		token, err := config.Exchange(context.Background(), answer.Get("code"), oauth2.VerifierOption(verifier))
		if err != nil || token.RefreshToken == "" {
			t.Errorf("exchange: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the browser did not come back")
	}
}
