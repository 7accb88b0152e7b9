package static_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"mailroom/static"
)

func fetch(t *testing.T, path, encoding string) (*http.Response, string) {
	t.Helper()
	r := httptest.NewRequest("GET", path, nil)
	r.Header.Set("Accept-Encoding", encoding)
	w := httptest.NewRecorder()
	static.Handler().ServeHTTP(w, r)
	body, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Result(), string(body)
}

func TestAssetsAreKeptForEver(t *testing.T) {
	for name, kind := range map[string]string{
		"app.css": "text/css; charset=utf-8", "app.js": "text/javascript; charset=utf-8",
		"icon.svg": "image/svg+xml", "inter-latin.woff2": "font/woff2",
	} {
		url := static.URL(name)
		if !regexp.MustCompile(`^/static/[a-z-]+\.[0-9a-f]{12}\.[a-z0-9]+$`).MatchString(url) {
			t.Errorf("%s has no hash in its name: %s", name, url)
		}
		res, body := fetch(t, url, "")
		if res.StatusCode != 200 || body == "" || res.Header.Get("Content-Type") != kind || !strings.Contains(res.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d %v, %d octets", name, res.StatusCode, res.Header, len(body))
		}
	}
	if res, body := fetch(t, static.URL("app.css"), "gzip, br"); res.Header.Get("Content-Encoding") != "gzip" || len(body) > 20_000 {
		t.Errorf("the sheet is not compressed: %v, %d octets", res.Header, len(body))
	}
	if res, _ := fetch(t, "/static/app.000000000000.css", ""); res.StatusCode != 404 {
		t.Errorf("an old hash is answered with %d", res.StatusCode)
	}
}

// A name that does not resolve would be refused by the Content-Security-Policy
// or be a dead request; what the sheet names must be served here.
func TestSheetNamesOnlyAssets(t *testing.T) {
	_, sheet := fetch(t, static.URL("app.css"), "")
	for _, m := range regexp.MustCompile(`url\(([^)]*)\)`).FindAllStringSubmatch(sheet, -1) {
		path := strings.Trim(m[1], `"'`)
		if res, _ := fetch(t, path, ""); res.StatusCode != 200 {
			t.Errorf("the sheet names %s, which is not served", m[1])
		}
	}
	if strings.Contains(sheet, "gradient(") {
		t.Error("the sheet has a gradient")
	}
}
