package app_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"mailroom/internal/peers"
)

// browser is a person at a browser: what cannot be seen or pressed fails the
// test, with a picture.
type browser struct {
	t    *testing.T
	ctx  context.Context
	base string
}

func newBrowser(t *testing.T, base string) *browser {
	return &browser{t: t, ctx: peers.Chromium(t), base: base}
}

const patience = 25 * time.Second

func (b *browser) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.fail("%s: %v", what, err)
	}
}

func (b *browser) fail(format string, args ...any) {
	b.t.Helper()
	url, _ := chromedp.Run(b.ctx, chromedp.Location())
	if dir := os.Getenv("MAILROOM_TEST_PICTURES"); dir != "" {
		peers.Screenshot(b.ctx, filepath.Join(dir, strings.NewReplacer("/", "_", " ", "_", ",", "").Replace(b.t.Name())+".png"), 1280, 900, false)
	}
	b.t.Fatalf("%s\nat %s, which shows:\n%s", fmt.Sprintf(format, args...), strings.SplitN(url, "?", 2)[0], b.text())
}

func (b *browser) open(path string) {
	b.t.Helper()
	b.do("opening "+path, chromedp.Navigate(b.base+path))
}

func (b *browser) wait(sel string) {
	b.t.Helper()
	b.do("waiting for "+sel, chromedp.WaitVisible(chromedp.CSS(sel)))
}

func (b *browser) fill(sel, text string) {
	b.t.Helper()
	b.do("filling in "+sel, chromedp.WaitVisible(chromedp.CSS(sel)), chromedp.SetValue(chromedp.CSS(sel), text))
}

func (b *browser) click(sel string) {
	b.t.Helper()
	b.do("clicking "+sel, chromedp.WaitVisible(chromedp.CSS(sel)), chromedp.Click(chromedp.CSS(sel)))
}

func (b *browser) submit(form string) {
	b.t.Helper()
	b.click(form + " button:not([tabindex='-1'])")
}

// press clicks the visible button or link whose text holds words; in a dialog
// if there is one.
func (b *browser) press(words string) {
	b.t.Helper()
	find := fmt.Sprintf(`(() => {
		const scope = document.querySelector('dialog[open], [role=dialog]') || document;
		const hit = [...scope.querySelectorAll('button, a')].find(e => e.tabIndex >= 0 && e.checkVisibility() && e.innerText.includes(%q));
		if (!hit) return false;
		hit.scrollIntoView({block: 'center'}); hit.click(); return true;
	})()`, words)
	b.until(fmt.Sprintf("pressing %q", words), find)
}

// see waits until the page shows all of the words.
func (b *browser) see(words ...string) {
	b.t.Helper()
	for _, w := range words {
		b.until(fmt.Sprintf("seeing %q", w), fmt.Sprintf(`(document.body?.innerText + ' ' + [...document.querySelectorAll('option')].map(o => o.textContent).join(' ')).includes(%q)`, w))
	}
}

// until evaluates a condition, over page loads, until it is true.
func (b *browser) until(what, condition string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	for ctx.Err() == nil {
		// While a page is being left there is nothing to ask; the next look will do.
		if ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](condition)); err == nil && ok {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond): // a browser has no signal for "the words are there"
		}
	}
	b.fail("%s: not within %s", what, patience)
}

// at waits until a page whose path begins so is there: the one before may show
// the same words.
func (b *browser) at(path string) {
	b.t.Helper()
	b.until("being at "+path, fmt.Sprintf(`location.pathname.startsWith(%q) && document.readyState === 'complete'`, path))
}

func (b *browser) text() string {
	text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.body ? document.body.innerText : ''`))
	if err != nil {
		return err.Error()
	}
	return text
}

func (b *browser) signIn(who account) {
	b.t.Helper()
	b.open("/sign-in")
	b.fill("input[name=email]", who.email)
	b.fill("input[name=password]", who.password)
	b.submit("form[action='/sign-in']")
	b.until("leaving the sign-in page", `location.pathname !== '/sign-in'`)
}

// sane: axe-core finds nothing to complain of.
func (b *browser) sane() {
	b.t.Helper()
	bad, err := peers.Axe(b.ctx)
	if err != nil {
		b.fail("axe: %v", err)
	}
	for _, v := range bad {
		b.t.Errorf("%s", v)
	}
}
