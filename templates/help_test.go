package templates_test

import (
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"mailroom/internal/i18n"
	"mailroom/internal/mailroom"
	"mailroom/templates"
)

// shape is what two languages of a help page must share: its anchors, and where
// its links lead.
func shape(t *testing.T, page string) (ids, links []string) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	for n := range root.Descendants() {
		for _, a := range n.Attr {
			switch {
			case a.Key == "id":
				ids = append(ids, a.Val)
			case a.Key == "href":
				links = append(links, a.Val)
			case a.Key == "style" || strings.HasPrefix(a.Key, "on"):
				t.Errorf("%s=%q is refused by the policy", a.Key, a.Val)
			}
		}
	}
	return ids, links
}

func TestHelpIsTheSameInBothLanguages(t *testing.T) {
	bundle, err := i18n.New()
	if err != nil {
		t.Fatal(err)
	}
	anchors := map[string][]string{}
	for _, page := range templates.HelpPages {
		var first []string
		for i, lang := range i18n.Languages {
			text, ok := templates.HelpText(lang, page)
			if !ok || len(text) < 300 {
				t.Errorf("%s has no page in %s", page, lang)
			}
			ids, links := shape(t, text)
			for _, key := range []string{"help.title." + page, "help.about." + page} {
				if !bundle.For(lang).Has(key) {
					t.Errorf("%s is missing in %s", key, lang)
				}
			}
			all := append(ids, links...)
			if i == 0 {
				first, anchors[page] = all, ids
			} else if !slices.Equal(first, all) {
				t.Errorf("%s: %s and %s differ in anchors or links:\n%v\n%v", page, i18n.Languages[0], lang, first, all)
			}
		}
	}
	resolves := func(from, link string) {
		path, anchor, _ := strings.Cut(link, "#")
		page := strings.TrimPrefix(path, "/help/")
		if path == "" {
			page = from
		}
		if page == "errors" { // web proves that its anchors are there
			return
		}
		if !slices.Contains(templates.HelpPages, page) {
			t.Errorf("%s: %q leads to no help page", from, link)
		} else if anchor != "" && !slices.Contains(anchors[page], anchor) {
			t.Errorf("%s: %q leads to no anchor", from, link)
		}
	}
	for _, page := range templates.HelpPages {
		text, _ := templates.HelpText("en", page)
		_, links := shape(t, text)
		for _, link := range links {
			if strings.HasPrefix(link, "#") || strings.HasPrefix(link, "/help/") {
				resolves(page, link)
			}
		}
	}
	for _, e := range []*mailroom.Error{
		mailroom.E(mailroom.NeedsAdmin, "imap.error.not_connected"), mailroom.E(mailroom.NeedsConsent, "imap.error.auth"),
		mailroom.E(mailroom.Throttled, "imap.error.throttled"), mailroom.E(mailroom.Conflict, "mapping.error.version"),
		mailroom.E(mailroom.Conflict, "password.blocks_grant"), mailroom.E(mailroom.NeedsConsent, "grant.error.refused"),
		mailroom.E(mailroom.Invalid, "quarantine.error.parse"), mailroom.E(mailroom.Invalid, "person.error.name"),
	} {
		if templates.HelpFor(e.Kind, e.Key) == "" {
			t.Errorf("%s has no help", e.Key)
		} else {
			resolves(e.Key, "/help/"+templates.HelpFor(e.Kind, e.Key))
		}
	}
}

func TestNoHelpPageIsForgotten(t *testing.T) {
	for _, lang := range i18n.Languages {
		files, err := fs.Glob(os.DirFS("help/"+lang), "*")
		if err != nil {
			t.Fatal(err)
		}
		if len(files) != len(templates.HelpPages) {
			t.Errorf("%s has files %v for pages %v", lang, files, templates.HelpPages)
		}
	}
}
