package oauth_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	stdlog "log"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"mailroom/internal/i18n"
	"mailroom/internal/mailroom"
	"mailroom/internal/oauth"
)

func refusal(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

func TestRefreshRefusals(t *testing.T) {
	ms := func(oauthError string, code int, more string) string {
		return fmt.Sprintf(`{"error":%q,"error_description":"AADSTS%d: words with %s in them. Trace ID: 11111111-aaaa-bbbb-cccc-222222222222 Correlation ID: 33333333-aaaa-bbbb-cccc-444444444444","error_codes":[%d],"trace_id":"11111111-aaaa-bbbb-cccc-222222222222","correlation_id":"33333333-aaaa-bbbb-cccc-444444444444"%s}`,
			oauthError, code, "anna@example.org", code, more)
	}
	for _, c := range []struct {
		name   string
		status int
		body   string
		kind   mailroom.Kind
		key    string
	}{
		{"plain invalid_grant", 400, `{"error":"invalid_grant"}`, mailroom.NeedsConsent, "grant_ended"},
		{"inactivity", 400, ms("invalid_grant", 700082, ""), mailroom.NeedsConsent, "grant_expired"},
		{"revoked", 400, ms("invalid_grant", 50173, ""), mailroom.NeedsConsent, "grant_revoked"},
		{"MFA", 400, ms("interaction_required", 50076, `,"suberror":"basic_action"`), mailroom.NeedsConsent, "mfa"},
		{"consent withdrawn, told as invalid_grant", 400, ms("invalid_grant", 65001, `,"suberror":"consent_required"`), mailroom.NeedsAdmin, "consent_missing"},
		{"not assigned, told as invalid_grant", 400, ms("invalid_grant", 50105, ""), mailroom.NeedsAdmin, "not_assigned"},
		{"Conditional Access", 400, ms("interaction_required", 53003, ""), mailroom.NeedsAdmin, "policy"},
		{"consent_required alone", 400, `{"error":"consent_required"}`, mailroom.NeedsAdmin, "consent_missing"},
		{"Workspace policy", 400, `{"error":"admin_policy_enforced"}`, mailroom.NeedsAdmin, "policy"},
		{"no Exchange", 400, ms("invalid_resource", 650052, ""), mailroom.NeedsAdmin, "no_exchange"},
		{"app not in tenant", 400, ms("unauthorized_client", 700016, ""), mailroom.NeedsAdmin, "app_missing"},
		{"secret expired", 401, ms("invalid_client", 7000222, ""), mailroom.NeedsVendor, "secret_expired"},
		{"wrong secret", 401, ms("invalid_client", 7000215, ""), mailroom.NeedsVendor, "secret_wrong"},
		{"client without code", 401, `{"error":"invalid_client"}`, mailroom.NeedsVendor, "client"},
		{"vendor's fault with a code of the recruiter's", 400, ms("invalid_client", 50076, ""), mailroom.NeedsVendor, "client"},
		{"unknown code", 400, ms("invalid_grant", 999999, ""), mailroom.NeedsConsent, "unknown_code_you"},
		{"unknown code of a vendor's error", 400, ms("invalid_request", 999999, ""), mailroom.NeedsVendor, "unknown_code_vendor"},
		{"transient", 400, ms("temporarily_unavailable", 90033, ""), mailroom.Unavailable, "transient"},
		{"transient with a policy's code", 400, ms("server_error", 53003, ""), mailroom.Unavailable, "transient"},
		{"invalid_grant with a transient code stays dead", 400, ms("invalid_grant", 90033, ""), mailroom.NeedsConsent, "grant_ended"},
		{"invalid_grant on a 5xx says nothing", 500, ms("invalid_grant", 50173, ""), mailroom.Unavailable, "transient"},
		{"throttled", 429, `{}`, mailroom.Throttled, "throttled"},
		{"502 page", 502, `<html>bad gateway</html>`, mailroom.Unavailable, "transient"},
		{"403 of a proxy", 403, `<html>blocked</html>`, mailroom.Unavailable, "unknown"},
		{"word nobody knows", 400, `{"error":"brand_new_error"}`, mailroom.Unavailable, "unknown"},
		{"200 that is no token", 200, `{"hello":"world"}`, mailroom.Unavailable, "malformed"},
		{"200 that is no JSON", 200, `{{{`, mailroom.Unavailable, "malformed"},
		{"200 with an error", 200, `{"error":"invalid_grant"}`, mailroom.NeedsConsent, "grant_ended"},
		{"endless answer", 200, `{"access_token":"` + strings.Repeat("x", 2<<20), mailroom.Unavailable, "malformed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := newIssuer(t)
			cl, log := client(t)
			i.token = refusal(c.status, c.body)
			_, err := cl.Refresh(t.Context(), i.provider(), theRefresh)
			e := mailroom.AsError(err)
			if err == nil || e.Kind != c.kind || e.Key != "oauth.error."+c.key {
				t.Fatalf("got %v, want %s %s", err, c.kind, c.key)
			}
			if c.status == 429 && time.Until(e.Until) < 30*time.Second {
				t.Errorf("throttled until %v", e.Until)
			}
			if strings.Contains(c.body, "correlation_id") {
				if e.Args["ref"] != "33333333-aaaa-bbbb-cccc-444444444444" || !strings.Contains(log.String(), "33333333-aaaa") {
					t.Errorf("reference %v, want the correlation id, on the page and in the log", e.Args["ref"])
				}
				if strings.Contains(e.Error(), "anna") || strings.Contains(fmt.Sprint(e.Args), "anna") {
					t.Errorf("the provider's own words leak: %v %v", e, e.Args)
				}
			}
			complete(t, e)
		})
	}
}

