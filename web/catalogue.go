package web

import (
	"slices"
	"strings"

	"mailroom/templates"
)

// showCatalogue lists every refusal there are words for; a code or an error value
// that is asked for stands on top. It is open to strangers, as the help is.
func showCatalogue(c *call) error {
	v := templates.CatalogueView{Families: c.Refusals, Asked: c.query("q")}
	word := strings.ToLower(strings.Join(strings.Fields(v.Asked), ""))
	v.Number = strings.TrimPrefix(word, "aadsts")
	for _, f := range c.Refusals {
		if word != "" && (slices.Contains(f.Codes, v.Number) || slices.Contains(f.Errors, word)) {
			v.Found = append(v.Found, f)
		}
	}
	if !isNumber(v.Number) {
		v.Number = ""
	}
	return c.show(templates.Catalogue(c.page("help", "help.title.errors"), v))
}

// isNumber reports whether s could be one of Microsoft's codes.
func isNumber(s string) bool {
	return len(s) >= 4 && len(s) <= 9 && strings.Trim(s, "0123456789") == ""
}
