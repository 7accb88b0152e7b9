package arch

import (
	"go/ast"
	"go/token"
	"regexp"
	"strings"
	"testing"
)

func at(n ast.Node) token.Position { return fset.Position(n.Pos()) }

// call returns "pkg.Func" or "x.Method" of a call by its two last names.
func call(n ast.Node) string {
	c, ok := n.(*ast.CallExpr)
	if !ok {
		return ""
	}
	s, ok := c.Fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	if x, ok := s.X.(*ast.Ident); ok {
		return x.Name + "." + s.Sel.Name
	}
	return "." + s.Sel.Name
}

func TestNoInit(t *testing.T) {
	eachFile(t, func(_ pkg, f source) {
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%v: init runs behind everybody's back: let main or app call it", at(fn))
			}
		}
	})
}

var unfinished = regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b`)

func TestNothingIsLeftForLater(t *testing.T) {
	eachFile(t, func(_ pkg, f source) {
		for _, group := range f.ast.Comments {
			for _, c := range group.List {
				if word := unfinished.FindString(c.Text); word != "" {
					t.Errorf("%v: %s belongs on an issue, or is done now", at(c), word)
				}
			}
		}
	})
}

// `make test` promises that it skips none: what is lacking fails, and says so.
func TestNoTestSkips(t *testing.T) {
	eachFile(t, func(p pkg, f source) {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			name := call(n)
			_, method, _ := strings.Cut(name, ".")
			if method == "Skip" || method == "Skipf" || method == "SkipNow" || name == "testing.Short" {
				if f.test || anyCovers(testSupport, p.room) {
					t.Errorf("%v: %s: a test that lacks something fails", at(n), name)
				}
			}
			return true
		})
	})
}

// A sleep is too short on a slow machine and too long on every other; long work
// must end when its context does.
func TestNobodySleeps(t *testing.T) {
	eachFile(t, func(_ pkg, f source) {
		bubble := false
		for _, spec := range f.ast.Imports {
			// In a synctest bubble a sleep takes no time and is exact.
			bubble = bubble || spec.Path.Value == `"testing/synctest"`
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if call(n) == "time.Sleep" && !bubble {
				t.Errorf("%v: time.Sleep: wait for what you wait for, with a deadline", at(n))
			}
			return true
		})
	})
}

// A logger that nobody passed in cannot be told what to leave out.
func TestLoggersArePassedIn(t *testing.T) {
	eachFile(t, func(p pkg, f source) {
		if f.test || strings.HasPrefix(p.room, "cmd/") {
			return
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch name := call(n); name {
			case "slog.Default", "slog.SetDefault", "slog.Debug", "slog.Info", "slog.Warn", "slog.Error", "slog.Log",
				"slog.DebugContext", "slog.InfoContext", "slog.WarnContext", "slog.ErrorContext", "log.Print", "log.Printf", "log.Println":
				t.Errorf("%v: %s: take a *slog.Logger", at(n), name)
			}
			return true
		})
	})
}

// Package variables are embeds, sentinel errors and tables: nothing that changes
// while the program runs, or two servers in one process would share it.
func TestPackageVariablesDoNotChange(t *testing.T) {
	for _, p := range packages(t) {
		if anyCovers(testSupport, p.room) {
			continue // one PostgreSQL for a whole test process, for example, is the point there
		}
		vars := map[string]*ast.ValueSpec{}
		for _, f := range p.files {
			if f.test || f.generated {
				continue
			}
			for _, d := range f.ast.Decls {
				decl, ok := d.(*ast.GenDecl)
				if !ok || decl.Tok != token.VAR {
					continue
				}
				for _, s := range decl.Specs {
					spec := s.(*ast.ValueSpec)
					for _, name := range spec.Names {
						vars[name.Name] = spec
					}
					if mutable(spec.Type) {
						t.Errorf("%v: a package variable that changes: give it to a struct that somebody owns", at(spec))
					}
				}
			}
		}
		for _, f := range p.files {
			if f.test || f.generated {
				continue
			}
			ast.Inspect(f.ast, func(n ast.Node) bool {
				for _, target := range targets(n) {
					name := root(target)
					if name == nil || name.Name == "_" || vars[name.Name] == nil {
						continue
					}
					// The parser resolves names within a file; nil means the package's own.
					if name.Obj == nil || name.Obj.Decl == any(vars[name.Name]) {
						t.Errorf("%v: %s is a package variable and changes here", at(name), name.Name)
					}
				}
				return true
			})
		}
	}
}

// mutable reports types whose only use is to change.
func mutable(t ast.Expr) bool {
	s, ok := t.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	return ok && (x.Name == "sync" || x.Name == "atomic")
}

// targets lists what a statement assigns to.
func targets(n ast.Node) []ast.Expr {
	switch s := n.(type) {
	case *ast.AssignStmt:
		if s.Tok != token.DEFINE {
			return s.Lhs
		}
	case *ast.IncDecStmt:
		return []ast.Expr{s.X}
	}
	return nil
}

// root is the variable behind x, x.field, x[i] and *x.
func root(e ast.Expr) *ast.Ident {
	switch x := e.(type) {
	case *ast.Ident:
		return x
	case *ast.SelectorExpr:
		return root(x.X)
	case *ast.IndexExpr:
		return root(x.X)
	case *ast.StarExpr:
		return root(x.X)
	case *ast.ParenExpr:
		return root(x.X)
	}
	return nil
}