// complete checks that both languages have a text for e and that no placeholder stays open.
func complete(t *testing.T, e *mailroom.Error) {
	t.Helper()
	b, err := i18n.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, lang := range i18n.Languages {
		text := b.For(lang).Text(e.Key, e.Args)
		if text == e.Key || strings.ContainsAny(text, "{}") {
			t.Errorf("%s: %q is shown", lang, text)
		}
	}
}

func TestRefusalOfACallback(t *testing.T) {
	c, _ := client(t)
	p := mailroom.Provider{ID: "microsoft", Name: "Outlook"}
	for _, x := range []struct {
		err, description, subcode string
		kind                      mailroom.Kind
		key                       string
	}{
		// Cancel on the sign-in page, mostly without a word: both remedies are offered.
		{"access_denied", "", "cancel", mailroom.NeedsConsent, "denied"},
		{"access_denied", "AADSTS90094: Admin consent is required", "", mailroom.NeedsAdmin, "consent_missing"},
		{"access_denied", "AADSTS65004: User declined to consent", "", mailroom.NeedsConsent, "declined"},
		{"consent_required", "AADSTS65001: nobody consented", "", mailroom.NeedsAdmin, "consent_missing"},
		{"invalid_request", "AADSTS50011: redirect URI", "", mailroom.NeedsVendor, "redirect_uri"},
		{"temporarily_unavailable", "", "", mailroom.Unavailable, "transient"},
		{"<script>alert(1)</script>", "<b>anna@example.org</b>", "<i>", mailroom.Unavailable, "unknown"},
	} {
		e := c.Refusal(p, x.err, x.description, x.subcode)
		if e.Kind != x.kind || e.Key != "oauth.error."+x.key {
			t.Errorf("%s %s: got %v, want %s %s", x.err, x.description, e, x.kind, x.key)
		}
		if strings.ContainsAny(fmt.Sprint(e.Args, e.Error()), "<>@") {
			t.Errorf("text of the callback reaches page or log: %v %v", e, e.Args)
		}
		complete(t, e)
	}
}

func TestCodeThatIsSpent(t *testing.T) {
	i := newIssuer(t)
	c, _ := client(t)
	i.token = refusal(400, `{"error":"invalid_grant"}`)
	_, err := c.Exchange(t.Context(), i.provider(), code())
	if e := mailroom.AsError(err); e.Key != "oauth.error.code_used" {
		t.Errorf("a spent code is told as %v", err)
	}
}

