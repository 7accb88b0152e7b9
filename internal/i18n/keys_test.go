package i18n_test

import (
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mailroom/internal/i18n"
)

var placeholder = regexp.MustCompile(`\{[a-z_]+\}`)

// stem is a key without its plural form.
func stem(key string) string {
	return strings.TrimSuffix(strings.TrimSuffix(key, ".one"), ".other")
}

func TestLanguagesSayTheSame(t *testing.T) {
	b := bundle(t)
	first := i18n.Languages[0]
	for _, lang := range i18n.Languages[1:] {
		a, other := b.Keys(first), b.Keys(lang)
		for _, key := range a {
			if !slices.Contains(other, key) {
				t.Errorf("%s is missing in %s", key, lang)
			}
		}
		for _, key := range other {
			if !slices.Contains(a, key) {
				t.Errorf("%s is missing in %s", key, first)
				continue
			}
			mine := placeholder.FindAllString(b.For(lang).Text(key), -1)
			theirs := placeholder.FindAllString(b.For(first).Text(key), -1)
			slices.Sort(mine)
			slices.Sort(theirs)
			// A singular may leave out its number.
			if strings.HasSuffix(key, ".one") {
				mine, theirs = without(mine, "{n}"), without(theirs, "{n}")
			}
			if !slices.Equal(slices.Compact(mine), slices.Compact(theirs)) {
				t.Errorf("%s: placeholders %v in %s, %v in %s", key, theirs, first, mine, lang)
			}
		}
	}
	for _, lang := range i18n.Languages {
		keys := b.Keys(lang)
		for _, key := range keys {
			if text := b.For(lang).Text(key); strings.TrimSpace(text) != text || text == "" {
				t.Errorf("%s in %s is %q", key, lang, text)
			}
			if strings.HasSuffix(key, ".one") && !slices.Contains(keys, stem(key)+".other") {
				t.Errorf("%s has no plural in %s", key, lang)
			}
		}
	}
}

func without(list []string, word string) []string {
	return slices.DeleteFunc(list, func(s string) bool { return s == word })
}

var (
	// A message key as it stands in code: Text("…"), E(kind, "…"), Key: "…" and the like.
	literal = regexp.MustCompile(`"([a-z][a-z0-9]*(?:[._][a-z0-9_]+)*\.?)"`)
	asked   = regexp.MustCompile(`(?:\.Text\(|\.flash\("[a-z]+", |mailroom\.E\(mailroom\.\w+, |[^.\w]invalid\("[^"]*", |\.page\("[a-z]*", )"([a-z][a-z0-9_]*(?:\.[a-z0-9_]+)+)"`)
)

// sources are the Go and templ files of the product, tests and generated ones
// left out.
func sources(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	root := os.DirFS("../..")
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata" || d.Name() == "peers" || d.Name() == "storetest" || d.Name() == "pretend" || strings.HasPrefix(d.Name(), ".") && path != ".") {
			return fs.SkipDir
		}
		isSource := strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") && !strings.HasSuffix(path, "_templ.go") ||
			strings.HasSuffix(path, ".templ") || strings.HasSuffix(path, "catalogue.json")
		if !isSource {
			return nil
		}
		data, err := fs.ReadFile(root, path)
		out[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestEveryKeyThatIsAskedForHasAText(t *testing.T) {
	b := bundle(t)
	for path, text := range sources(t) {
		for _, m := range literal.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], ".error.") && !strings.HasSuffix(m[1], ".") && !b.For(i18n.Languages[0]).Has(m[1]) {
				t.Errorf("%s names the error %s, which has no text", path, m[1])
			}
		}
		for _, m := range asked.FindAllStringSubmatch(text, -1) {
			if key := m[1]; !b.For(i18n.Languages[0]).Has(key) {
				t.Errorf("%s asks for %s, which has no text", path, key)
			}
		}
	}
}

var check = regexp.MustCompile(`"([a-z]+\.check\.[a-z_]+)"`)

func TestEveryCheckHasItsWords(t *testing.T) {
	b := bundle(t)
	for path, text := range sources(t) {
		if strings.HasPrefix(path, "templates/") { // a page names its own parts
			continue
		}
		for _, m := range check.FindAllStringSubmatch(text, -1) {
			if words := b.For(i18n.Languages[0]); !words.Has(m[1]) || !words.Has(m[1]+".ok") {
				t.Errorf("%s: the check %s has no name, or no words for a good result", path, m[1])
			}
		}
	}
}

var ofRefusal = strings.NewReplacer(".admin.", ".error.", ".title.", ".error.")

func TestNoTextIsUnused(t *testing.T) {
	b := bundle(t)
	used, prefixes := map[string]bool{}, map[string]bool{}
	for _, text := range sources(t) {
		for _, m := range literal.FindAllStringSubmatch(text, -1) {
			if strings.HasSuffix(m[1], ".") {
				prefixes[m[1]] = true
			} else {
				used[m[1]] = true
			}
		}
	}
	begins := slices.Collect(maps.Keys(prefixes))
	for _, key := range b.Keys(i18n.Languages[0]) {
		// A refusal's words for an administrator, and its name, stand beside its error
		// (mailroom.AdminKey, TitleKey).
		if beside := ofRefusal.Replace(key); beside != key && b.For(i18n.Languages[0]).Has(beside) {
			continue
		}
		// What a check means that came out well is asked for by the name of the check.
		if used[key] || used[stem(key)] || used[strings.TrimSuffix(stem(key), ".ok")] || slices.ContainsFunc(begins, func(p string) bool { return strings.HasPrefix(key, p) }) {
			continue
		}
		t.Errorf("%s is used nowhere", key)
	}
}
