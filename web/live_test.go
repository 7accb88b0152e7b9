package web

import (
	"context"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"mailroom/internal/mailroom"
	"mailroom/internal/peers"
)

// eventually waits until a JavaScript expression is true in the page.
func eventually(t *testing.T, ctx context.Context, expression, what string) {
	t.Helper()
	ctx, stop := context.WithTimeout(ctx, 20*time.Second)
	defer stop()
	for {
		is, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`Boolean(`+expression+`)`))
		if err == nil && is {
			return
		}
		select { // an error may be a page that is just being left
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// What htmx adds, in a browser: the live list of folders comes by itself, and
// what was chosen meanwhile stays chosen; states change without a click.
func TestMappingPageIsLive(t *testing.T) {
	s := openSite(t)
	u := s.addUser("Noor Visser", "noor@werk.example", mailroom.Recruiter)
	s.connected(u)
	release := make(chan struct{})
	s.server.setHold(release)

	ctx := peers.Chromium(t)
	listenForComplaints(t, ctx)
	signInBrowser(t, ctx, s, u)
	if err := chromedp.Do(ctx, chromedp.Navigate(s.URL+mappingPath)); err != nil {
		t.Fatal(err)
	}
	eventually(t, ctx, `document.querySelector("#mapping-form .waiting")?.offsetParent !== null`, "no visible wait for the live list")
	choose := `(() => { const s = document.querySelector("[name='rows.0.since']"); s.value = "2026-02-03"; return true })()`
	if err := chromedp.Do(ctx, chromedp.Evaluate[chromedp.Void](choose)); err != nil {
		t.Fatal(err)
	}
	close(release)
	eventually(t, ctx, `document.querySelector("#mapping-form").innerText.includes("Folders read from the server")`, "the live list does not come by itself")
	eventually(t, ctx, `document.querySelector("[name='rows.0.since']").value === "2026-02-03"`, "what was typed while waiting is lost")

	// Choosing another folder says at once what it means.
	another := `(() => { const s = document.querySelector("[name='rows.1.folder']"); s.value = "Archief"; s.dispatchEvent(new Event("change", {bubbles: true})); return true })()`
	if err := chromedp.Do(ctx, chromedp.Evaluate[chromedp.Void](another)); err != nil {
		t.Fatal(err)
	}
	eventually(t, ctx, `document.querySelector("#mapping-form").innerText.includes("12,044 messages")`, "the size of the chosen folder is not explained")

	// A row is added without the page being loaded anew.
	if err := chromedp.Do(ctx, chromedp.Evaluate[chromedp.Void](`(window.same = true, true)`), chromedp.Click(chromedp.CSS(`button[value=add]`))); err != nil {
		t.Fatal(err)
	}
	eventually(t, ctx, `window.same && document.querySelector("[name='rows.2.folder']") && document.querySelector("[name='rows.1.folder']").value === "Archief"`, "no row is added in place")

	page, err := s.portal.MappingPage(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.portal.PauseMapping(t.Context(), u, page.Rows[0].Mapping.ID); err != nil {
		t.Fatal(err)
	}
	eventually(t, ctx, `document.querySelector("#mapping-progress").innerText.includes("Paused")`, "a change elsewhere does not reach the page")
	eventually(t, ctx, `document.querySelector("[name='rows.1.folder']").value === "Archief"`, "the page's own refresh loses what was chosen")
}

// Escape leaves a dialog, and only the fields of the chosen account show.
func TestDialogMindsTheKeyboard(t *testing.T) {
	s := openSite(t)
	ctx := peers.Chromium(t)
	listenForComplaints(t, ctx)
	signInBrowser(t, ctx, s, s.admin)
	b := s.as(s.admin)
	b.post(integrationsPath+"/username", "address", s.admin.Email).wants(303)
	if err := chromedp.Do(ctx, chromedp.Navigate(s.URL+activationPath)); err != nil {
		t.Fatal(err)
	}
	eventually(t, ctx, `document.querySelector("[name=host]").offsetParent === null`, "the server's fields show for Outlook")
	eventually(t, ctx, `document.activeElement.closest("dialog") !== null && document.querySelector(".top").inert`, "the focus is behind the dialog")
	if err := chromedp.Do(ctx, chromedp.Click(chromedp.CSS(`input[value="other:"]`))); err != nil {
		t.Fatal(err)
	}
	eventually(t, ctx, `document.querySelector("[name=host]").offsetParent !== null`, "the server's fields do not show for Other")
	eventually(t, ctx, `[...document.querySelectorAll("dialog .actions button")].filter((b) => b.offsetParent).map((b) => b.textContent).join() === "Save account"`, "the button does not say what it does")
	press := `document.dispatchEvent(new KeyboardEvent("keydown", {key: "Escape", bubbles: true, cancelable: true})), true`
	if err := chromedp.Do(ctx, chromedp.Evaluate[chromedp.Void](press)); err != nil {
		t.Fatal(err)
	}
	eventually(t, ctx, `location.pathname === "/settings/integrations"`, "Escape does not leave the dialog")
}
