package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const module = "mailroom"

// A pkg is a directory with Go files.
type pkg struct {
	room  string // its path beneath the module's root
	files []source
}

type source struct {
	path      string // beneath the module's root
	test      bool
	generated bool
	ast       *ast.File
}

// code counts the declarations outside tests, imports included.
func (p pkg) code() (n int) {
	for _, f := range p.files {
		if !f.test {
			n += len(f.ast.Decls)
		}
	}
	return n
}

// imports lists the module's packages that p imports outside tests.
func (p pkg) imports() []string {
	var found []string
	for _, f := range p.files {
		if f.test {
			continue
		}
		for _, spec := range f.ast.Imports {
			name, _ := strconv.Unquote(spec.Path.Value) // the parser has accepted it
			if to, ok := strings.CutPrefix(name, module+"/"); ok {
				found = append(found, to)
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

var fset = token.NewFileSet()

var parsed = sync.OnceValues(func() ([]pkg, error) {
	root := os.DirFS(filepath.Join("..", ".."))
	byRoom := map[string]*pkg{}
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		if d.IsDir() {
			if base == "node_modules" || base == "testdata" || (len(base) > 1 && strings.ContainsAny(base[:1], "._")) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(base, ".go") {
			return nil
		}
		content, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		tree, err := parser.ParseFile(fset, name, content, parser.ParseComments)
		if err != nil {
			return err
		}
		room := path.Dir(name)
		if byRoom[room] == nil {
			byRoom[room] = &pkg{room: room}
		}
		byRoom[room].files = append(byRoom[room].files, source{
			path: name, test: strings.HasSuffix(base, "_test.go"), generated: ast.IsGenerated(tree), ast: tree,
		})
		return nil
	})
	var all []pkg
	for _, p := range byRoom {
		all = append(all, *p)
	}
	slices.SortFunc(all, func(a, b pkg) int { return strings.Compare(a.room, b.room) })
	return all, err
})

// packages are all packages of the module, parsed once.
func packages(t *testing.T) []pkg {
	t.Helper()
	all, err := parsed()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// eachFile calls look for every hand-written file of the module.
func eachFile(t *testing.T, look func(p pkg, f source)) {
	t.Helper()
	for _, p := range packages(t) {
		for _, f := range p.files {
			if !f.generated {
				look(p, f)
			}
		}
	}
}
