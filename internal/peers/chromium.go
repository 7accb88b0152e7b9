package peers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/remote"
)

var devtoolsLine = regexp.MustCompile(`DevTools listening on (ws://\S+)`)

// Chromium starts a headless browser with an empty profile and returns the
// chromedp context of its first tab, 1280 by 800. The browser ends with the test;
// every step waits for its element as long as the test may last, so give a step a
// deadline where it may fail. A further tab with the same cookies is
// chromedp.NewContext(ctx); another person is another Chromium.
func Chromium(t testing.TB) context.Context {
	t.Helper()
	c, address, err := startChromium()
	if err != nil {
		t.Fatalf("Chromium: %v", err)
	}
	c.keep(t)
	allocator, stopAllocator := remote.NewAllocator(context.Background(), address, remote.NoModifyURL)
	ctx, stopTab := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		stopTab()
		stopAllocator()
	})
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1280, 800)); err != nil {
		t.Fatalf("Chromium: %v", err)
	}
	return ctx
}

func startChromium() (*child, string, error) {
	binary, err := program("chromium", "chromium-browser", "google-chrome")
	if err != nil {
		return nil, "", err
	}
	profile, err := privateDir("chromium", nil)
	if err != nil {
		return nil, "", err
	}
	args := []string{binary, "--headless=new", "--remote-debugging-port=0", "--user-data-dir=" + profile,
		"--no-first-run", "--no-default-browser-check", "--disable-gpu", "--disable-dev-shm-usage",
		"--hide-scrollbars", "--mute-audio", "--force-color-profile=srgb", "--lang=en-GB",
		"--password-store=basic", "--disable-features=Translate,MediaRouter,OptimizationHints",
		// A test's browser speaks to loopback only; these stop it from asking for more.
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic",
		"--disable-extensions", "--disable-breakpad", "--disable-client-side-phishing-detection",
		"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
		// Several browsers share two cores: none may be put to sleep.
		"--disable-background-timer-throttling", "--disable-backgrounding-occluded-windows", "--disable-renderer-backgrounding",
	}
	if os.Geteuid() == 0 {
		args = append(args, "--no-sandbox") // Chromium's sandbox refuses to serve root
	}
	c, err := start(spawn{name: "chromium", args: append(args, "about:blank"), dir: profile, stop: "KILL",
		// What it would leave in /tmp goes with the profile.
		env: []string{"TMPDIR=" + profile}})
	if err != nil {
		os.RemoveAll(profile)
		return nil, "", err
	}
	var address string
	err = c.ready(func(context.Context) error {
		found := devtoolsLine.FindStringSubmatch(c.log.String())
		if found == nil {
			return errors.New("no address was printed yet")
		}
		address = found[1]
		return nil
	})
	if err != nil {
		return nil, "", errors.Join(err, c.stop())
	}
	return c, address, nil
}

// Viewport makes the page as wide and high as given, in CSS pixels, and light or
// dark by prefers-color-scheme.
func Viewport(ctx context.Context, width, height int64, dark bool) error {
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(width, height)); err != nil {
		return err
	}
	_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme},
		// A picture taken in the middle of a transition differs from run to run.
		{Name: "prefers-reduced-motion", Value: "reduce"},
	}})
	return err
}

// Screenshot writes the whole page, however long, as a PNG to path, laid out for the given
// viewport, which stays. Fonts are waited for.
func Screenshot(ctx context.Context, path string, width, height int64, dark bool) error {
	if err := Viewport(ctx, width, height, dark); err != nil {
		return err
	}
	if err := chromedp.Do(ctx, chromedp.Evaluate[chromedp.Void](`document.fonts.ready.then(() => true)`, chromedp.EvalAwaitPromise)); err != nil {
		return fmt.Errorf("screenshot: %w", err)
	}
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		return fmt.Errorf("screenshot: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, png, 0o644)
}

// Violation is a rule of accessibility that a page breaks, as axe-core tells it.
type Violation struct {
	ID      string `json:"id"`
	Impact  string `json:"impact"`
	Help    string `json:"help"`
	HelpURL string `json:"helpUrl"`
	Nodes   []struct {
		HTML    string `json:"html"`
		Summary string `json:"failureSummary"`
	} `json:"nodes"`
}

func (v Violation) String() string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s (%s): %s", v.ID, v.Impact, v.Help)
	for _, n := range v.Nodes {
		fmt.Fprintf(&out, "\n  %s\n    %s", n.HTML, strings.ReplaceAll(n.Summary, "\n", "\n    "))
	}
	return out.String()
}

// Axe runs axe-core's rules for WCAG 2.2 A and AA and its best practices over the
// page as it stands, and returns what it breaks. The debugger puts the script
// there, so a content security policy does not stop it. Frames are left out: they
// are pages of their own.
func Axe(ctx context.Context) ([]Violation, error) {
	npm, err := npmDir()
	if err != nil {
		return nil, err
	}
	script, err := os.ReadFile(filepath.Join(npm, "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		return nil, fmt.Errorf("axe-core: %w: %s", err, setupHint)
	}
	const run = `axe.run(document, {resultTypes: ['violations'], iframes: false}).then((r) => JSON.stringify(r.violations))`
	if err := chromedp.Do(ctx, chromedp.Evaluate[chromedp.Void](string(script)+"; true")); err != nil {
		return nil, fmt.Errorf("axe-core: %w", err)
	}
	found, err := chromedp.Run(ctx, chromedp.Evaluate[string](run, chromedp.EvalAwaitPromise))
	if err != nil {
		return nil, fmt.Errorf("axe-core: %w", err)
	}
	var violations []Violation
	return violations, json.Unmarshal([]byte(found), &violations)
}
