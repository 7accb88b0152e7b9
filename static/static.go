// Package static holds what browsers load besides pages: one style sheet, one
// script, the typeface, the icon. Each is served under a name that carries a
// hash of its content, so that browsers may keep it for ever.
//
// css/*.css are joined in order of their names into app.css, and js/*.js into
// app.js: a page's own rules live in a file of their own and still cost no
// request. There is no build step. What is not ours is listed in LICENSES.md.
package static

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
)

//go:embed css font js img
var files embed.FS

// Prefix is the path under which Handler serves.
const Prefix = "/static/"

type asset struct {
	name   string // with hash: "app.3f2a9c1b7d5e.css"
	kind   string // media type
	data   []byte
	packed []byte // gzip, nil where it does not pay
}

type assets struct {
	byName   map[string]*asset // plain name → asset
	byHashed map[string]*asset
}

// kinds are written out: the machine's own table may lack one.
var kinds = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
	".svg": "image/svg+xml", ".woff2": "font/woff2",
}

// load is a table computed from the embedded files, once.
var load = sync.OnceValue(func() assets {
	all := assets{map[string]*asset{}, map[string]*asset{}}
	for _, pattern := range []string{"img/*", "font/*.woff2"} {
		names, _ := fs.Glob(files, pattern)
		for _, name := range names {
			all.add(path.Base(name), read(name))
		}
	}
	// The sheet names fonts and pictures, so it comes after them.
	sheet := join("css/*.css")
	for name, a := range all.byName {
		sheet = bytes.ReplaceAll(sheet, []byte(`url("`+name+`")`), []byte(`url("`+Prefix+a.name+`")`))
	}
	all.add("app.css", sheet)
	all.add("app.js", join("js/*.js"))
	return all
})

func read(name string) []byte {
	data, err := files.ReadFile(name)
	if err != nil {
		panic(fmt.Sprintf("static: embedded file %s: %v", name, err)) // a build without its files
	}
	return data
}

func join(pattern string) []byte {
	names, _ := fs.Glob(files, pattern) // sorted
	var out bytes.Buffer
	for _, name := range names {
		out.Write(read(name))
		out.WriteString("\n")
	}
	return out.Bytes()
}

func (a assets) add(name string, data []byte) {
	sum := sha256.Sum256(data)
	ext := path.Ext(name)
	it := &asset{
		name: strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:6]) + ext,
		kind: kinds[ext],
		data: data,
	}
	if ext != ".woff2" { // those are compressed already
		var packed bytes.Buffer
		w, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression)
		w.Write(data)
		w.Close()
		it.packed = packed.Bytes()
	}
	a.byName[name], a.byHashed[it.name] = it, it
}

// URL is the path of an asset by its plain name: URL("app.css"). An unknown
// name is a mistake in the program and panics; a test renders every page.
func URL(name string) string {
	a, ok := load().byName[name]
	if !ok {
		panic("static: no asset " + name)
	}
	return Prefix + a.name
}

// Handler serves the assets under Prefix.
func Handler() http.Handler {
	all := load()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, ok := all.byHashed[strings.TrimPrefix(r.URL.Path, Prefix)]
		if !ok {
			http.NotFound(w, r)
			return
		}
		h := w.Header()
		h.Set("Content-Type", a.kind)
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		body := a.data
		if a.packed != nil {
			h.Set("Vary", "Accept-Encoding")
			if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
				h.Set("Content-Encoding", "gzip")
				body = a.packed
			}
		}
		h.Set("Content-Length", fmt.Sprint(len(body)))
		if r.Method != http.MethodHead {
			w.Write(body)
		}
	})
}
