package web

import (
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"mailroom/internal/mailroom"
	"mailroom/internal/peers"
)

func TestZZShot(t *testing.T) {
	s := openSite(t)
	noor, b, path := s.sent()
	_ = noor
	dir := "/tmp/shots/consent/"
	ctx := peers.Chromium(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	shot := func(name, p string, width int64, dark bool, lang, cookie string) {
		if only := os.Getenv("ONLY"); only != "" && !strings.Contains(name, only) {
			return
		}
		scheme := "light"
		if dark {
			scheme = "dark"
		}
		_ = scheme
		_, err = chromedp.Call(ctx, network.Enable, network.EnableParams{})
		must(err)
		_, err = chromedp.Call(ctx, network.ClearBrowserCookies, cdp.Empty{})
		must(err)
		_, err = chromedp.Call(ctx, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Accept-Language": lang}})
		must(err)
		if cookie != "" {
			_, err = chromedp.Call(ctx, network.SetCookie, network.SetCookieParams{Name: "mailroom", Value: cookie, URL: s.URL + "/"})
			must(err)
		}
		must(peers.Viewport(ctx, width, 900, dark))
		must(chromedp.Do(ctx, chromedp.Navigate(s.URL+p)))
		wide, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("document.documentElement.scrollWidth > innerWidth + 1"))
		must(err)
		must(peers.Screenshot(ctx, dir+name+".png", width, 900, dark))
		if wide {
			t.Errorf("%s is wider than its window", name)
		}
		v, err := peers.Axe(ctx)
		if err != nil {
			t.Error(err)
		}
		for _, x := range v {
			t.Errorf("%s: %s", name, x)
		}
	}
	all := func(name, p, cookie string) {
		shot(name, p, 1180, false, "en", cookie)
		shot(name+"-phone", p, 390, false, "en", cookie)
		shot(name+"-nl-dark", p, 1180, true, "nl", cookie)
	}
	it := s.browser()
	all("own-sent", ownConsentPath, b.cookie())
	all("page", path, "")
	if os.Getenv("ONLY") == "" || os.Getenv("ONLY") == "print" {
		must(chromedp.Do(ctx, chromedp.Navigate(s.URL+path)))
		width, height := 8.27, 11.69
		out, err := chromedp.Call(ctx, page.PrintToPDF, page.PrintToPDFParams{PaperWidth: width, PaperHeight: height})
		must(err)
		os.WriteFile(dir+"page.pdf", out.Data, 0o644)
	}
	st := url.QueryEscape(left(it, path).Get("state"))
	it.get("/consent/callback/microsoft?error=access_denied&error_description=AADSTS65004&state=" + st)
	all("declined", path, "")
	shot("own-declined", ownConsentPath, 1180, false, "en", b.cookie())
	st = url.QueryEscape(left(it, path).Get("state"))
	it.get(callback + st)
	all("reported", path, "")
	shot("own-reported", ownConsentPath, 1180, false, "en", b.cookie())
	it.get(callback + st)
	shot("answer", "/consent/answer", 1180, false, "en", it.cookie())
	shot("forged", "/consent/x", 390, false, "nl", "")
	a := s.as(s.admin)
	s.addUser("Bram Vos", "bram@elders.example", mailroom.Recruiter)
	sqlExec(t, s, `INSERT INTO mailboxes(id, org_id, user_id, address, account, provider_id, created_at) SELECT 'mbx_bram', org_id, id, 'bram@elders.example', 'outlook', 'microsoft', 1 FROM users WHERE email = 'bram@elders.example'`)
	a.post(consentsPath+"/links", "provider", "microsoft", "tenant", "")
	all("admin", consentsPath, a.cookie())
	shot("admin-link", a.get(consentsPath).attr("#links-microsoft th a", "href"), 1180, false, "en", a.cookie())
	s.store.ProveTenant(t.Context(), s.admin.OrgID, "microsoft", aTenant, mailroom.ProvedByDoctor)
	all("proved", path, "")
	shot("own-proved", ownConsentPath, 1180, false, "en", b.cookie())
	shot("admin-proved", consentsPath, 1180, false, "en", a.cookie())
}
