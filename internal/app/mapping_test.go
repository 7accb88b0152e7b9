package app_test

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// TestFirstMailShowsOnThePageThatSaved: a recruiter previews a row, saves, and
// sees mail arrive on the same page, without loading it again.
func TestFirstMailShowsOnThePageThatSaved(t *testing.T) {
	g := pretendGround(t)
	a := start(t, g, "")
	_, recruiter := settle(t, a, g)
	b := newBrowser(t, a.URL())
	b.signIn(recruiter)
	b.open("/settings/integrations")
	b.fill("#username input[name=address]", g.mailbox)
	b.click("#username button")
	b.see(g.mailbox)
	b.open("/settings/integrations/oauth")
	b.click("input[name=account][value^=outlook]")
	b.press("Grant Permission")
	g.consent(b)
	b.see("It worked: permission is granted.")
	b.press("Next: map folders")
	b.at("/settings/integrations/mapping")
	b.see("Inbox (", "Folders read from the server")

	// The preview comes in its place, and leaves alone what else was done to the form.
	b.mark()
	b.click("#mapping-form .pair:first-of-type .more summary")
	b.click("#mapping-form .pair:first-of-type input[type=checkbox]")
	b.click("button[value='preview:0']")
	b.see("Nothing of it is stored", "Received", "People you know")
	b.until("the choices are still open", `document.querySelector("#mapping-form .more").open && document.querySelector("#mapping-form input[type=checkbox]").checked`)
	b.click("button[value='preview:1']")
	b.until("both previews stand", `document.querySelectorAll("#mapping-form .preview .answer").length === 2`)
	b.marked("the previews")
	b.sane()

	b.press("Save Mappings")
	saved := time.Now()
	b.see("The mappings are saved", "Undo Inbox")
	b.mark()
	b.until("the first mail shows", `[...document.querySelectorAll("#progress .what .number")].some(e => /^[1-9]/.test(e.innerText))`)
	t.Logf("the first mail showed %s after Save Mappings", time.Since(saved).Round(time.Millisecond))
	b.marked("the first mail")

	// What a reader has opened stays open while the numbers in it change.
	b.until("Inbox is up to date", `document.querySelector("#progress .state").classList.contains("ok")`)
	b.click("#progress .ledger summary")
	b.until("the sum is noted", `(window.sum = document.querySelector("#progress .ledger tfoot td").innerText)?.length > 0`)
	fresh := g.deliver()
	b.until("the new mail is counted in an open sum", `document.querySelector("#progress .ledger").open && document.querySelector("#progress .ledger tfoot td").innerText !== window.sum`)
	b.marked("the new mail")
	b.open("/mail")
	b.see(fresh)
}

// mark leaves a sign in the page that loading it again takes away.
func (b *browser) mark() {
	b.t.Helper()
	b.until("marking the page", `(window.notLoadedAgain = true)`)
}

func (b *browser) marked(what string) {
	b.t.Helper()
	if ok, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](`window.notLoadedAgain === true`)); err != nil || !ok {
		b.fail("%s came with a page that was loaded again (%v)", what, err)
	}
}
