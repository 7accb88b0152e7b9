package app_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"mailroom/internal/app"
	"mailroom/internal/mailroom"
	"mailroom/internal/peers"
	"mailroom/internal/portal"
	"mailroom/internal/pretend/world"
)

// looks are the ways in which a page is looked at.
var looks = []struct {
	name  string
	width int64
	dark  bool
}{{"light", 1280, false}, {"dark", 1280, true}, {"phone", 390, false}, {"phone-dark", 390, true}}

// TestScreenshots visits every page in the pretend world, light and dark, wide
// and narrow: axe-core finds nothing, nothing is wider than the window, and no
// text is missing. SCREENSHOTS names a folder for the pictures, Dutch ones too
// (make screenshots).
func TestScreenshots(t *testing.T) {
	w, err := world.Start(world.Options{Large: 400, RedirectURIs: []string{"http://127.0.0.1/oauth/callback/microsoft"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	g := ground{providers: mailroom.Providers{w.Provider()}, mailbox: w.Users[0].Mailbox, known: "no such subject", people: w.PeopleCSV()}
	a := start(t, g, "")
	users := furnish(t, a, w)
	sanne, thomas, marieke := users[0], users[1], users[2]

	v := visit{browser: newBrowser(t, a.URL()), dir: os.Getenv("SCREENSHOTS")}
	v.page("signin", "/sign-in")
	v.page("setup-used", "/setup?token=gone")

	v.signIn(account{sanne.Email, w.Users[0].Password})
	v.page("integrations-empty", "/settings/integrations")
	v.page("mail-empty", "/mail")
	v.page("mapping-empty", "/settings/integrations/mapping")
	connect(v.browser, w.Users[0].Mailbox)
	v.page("oauth-granted", "/settings/integrations/oauth")
	v.page("mapping-new", "/settings/integrations/mapping")
	v.open("/settings/integrations/mapping")
	v.see("Inbox (")
	v.click("button[value='preview:0']")
	v.see("Nothing of it is stored")
	v.here("mapping-preview")
	v.open("/settings/integrations/mapping")
	v.see("Inbox (")
	v.press("Save Mappings")
	v.see("The mappings are saved")
	upToDate(t, a, sanne)
	v.page("integrations", "/settings/integrations")
	v.page("mapping", "/settings/integrations/mapping")
	v.page("licence", "/settings/integrations/licence")
	v.page("mapping-undo", v.link("/settings/integrations/mapping", "#progress a[href$='/undo']"))
	v.page("oauth-revoke", "/settings/integrations/oauth/revoke")
	v.page("username-change", "/settings/integrations/username?address=other@havenlicht.example")
	v.page("mail", "/mail")
	v.page("mail-all", "/mail?folder=all")
	v.page("mail-search", "/mail?q=gesprek")
	v.page("mail-search-none", "/mail?q=zeppelinbouwer")
	v.page("message", v.link("/mail?folder=all", "#mails a[href^='/mail/msg']"))
	v.trail("trail", "/mail/trail", "gesprek")
	v.trail("trail-none", "/mail/trail", "<never-sent@nowhere.example>")
	v.ask("/mail/trail", "<never-sent@nowhere.example>")
	v.press("Look in the mailbox itself")
	v.see("In the mailbox itself")
	v.here("trail-looked")
	v.page("choices", "/mail/choices")
	v.page("quarantine", "/mail/quarantine")
	v.page("people", "/people")
	v.page("people-new", "/people/new")
	v.page("people-import", "/people/import")
	v.page("person", v.link("/people", "main a[href^='/people/per']"))
	v.page("profile", "/settings/profile")
	v.page("help", "/help")
	for _, p := range []string{"username", "password", "oauth", "mapping"} {
		v.page("help-"+p, "/help/"+p)
	}
	v.page("not-found", "/nowhere")

	v.signOut()
	v.signIn(account{thomas.Email, w.Users[1].Password})
	v.open("/settings/integrations")
	v.see("IMAP Username")
	refused(v, "needs-admin@"+world.Domain)
	v.click("form[action='/settings/integrations/consent-link'] button")
	v.see("Send this link")
	v.here("consent-own")
	invitation := strings.TrimPrefix(strings.TrimSpace(v.value("document.querySelector('#link').textContent")), a.URL())

	v.signOut()
	v.page("invitation", invitation)
	v.page("invitation-forged", invitation+"x")
	v.page("errors", "/help/errors")
	v.signIn(account{marieke.Email, w.Users[2].Password})
	v.page("syncstate", "/admin/sync")
	v.page("syncstate-trouble", "/admin/sync?trouble=1")
	v.page("runs", v.link("/admin/sync", "main a[href^='/admin/sync/runs/']"))
	v.trail("trail-blind", v.link("/admin/sync", "main a[href^='/admin/sync/trail/']"), "<never-sent@nowhere.example>")
	v.page("users", "/admin/users")
	v.page("users-new", "/admin/users/new")
	v.page("organization", "/admin/organization")
	v.page("audit", "/admin/audit")
	v.page("doctor-empty", "/admin/doctor")
	lookInto(v, "needs-admin@"+world.Domain, w.Users[2].Email)
	v.here("doctor-report")
	v.page("doctor", "/admin/doctor")
	v.page("consent", "/admin/consent")
	v.page("providers", "/admin/providers")
	v.page("provider", v.link("/admin/providers", "#providers a[href^='/admin/providers/']"))
	v.page("provider-new", "/admin/providers/new")
	v.page("expiry", "/admin/expiry")
}

// furnish makes the world's organization and people, as the demo does.
func furnish(t *testing.T, a *app.App, w *world.World) []mailroom.User {
	t.Helper()
	ctx := t.Context()
	admin := w.Users[2]
	boss, err := a.Portal.AddOrganization(ctx, portal.SetupForm{Organization: w.Organization, Name: admin.Name, Email: admin.Email, Password: admin.Password})
	if err != nil {
		t.Fatal(err)
	}
	var users []mailroom.User
	for _, u := range w.Users[:2] {
		added, _, err := a.Portal.AddUser(ctx, boss, portal.UserForm{Email: u.Email, Name: u.Name, Role: mailroom.Recruiter})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Portal.SetPassword(ctx, boss, added.ID, u.Password); err != nil {
			t.Fatal(err)
		}
		users = append(users, added)
	}
	if _, err := a.Portal.ImportPeople(ctx, boss, strings.NewReader(string(w.PeopleCSV()))); err != nil {
		t.Fatal(err)
	}
	return append(users, boss)
}

// connect enters the username and grants permission at the pretend provider.
func connect(b *browser, mailbox string) {
	b.open("/settings/integrations")
	b.fill("#username input[name=address]", mailbox)
	b.click("#username button")
	b.see(mailbox)
	b.open("/settings/integrations/oauth")
	b.click("input[name=account][value^=outlook]")
	b.press("Grant Permission")
	b.click("[data-account='" + mailbox + "']")
	b.click("#consent-accept")
	b.see("It worked: permission is granted.")
}

// refused enters an address whose company lets nobody consent but administrators.
func refused(v visit, mailbox string) {
	v.fill("#username input[name=address]", mailbox)
	v.click("#username button")
	v.see(mailbox)
	v.open("/settings/integrations/oauth")
	v.click("input[name=account][value^=outlook]")
	v.press("Grant Permission")
	v.click("[data-account='" + mailbox + "']")
	v.click("#return")
	v.see("Permission was not granted")
	v.here("oauth-refused")
}

// upToDate waits until a user's mailbox has no backlog.
func upToDate(t *testing.T, a *app.App, u mailroom.User) {
	t.Helper()
	within(t, "the mailbox is up to date", func() bool {
		v, err := a.Portal.Integrations(t.Context(), u)
		return err == nil && v.State == mailroom.StateUpToDate
	})
}

type visit struct {
	*browser
	dir string
}

// page looks at a page in every way.
func (v visit) page(name, path string) {
	v.t.Helper()
	v.open(path)
	v.here(name)
}

// trail asks why a mail is, or is not, in OTYS.
func (v visit) trail(name, path, text string) {
	v.t.Helper()
	v.ask(path, text)
	v.here(name)
}

// ask is trail without the look. An answer is gone once the language changes:
// nothing that was pasted stands in an address.
func (v visit) ask(path, text string) {
	v.t.Helper()
	v.open(path)
	v.fill("main form[role=search] input[name=text]", text)
	v.click("main form[role=search] button")
	v.until("an answer", `document.querySelector("#answer") !== null`)
}

func (v visit) here(name string) {
	v.t.Helper()
	for _, l := range looks {
		if err := peers.Viewport(v.ctx, l.width, 900, l.dark); err != nil {
			v.fail("%s: %v", name, err)
		}
		v.complain(name + " " + l.name)
		if v.dir != "" {
			if err := peers.Screenshot(v.ctx, filepath.Join(v.dir, name+"-"+l.name+".png"), l.width, 900, l.dark); err != nil {
				v.t.Error(err)
			}
		}
	}
	if v.dir != "" {
		v.dutch(name)
		v.window(name)
	}
	peers.Viewport(v.ctx, 1280, 900, false)
}

// windows are the pictures that README shows: what fits a window, and no more.
var windows = map[string]bool{"integrations": false, "mail": false, "syncstate": true}

func (v visit) window(name string) {
	v.t.Helper()
	dark, ok := windows[name]
	if !ok {
		return
	}
	if err := peers.Viewport(v.ctx, 1280, 800, dark); err != nil {
		v.fail("%s: %v", name, err)
	}
	png, err := chromedp.Run(v.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		v.fail("%s: %v", name, err)
	}
	if err := os.WriteFile(filepath.Join(v.dir, "readme-"+name+".png"), png, 0o644); err != nil {
		v.t.Error(err)
	}
}

// complain tells what a person would: what axe-core finds, what hangs over the
// edge, which words are missing.
func (v visit) complain(what string) {
	v.t.Helper()
	bad, err := peers.Axe(v.ctx)
	if err != nil {
		v.fail("%s: axe: %v", what, err)
	}
	for _, b := range bad {
		v.t.Errorf("%s: %s", what, b)
	}
	ctx, cancel := context.WithTimeout(v.ctx, patience)
	defer cancel()
	over, err := chromedp.Run(ctx, chromedp.Evaluate[float64](`document.documentElement.scrollWidth - document.documentElement.clientWidth`))
	if err != nil || over > 0 {
		v.t.Errorf("%s: %v px wider than the window (%v)", what, over, err)
	}
	if text := v.text(); strings.Contains(text, "⟦") || strings.Contains(text, "%!") {
		v.t.Errorf("%s: a text is missing:\n%s", what, text)
	}
}

// dutch takes the picture that a Dutch browser gets of the same page.
func (v visit) dutch(name string) {
	v.t.Helper()
	v.speak("nl")
	if err := peers.Screenshot(v.ctx, filepath.Join(v.dir, name+"-dutch.png"), 1280, 900, false); err != nil {
		v.t.Error(err)
	}
	v.speak("en")
}

// speak chooses a language by the form that every page has, and comes back.
func (v visit) speak(lang string) {
	v.t.Helper()
	here, err := chromedp.Run(v.ctx, chromedp.Location())
	if err != nil {
		v.fail("where am I: %v", err)
	}
	v.until("choosing "+lang, `(() => { const b = document.querySelector("form[action='/language'] [value='`+lang+`']"); if (!b) return document.documentElement.lang === '`+lang+`'; b.click(); return true })()`)
	v.until("speaking "+lang, `document.documentElement.lang === '`+lang+`'`)
	v.do("coming back", chromedp.Navigate(here))
}

func (v visit) signOut() {
	v.t.Helper()
	v.open("/settings/profile")
	v.until("signing out", `(() => { const f = document.querySelector("form[action='/sign-out']"); if (!f) return location.pathname === '/sign-in'; f.requestSubmit(); return false })()`)
}

// link is where the first such link on a page leads.
func (v visit) link(path, sel string) string {
	v.t.Helper()
	v.open(path)
	v.wait(sel)
	href, err := chromedp.Run(v.ctx, chromedp.Evaluate[string](`document.querySelector("`+sel+`").getAttribute('href')`))
	if err != nil {
		v.fail("%s: %v", sel, err)
	}
	return href
}
