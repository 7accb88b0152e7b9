package templates

import (
	"embed"
	"slices"
	"strings"

	"mailroom/internal/mailroom"
)

// HelpPages are the pages of the help in order. Each has a title in the texts
// and a file per language in help/.
// The catalogue of errors is one more (/help/errors).
var HelpPages = []string{"username", "password", "oauth", "mapping", "administrator", "mailbox", "people", "sync"}

// helpByKey leads from the beginning of an error's key to the help page about
// it; the longest match wins.
var helpByKey = map[string]string{
	"mailbox.address":         "username",
	"mailbox.password":        "password",
	"password.":               "password",
	"grant.":                  "oauth",
	"oauth.":                  "oauth",
	"access.":                 "oauth",
	"imap.":                   "oauth#server",
	"imap.error.throttled":    "sync#throttled",
	"doctor.":                 "administrator#doctor",
	mailroom.KeyProviderFault: "sync#many",
	"mapping.":                "mapping",
	"folder.":                 "mapping",
	"quarantine.":             "sync#quarantine",
	"consent.":                "administrator",
	"person.":                 "people",
	"people.":                 "people",
}

// HelpFor is the help page about an error, "" when there is none.
func HelpFor(kind mailroom.Kind, key string) string {
	if kind == mailroom.NeedsAdmin {
		return "administrator"
	}
	if kind == mailroom.NeedsVendor && (strings.HasPrefix(key, "oauth.error.") || strings.HasPrefix(key, "imap.error.")) {
		return "errors#" + mailroom.RefusalFamily{Key: key}.Anchor()
	}
	page, length := "", 0
	for prefix, p := range helpByKey {
		if len(prefix) > length && strings.HasPrefix(key, prefix) {
			page, length = p, len(prefix)
		}
	}
	return page
}

// helpPage is the page of a link that may carry a fragment.
func helpPage(link string) string {
	page, _, _ := strings.Cut(link, "#")
	return page
}

//go:embed help
var helpFiles embed.FS

// HelpText is a page of the help in a language as HTML. ok is false for a page
// that does not exist.
func HelpText(lang, page string) (html string, ok bool) {
	if !slices.Contains(HelpPages, page) {
		return "", false
	}
	data, err := helpFiles.ReadFile("help/" + lang + "/" + page + ".html")
	return string(data), err == nil
}
