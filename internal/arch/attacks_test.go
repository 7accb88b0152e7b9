package arch

import (
	"go/ast"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// tests are the functions Test… of the module, each with the texts of its
// package's tests, among which the names of its subtests are.
func tests(t *testing.T) map[string]map[string]bool {
	out := map[string]map[string]bool{}
	for _, p := range packages(t) {
		texts := map[string]bool{}
		for _, f := range p.files {
			if !f.test {
				continue
			}
			ast.Inspect(f.ast, func(n ast.Node) bool {
				if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
					if text, err := strconv.Unquote(l.Value); err == nil {
						texts[strings.ReplaceAll(text, " ", "_")] = true // as testing writes it
					}
				}
				return true
			})
			for _, d := range f.ast.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") {
					if out[fn.Name.Name] == nil {
						out[fn.Name.Name] = map[string]bool{}
					}
					maps.Copy(out[fn.Name.Name], texts) // rooms may call tests alike
				}
			}
		}
	}
	return out
}

// named finds tests in a table: `TestOne`, `TestOne/a_case`.
var named = regexp.MustCompile("`(Test[A-Za-z0-9]+)(?:/([^`]+))?`")

// TestListsNameTestsThatExist: docs/attacks.md and docs/stories.md promise
// nothing that is not looked at.
func TestListsNameTestsThatExist(t *testing.T) {
	known := tests(t)
	for _, doc := range []string{"attacks.md", "stories.md"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "docs", doc))
		if err != nil {
			t.Fatal(err)
		}
		found := named.FindAllStringSubmatch(string(text), -1)
		if len(found) < 10 {
			t.Errorf("%s names %d tests", doc, len(found))
		}
		for _, m := range found {
			texts, ok := known[m[1]]
			if !ok {
				t.Errorf("%s: there is no %s", doc, m[1])
			} else if m[2] != "" && !texts[m[2]] {
				t.Errorf("%s: %s has no %s", doc, m[1], m[2])
			}
		}
	}
}

// TestAttacksAreListed: whatever is tried stands in docs/attacks.md.
func TestAttacksAreListed(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "attacks.md"))
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	eachFile(t, func(p pkg, f source) {
		if p.room != "internal/app" || !strings.Contains(f.path, "/attacks_") {
			return
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			l, ok := n.(*ast.CompositeLit)
			if !ok || len(l.Elts) != 2 {
				return true
			}
			if first, ok := l.Elts[0].(*ast.BasicLit); ok && first.Kind == token.STRING {
				name, _ := strconv.Unquote(first.Value) // the parser has accepted it
				tried++
				if want := "`TestAttacks/" + strings.ReplaceAll(name, " ", "_") + "`"; !strings.Contains(string(text), want) {
					t.Errorf("%v: docs/attacks.md lacks %s", at(l), want)
				}
			}
			return true
		})
	})
	if tried < 5 {
		t.Errorf("%d attacks found in internal/app: this test does not find them any more", tried)
	}
}
