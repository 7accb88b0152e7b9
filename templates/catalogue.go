package templates

import (
	"strings"

	"github.com/a-h/templ"

	"mailroom/internal/i18n"
	"mailroom/internal/mailroom"
)

// CatalogueView is the catalogue of refusals, and what was looked up in it.
type CatalogueView struct {
	Families []mailroom.RefusalFamily
	Asked    string // what was typed, "" for nothing
	Number   string // of it, when it could be one of Microsoft's codes
	Found    []mailroom.RefusalFamily
}

// fixers in the order of the page: whoever reads it first is a recruiter.
var fixers = []string{"you", "admin", "vendor", "nobody"}

// mendedBy lists the families that somebody mends.
func (v CatalogueView) mendedBy(fixer string) []mailroom.RefusalFamily {
	var out []mailroom.RefusalFamily
	for _, f := range v.Families {
		if f.Kind.Fixer() == fixer {
			out = append(out, f)
		}
	}
	return out
}

// asShown are the words of a family as a refusal would fill them: with its own
// first code, and with a word in place of the reference.
func asShown(t i18n.T, f mailroom.RefusalFamily, key string) string {
	provider := "Outlook"
	if f.ID() == "testing" {
		provider = "Gmail"
	}
	code := t.Text("catalogue.number")
	switch {
	case strings.HasPrefix(f.ID(), "unknown_code"):
		code = "AADSTS…"
	case len(f.Codes) > 0:
		code = "AADSTS" + f.Codes[0]
	case len(f.Errors) > 0:
		code = f.Errors[0]
	}
	return t.Text(key, "provider", provider, "code", code, "ref", t.Text("catalogue.ref"), "lookup", t.Text("catalogue.lookup"),
		"host", "imap.example.com", "wanted", "XOAUTH2")
}

// AdminProblemText puts a problem into words for an administrator, where there
// are such words, else as everybody reads it.
func AdminProblemText(t i18n.T, p *mailroom.Problem) string {
	if key := mailroom.AdminKey(p.Key); key != p.Key && t.Has(key) {
		return t.Text(key, p.Args)
	}
	return ProblemText(t, p)
}

// familyCodes are the first of a family's codes, for its line.
func familyCodes(f mailroom.RefusalFamily) string {
	const most = 4
	if len(f.Codes) > most {
		return strings.Join(f.Codes[:most], ", ") + ", …"
	}
	return strings.Join(f.Codes, ", ")
}

// familyAnchor makes the family linkable; what was looked up stands there twice.
func familyAnchor(f mailroom.RefusalFamily, found bool) templ.Attributes {
	if found {
		return nil
	}
	return templ.Attributes{"id": f.Anchor()}
}

// lookup is the link that a refusal carries, if it is the one that we would make.
func lookup(pr *mailroom.Problem) string {
	url, _ := pr.Args["lookup"].(string)
	code, _ := pr.Args["code"].(string)
	if url == "" || url != mailroom.CodeLookup(strings.TrimPrefix(code, "AADSTS")) {
		return ""
	}
	return url
}
