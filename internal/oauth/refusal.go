package oauth

import (
	"cmp"
	"crypto/rand"
	_ "embed"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"mailroom/internal/mailroom"
)

// What a refusal means is data. "errors" says, per OAuth error value, the kind
// and the family of words; "codes" says, per AADSTS number, the family
// (docs/providers.md 2.6), and "suberrors" per second word, where no number
// stands beside it; "families" says who can mend each family.
//
//go:embed catalogue.json
var catalogueJSON []byte

// Catalogue is every refusal that we have words for.
type Catalogue struct {
	Errors map[string]Refusal `json:"errors"`
	Codes  map[string]string  `json:"codes"` // AADSTS number → family
	// Suberrors are Microsoft's "suberror" and Google's "error_subtype" → family.
	Suberrors map[string]string `json:"suberrors"`
	Families  []Family          `json:"families"` // in the order of who mends them
}

// Refusal is what an OAuth error value means.
type Refusal struct {
	Kind   mailroom.Kind `json:"kind"`
	Family string        `json:"family"`
}

// Family is a group of refusals with the same words, "oauth.error.<ID>".
type Family struct {
	ID   string        `json:"id"`
	Kind mailroom.Kind `json:"kind"`
}

// Listed is the catalogue as people read it, in its order.
func (c Catalogue) Listed() []mailroom.RefusalFamily {
	var out []mailroom.RefusalFamily
	for _, f := range c.Families {
		row := mailroom.RefusalFamily{Key: "oauth.error." + f.ID, Kind: f.Kind}
		for name, r := range c.Errors {
			if r.Family == f.ID {
				row.Errors = append(row.Errors, name)
			}
		}
		for word, family := range c.Suberrors {
			if family == f.ID {
				row.Errors = append(row.Errors, word)
			}
		}
		for code, family := range c.Codes {
			if family == f.ID {
				row.Codes = append(row.Codes, code)
			}
		}
		slices.Sort(row.Errors)
		slices.SortFunc(row.Codes, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
		out = append(out, row)
	}
	return out
}

// ReadCatalogue returns the shipped catalogue.
func ReadCatalogue() Catalogue {
	var c Catalogue
	if err := json.Unmarshal(catalogueJSON, &c); err != nil {
		panic(err) // embedded, and read by every test
	}
	return c
}

// stage is when a refusal came: the same error value means something else for a
// code that is a minute old than for a refresh token.
type stage int

const (
	consenting stage = iota // on the callback
	redeeming               // the code
	refreshing
	revoking
)

// answer is what a provider says when it refuses.
type answer struct {
	Error         string `json:"error"`
	Description   string `json:"error_description"`
	Suberror      string `json:"suberror"`
	Subtype       string `json:"error_subtype"` // Google's word for the same
	Codes         []int  `json:"error_codes"`
	TraceID       string `json:"trace_id"`
	CorrelationID string `json:"correlation_id"`

	status     int
	retryAfter string
}

func answerOf(res *http.Response, body []byte) answer {
	var a answer
	if json.Unmarshal(body, &a) != nil {
		a = answer{}
		// Some servers answer with a form (x/oauth2 reads those too).
		if v, err := url.ParseQuery(string(body)); err == nil {
			a.Error, a.Description = v.Get("error"), v.Get("error_description")
		}
	}
	a.Suberror = firstOf(a.Suberror, a.Subtype)
	a.status, a.retryAfter = res.StatusCode, res.Header.Get("Retry-After")
	return a
}

// Refusal puts the error of a callback (RFC 6749 §4.1.2.1) into our words.
func (c *Client) Refusal(p mailroom.Provider, oauthError, description, subcode string) *mailroom.Error {
	return c.refused(p, answer{Error: oauthError, Description: description, Suberror: subcode}, consenting)
}

// refused classifies: the OAuth error decides what the machine does, the code
// only which of those who can act is asked, and in which words.
func (c *Client) refused(p mailroom.Provider, a answer, at stage) *mailroom.Error {
	code := codeOf(a)
	ref := c.logRefusal(p, a, code, at)
	e := classify(a, code, at)
	if p.Testing && at == refreshing && e.Key == "oauth.error.grant_ended" {
		// Google gives no other sign of it (docs/providers.md 4).
		e.Key = "oauth.error.testing"
	}
	if e.Kind == mailroom.Throttled {
		e.Until = c.now().Add(retryAfter(a.retryAfter, c.now())).UTC()
	}
	e.Err = fmt.Errorf("oauth %s %d %s", known(a.Error), a.status, code)
	if code != "" {
		code = "AADSTS" + code
		e.With("lookup", mailroom.CodeLookup(strings.TrimPrefix(code, "AADSTS")))
	}
	return e.With("provider", p.Name).With("code", firstOf(code, known(a.Error))).With("ref", ref)
}

func (c *Client) logRefusal(p mailroom.Provider, a answer, code string, at stage) string {
	ref := referenceOf(a)
	// Never the description: it may name the account.
	c.log.Warn("provider refused", "provider", p.ID, "error", known(a.Error), "code", code,
		"status", a.status, "stage", [...]string{"consent", "code", "refresh", "revoke"}[at], "ref", ref)
	return ref
}

func classify(a answer, code string, at stage) *mailroom.Error {
	cat := ReadCatalogue()
	if a.status == http.StatusTooManyRequests {
		return mailroom.E(mailroom.Throttled, "oauth.error.throttled")
	}
	r, ok := cat.Errors[a.Error]
	switch {
	case a.status >= 500:
		r = Refusal{mailroom.Unavailable, "transient"}
	case !ok && a.Suberror == "consent_required":
		r = cat.Errors["consent_required"]
	case !ok:
		// Not an OAuth answer, or a word that we do not know: says nothing about
		// the grant.
		r = Refusal{mailroom.Unavailable, "unknown"}
	case a.Error == "invalid_grant" && at == redeeming:
		r.Family = "code_used"
	case a.Error == "invalid_grant" && a.Suberror == "consent_required":
		r = cat.Errors["consent_required"]
	}
	family, named := cat.Codes[code]
	if code == "" {
		family, named = cat.Suberrors[a.Suberror]
	}
	if at == redeeming && family == "grant_expired" {
		family = "code_used" // 70008 is said of a refresh token and of a code alike
	}
	i := slices.IndexFunc(cat.Families, func(f Family) bool { return f.ID == family })
	switch {
	case named && i >= 0 && mayRefine(r.Kind, cat.Families[i].Kind):
		r = Refusal{cat.Families[i].Kind, family}
	case code != "" && !named && acts(r.Kind):
		r.Family = "unknown_code_" + r.Kind.Fixer()
	}
	return mailroom.E(r.Kind, "oauth.error."+r.Family)
}

// mayRefine says whether a code may turn one kind into another. Between people
// it may, since Microsoft says invalid_grant for a withdrawn consent and for a
// policy alike. It never stops what the OAuth error lets go on, nor the other
// way round, and never blames the recruiter for what is the operator's: codes can
// change their meaning (docs/providers.md 2.6).
func mayRefine(byError, byCode mailroom.Kind) bool {
	if byError == byCode {
		return true
	}
	return acts(byError) && acts(byCode) && !(byError == mailroom.NeedsVendor && byCode == mailroom.NeedsConsent)
}

// acts reports whether a kind waits for a person.
func acts(k mailroom.Kind) bool {
	return k == mailroom.NeedsConsent || k == mailroom.NeedsAdmin || k == mailroom.NeedsVendor
}

var (
	codeForm      = regexp.MustCompile(`AADSTS(\d{4,9})`)
	referenceForm = regexp.MustCompile(`(?i)(?:correlation|trace) id: ?([0-9a-f-]{16,40})`)
	uuidForm      = regexp.MustCompile(`^[0-9a-fA-F-]{16,40}$`)
	errorForm     = regexp.MustCompile(`^[a-z_]{1,40}$`)
)

func codeOf(a answer) string {
	if len(a.Codes) > 0 {
		return strconv.Itoa(a.Codes[0])
	}
	for _, s := range []string{a.Description, a.Suberror} {
		if m := codeForm.FindStringSubmatch(s); m != nil {
			return m[1]
		}
	}
	return ""
}

// known is an error value that may be shown and logged: on a callback it is
// anybody's text.
func known(oauthError string) string {
	if errorForm.MatchString(oauthError) {
		return oauthError
	}
	return "unknown_error"
}

// referenceOf is the provider's own number for a refusal, else one of ours.
func referenceOf(a answer) string {
	for _, id := range []string{a.CorrelationID, a.TraceID} {
		if uuidForm.MatchString(id) {
			return id
		}
	}
	if m := referenceForm.FindAllStringSubmatch(a.Description, -1); m != nil {
		return m[len(m)-1][1]
	}
	return newReference()
}

// newReference is a number that stands in the log and on the page.
func newReference() string {
	var b [5]byte
	rand.Read(b[:])
	return "MR-" + base32.StdEncoding.EncodeToString(b[:])
}

// retryAfter reads RFC 9110 §10.2.3; between a second and an hour, a minute when
// it says nothing.
func retryAfter(header string, now time.Time) time.Duration {
	d := time.Minute
	if s, err := strconv.Atoi(strings.TrimSpace(header)); err == nil {
		d = time.Duration(s) * time.Second
	} else if at, err := http.ParseTime(header); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, time.Second), time.Hour)
}
