// Package i18n puts message keys into the languages of the product: texts with
// named placeholders and plurals, numbers, sizes, dates and relative times.
//
// The texts are JSON files, locales/<language>/<noun>.json, one per noun, so
// that two people seldom edit the same file. The package chooses no language
// for anybody but by the rules of Match, and knows nothing of HTTP or HTML.
package i18n

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/language"
)

//go:embed locales
var localeFiles embed.FS

// Languages are the product's languages; the first is the fallback.
var Languages = []string{"en", "nl"}

// Bundle holds every text of every language.
type Bundle struct {
	texts   map[string]map[string]string // language → key → text
	matcher language.Matcher
}

// New reads the embedded texts. A key that stands in two files of a language is
// an error.
func New() (*Bundle, error) {
	b := &Bundle{texts: map[string]map[string]string{}}
	tags := make([]language.Tag, 0, len(Languages))
	for _, lang := range Languages {
		tags = append(tags, language.Make(lang))
		texts, err := readLanguage(localeFiles, lang)
		if err != nil {
			return nil, err
		}
		b.texts[lang] = texts
	}
	b.matcher = language.NewMatcher(tags)
	return b, nil
}

func readLanguage(files fs.FS, lang string) (map[string]string, error) {
	names, err := fs.Glob(files, path.Join("locales", lang, "*.json"))
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, name := range names {
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		var texts map[string]string
		if err := json.Unmarshal(data, &texts); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for key, text := range texts {
			if _, twice := out[key]; twice {
				return nil, fmt.Errorf("%s: %q is already in another file", name, key)
			}
			out[key] = text
		}
	}
	return out, nil
}

// Match chooses a language: the person's own choice if there is one, else the
// best of an Accept-Language header (RFC 9110 §12.5.4), else the first.
func (b *Bundle) Match(choice, acceptLanguage string) string {
	if slices.Contains(Languages, choice) {
		return choice
	}
	tags, _, err := language.ParseAcceptLanguage(acceptLanguage)
	if err != nil || len(tags) == 0 {
		return Languages[0]
	}
	_, i, confidence := b.matcher.Match(tags...)
	if confidence == language.No {
		return Languages[0]
	}
	return Languages[i]
}

// For returns the texts of a language, the first one for an unknown language.
// Times are shown in UTC until T.In says otherwise.
func (b *Bundle) For(lang string) T {
	if _, ok := b.texts[lang]; !ok {
		lang = Languages[0]
	}
	return T{Lang: lang, texts: b.texts[lang], location: time.UTC}
}

// Keys are all keys of a language in order.
func (b *Bundle) Keys(lang string) []string {
	return slices.Sorted(maps.Keys(b.texts[lang]))
}

// T speaks one language in one time zone. Copy it freely.
type T struct {
	Lang     string // "en"
	texts    map[string]string
	location *time.Location
}

// In returns T with times shown in a time zone.
func (t T) In(loc *time.Location) T {
	if loc != nil {
		t.location = loc
	}
	return t
}

// Has reports whether a key has a text, singular or plural.
func (t T) Has(key string) bool {
	_, one := t.texts[key]
	_, many := t.texts[key+".other"]
	return one || many
}

// Text is the text of a key. Arguments are name, value, name, value…, or one
// map[string]any. An integer argument "n" chooses between key.one and key.other
// where those exist. An unknown key comes back as it is, so that it is seen.
func (t T) Text(key string, args ...any) string {
	named := arguments(args)
	text, ok := t.texts[key]
	if !ok {
		form := ".other"
		if n, isInt := integer(named["n"]); isInt && n == 1 {
			form = ".one"
		}
		if text, ok = t.texts[key+form]; !ok {
			return key
		}
	}
	return t.fill(text, named)
}

func arguments(args []any) map[string]any {
	if len(args) == 1 {
		if m, ok := args[0].(map[string]any); ok {
			return m
		}
	}
	named := make(map[string]any, len(args)/2)
	for i := 0; i+1 < len(args); i += 2 {
		if name, ok := args[i].(string); ok {
			named[name] = args[i+1]
		}
	}
	return named
}

// fill replaces {name}. A placeholder without argument stays, so that it is seen.
func (t T) fill(text string, args map[string]any) string {
	if !strings.Contains(text, "{") {
		return text
	}
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "{")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		name, after, closed := strings.Cut(rest, "}")
		value, given := args[name]
		if !closed || !given {
			b.WriteString("{" + rest[:len(rest)-len(after)])
			text = after
			if !closed {
				return b.String()
			}
			continue
		}
		b.WriteString(t.value(value))
		text = after
	}
}

// value shows an argument: numbers with the language's separators, times as
// date and time, lists joined with "and".
func (t T) value(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case time.Time:
		return t.DateTime(v)
	case time.Duration:
		return t.Duration(v)
	case []string:
		return t.List(v)
	case float64: // what a number is after a trip through JSON
		if v == float64(int64(v)) {
			return t.Number(int64(v))
		}
		return t.Decimal(v, 1)
	case fmt.Stringer:
		return v.String()
	case error:
		return v.Error()
	}
	if n, ok := integer(v); ok {
		return t.Number(n)
	}
	return fmt.Sprint(v)
}

func integer(v any) (int64, bool) {
	switch v := v.(type) {
	case int:
		return int64(v), true
	case int64:
		return v, true
	case int32:
		return int64(v), true
	case uint32:
		return int64(v), true
	case uint64:
		return int64(v), true
	case float64:
		return int64(v), v == float64(int64(v))
	}
	return 0, false
}
