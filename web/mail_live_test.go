package web

import (
	"context"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"mailroom/internal/peers"
)

// New mail appears in an open list without a click, with the folder's count;
// people are found while one types.
func TestMailboxIsLive(t *testing.T) {
	a := openAgency(t)
	ctx := peers.Chromium(t)
	listenForComplaints(t, ctx)
	signInBrowser(t, ctx, a.site, a.noor)
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	do := func(actions ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(ctx, actions...); err != nil {
			t.Fatal(err)
		}
	}
	until := func(what, condition string) {
		t.Helper()
		ctx, stop := context.WithTimeout(ctx, 20*time.Second)
		defer stop()
		script := `new Promise(done => { const look = () => (` + condition + `) ? done(true) : setTimeout(look, 50); look(); })`
		if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](script, chromedp.EvalAwaitPromise)); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	do(chromedp.Navigate(a.URL + "/mail"))
	until("the list", `document.querySelectorAll("#mails li").length === 14`)
	a.post.brings("INBOX", letter{from: "Carla Meijer <carla@home.example>", to: a.noor.Email, subject: "Fresh from Carla", at: time.Now(), body: "Hello again."})
	until("the new mail at the top", `document.querySelector("#mails li .what a").innerText.includes("Fresh from Carla")`)
	until("the folder's count", `document.querySelector("#mail-folders [aria-current] .count").innerText.trim().startsWith("4")`)

	do(chromedp.Navigate(a.URL+"/mail/"+a.ids["Nieuwsbrief november"]), chromedp.SendKeys(chromedp.CSS("#by-hand"), "petra"))
	until("a person found while typing", `document.querySelector("#found").innerText.includes("Petra Smit")`)
	do(chromedp.Click(chromedp.CSS("#found button")))
	until("the person linked", `document.querySelector(".linked")?.innerText.includes("Petra Smit")`)
}