func TestOutagesSayNothingAboutTheGrant(t *testing.T) {
	i := newIssuer(t)
	c, _ := client(t)
	p := i.provider()
	if _, err := c.Refresh(t.Context(), p, theRefresh); err != nil {
		t.Fatal(err)
	}
	i.Close()
	_, err := c.Refresh(t.Context(), p, theRefresh)
	if e := mailroom.AsError(err); e.Kind != mailroom.Unavailable || e.Key != "oauth.error.network" {
		t.Errorf("provider down: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Refresh(ctx, p, theRefresh); mailroom.KindOf(err) != mailroom.Unavailable {
		t.Errorf("cancelled: %v", err)
	}
}

func TestOnlyTrustedCertificates(t *testing.T) {
	i := newIssuer(t)
	s := httptest.NewUnstartedServer(i.Config.Handler)
	s.Config.ErrorLog = stdlog.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	p := i.provider()
	p.DiscoveryURL, p.AuthURL, p.TokenURL, p.JWKSURL = "", s.URL+"/a", s.URL+"/token", s.URL+"/keys"
	c, _ := client(t)
	_, err := c.Refresh(t.Context(), p, theRefresh)
	if e := mailroom.AsError(err); e.Kind != mailroom.Unavailable || e.Key != "oauth.error.tls" || len(i.requests) > 0 {
		t.Errorf("unknown CA: %v", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	if _, err := oauth.New(oauth.Options{RootCAs: roots}).Refresh(t.Context(), p, theRefresh); err != nil {
		t.Errorf("private CA that was configured: %v", err)
	}
}

// Every row of the catalogue leads to words in both languages, and every number
// that Microsoft documents for a sign-in stands in it.
func TestCatalogue(t *testing.T) {
	cat := oauth.ReadCatalogue()
	b, err := i18n.New()
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]mailroom.Kind{}
	for _, f := range cat.Families {
		kinds[f.ID] = f.Kind
		for _, lang := range i18n.Languages {
			words(t, b.For(lang), "oauth.error."+f.ID)
		}
	}
	for name, r := range cat.Errors {
		if kinds[r.Family] != r.Kind {
			t.Errorf("%s: kind %s, but its family %s is %s", name, r.Kind, r.Family, kinds[r.Family])
		}
	}
	for code, family := range cat.Codes {
		if kinds[family] == "" {
			t.Errorf("code %s: no family %q", code, family)
		}
	}
	for word, family := range cat.Suberrors {
		if kinds[family] == "" {
			t.Errorf("suberror %s: no family %q", word, family)
		}
	}
	for code := range strings.FieldsSeq(`65001 65004 90094 90095 50105 700016 7000112 500014 650052 500011 650056 650057 70011
		50011 500113 900971 7000215 7000222 7000218 700027 50194 501481 54005 70008 700082 50173 70043 50076 50079 50074 50072
		50078 53003 53000 53001 53002 530032 530035 50020 50034 16000 50053 50055 50057 50126 90002 90072 500021 500212 500213
		50196 90033 90024 50033 70000`) {
		if cat.Codes[code] == "" {
			t.Errorf("AADSTS%s is not in the catalogue", code)
		}
	}
	// No key of ours that nothing leads to.
	keys := b.Keys("en")
	keys = slices.DeleteFunc(keys, func(k string) bool { return !strings.HasPrefix(k, "oauth.error.") })
	for _, k := range keys {
		if kinds[strings.TrimPrefix(k, "oauth.error.")] == "" {
			t.Errorf("%s is in no family", k)
		}
	}
	rows := 0
	for _, f := range cat.Listed() {
		rows += len(f.Codes) + len(f.Errors)
	}
	if want := len(cat.Codes) + len(cat.Errors) + len(cat.Suberrors); rows != want {
		t.Errorf("the list shows %d errors and codes of %d", rows, want)
	}
}

var placeholder = regexp.MustCompile(`\{[a-z]+\}`)

// words checks a family's texts: for the recruiter, for the administrator, and
// its name. Both texts give the reference where the refusal has one, and neither
// asks for more than a refusal carries.
func words(t *testing.T, texts i18n.T, key string) {
	t.Helper()
	for _, k := range []string{key, mailroom.AdminKey(key), mailroom.TitleKey(key)} {
		if !texts.Has(k) {
			t.Errorf("%s: no text for %s", texts.Lang, k)
		}
	}
	has := func(key, name string) bool {
		return slices.Contains(placeholder.FindAllString(texts.Text(key), -1), name)
	}
	if has(key, "{ref}") != has(mailroom.AdminKey(key), "{ref}") {
		t.Errorf("%s: only one reader of %s is given the reference", texts.Lang, key)
	}
	for _, p := range placeholder.FindAllString(texts.Text(mailroom.AdminKey(key)), -1) {
		if p != "{provider}" && !has(key, p) && !has(key, "{ref}") {
			t.Errorf("%s: %s asks for %s", texts.Lang, mailroom.AdminKey(key), p)
		}
	}
}

// What Google says without a number, and what means something else for a code.
func TestRefusalsThatASecondWordTells(t *testing.T) {
	for _, c := range []struct {
		name, body string
		testing    bool
		key        string
	}{
		{"Google's session control", `{"error":"invalid_grant","error_description":"reauth related error (invalid_rapt)","error_subtype":"invalid_rapt"}`, false, "session_policy"},
		{"Google's testing mode", `{"error":"invalid_grant","error_description":"Token has been expired or revoked."}`, true, "testing"},
		{"Google, published", `{"error":"invalid_grant","error_description":"Token has been expired or revoked."}`, false, "grant_ended"},
		{"Microsoft without a number", `{"error":"interaction_required","suberror":"additional_action"}`, false, "mfa"},
		{"a second word never makes an outage final", `{"error":"temporarily_unavailable","suberror":"bad_token"}`, false, "transient"},
		{"nor blames the recruiter for the client", `{"error":"invalid_client","suberror":"bad_token"}`, false, "client"},
	} {
		i := newIssuer(t)
		cl, _ := client(t)
		i.token = refusal(400, c.body)
		p := i.provider()
		p.Testing = c.testing
		_, err := cl.Refresh(t.Context(), p, theRefresh)
		if e := mailroom.AsError(err); e == nil || e.Key != "oauth.error."+c.key {
			t.Errorf("%s: %v, want %s", c.name, err, c.key)
		} else {
			complete(t, e)
		}
	}
	i := newIssuer(t)
	cl, _ := client(t)
	i.token = refusal(400, `{"error":"invalid_grant","error_description":"AADSTS70008: The provided authorization code has expired.","error_codes":[70008]}`)
	if _, err := cl.Exchange(t.Context(), i.provider(), code()); mailroom.AsError(err).Key != "oauth.error.code_used" {
		t.Errorf("a code that came too late is told as %v", err)
	}
}
