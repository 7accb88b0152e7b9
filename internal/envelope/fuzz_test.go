package envelope

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html"
)

func FuzzParse(f *testing.F) {
	f.Add(crlf(application))
	f.Add([]byte("From: a@b\n\nx"))
	f.Add([]byte("Content-Type: multipart/mixed; boundary=b\n\n--b\n\n--b\nContent-Type: multipart/mixed; boundary=\"b\"\n\n--b--"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := Parse(raw)
		if m.RawHash == "" || m.Size != int64(len(raw)) {
			t.Fatal("raw hash and size must always be there")
		}
		if err != nil {
			return
		}
		if strings.ContainsAny(m.Subject, "\r\n\x00") || len(m.Snippet) > 4*200 {
			t.Fatalf("unsafe text: %q", m.Subject)
		}
		for _, a := range m.Attachments {
			if strings.ContainsAny(a.Name, "/\\\x00\n") || a.Name == "" {
				t.Fatalf("unsafe name %q", a.Name)
			}
			if _, _, err := OpenPart(raw, a.Part); err != nil {
				t.Fatalf("part %s cannot be opened again: %v", a.Part, err)
			}
		}
		if _, _, err := HTML(raw, HTMLOptions{}); err != nil && m.HasHTML {
			t.Fatalf("html: %v", err)
		}
		if _, err := Text(raw); err != nil {
			t.Fatalf("text: %v", err)
		}
	})
}

// Whatever an HTML part holds: what comes out has only elements and attributes
// that do nothing, reaches no other host unless images were asked for, and says
// when it would have.
func FuzzHTML(f *testing.F) {
	f.Add("<p>Hi <b>you</b></p><img src=cid:logo@x><img src=https://t.example/p.gif>", false)
	f.Fuzz(func(t *testing.T, body string, remote bool) {
		raw := "From: a@b.example\r\nContent-Type: multipart/related; boundary=xyzzy\r\n\r\n--xyzzy\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + body +
			"\r\n--xyzzy\r\nContent-Type: image/png\r\nContent-ID: <logo@x>\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n--xyzzy--\r\n"
		doc, hasRemote, err := HTML([]byte(raw), HTMLOptions{RemoteImages: remote})
		if err != nil || doc == nil {
			return
		}
		content, ours := strings.CutPrefix(string(doc), htmlHead)
		if !ours || !utf8.Valid(doc) {
			t.Fatalf("%q", doc)
		}
		tree, err := html.Parse(strings.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		for n := range tree.Descendants() {
			switch n.Type {
			case html.CommentNode:
				t.Fatalf("a comment: %q", n.Data)
			case html.ElementNode:
				harmless(t, n, remote, hasRemote)
			}
		}
		if text := htmlToText(body); !utf8.ValidString(strings.ToValidUTF8(body, "")) || strings.Contains(text, "\n\n\n") {
			t.Fatalf("text %q", text)
		}
	})
}

// shown are the elements that may be left; the first three stand around every
// document.
var shown = strings.Fields(`html head body a abbr b blockquote br caption center cite code col colgroup dd del div dl dt em font h1 h2 h3 h4 h5 h6
	hr i img ins li ol p pre s small span strike strong sub sup table tbody td tfoot th thead tr u ul`)

func harmless(t *testing.T, n *html.Node, remote, hasRemote bool) {
	t.Helper()
	if !slices.Contains(shown, n.Data) {
		t.Fatalf("<%s> is left", n.Data)
	}
	for _, a := range n.Attr {
		value := strings.ToLower(strings.TrimSpace(a.Val))
		switch a.Key {
		case "href":
			if u, err := url.Parse(value); err != nil || !slices.Contains([]string{"http", "https", "mailto", "tel", "cid"}, u.Scheme) {
				t.Fatalf("a link to %q", a.Val)
			}
		case "src":
			inside := strings.HasPrefix(value, "data:image/")
			if !inside && (!remote || !hasRemote || !strings.HasPrefix(value, "http")) {
				t.Fatalf("an image from %q, remote %v, told %v", a.Val, remote, hasRemote)
			}
		case "style":
			if strings.ContainsAny(value, "\\@<{}") || strings.Contains(value, "url(") || strings.Contains(value, "expression(") {
				t.Fatalf("style %q", a.Val)
			}
		case "align", "alt", "bgcolor", "border", "cellpadding", "cellspacing", "color", "colspan", "dir", "height", "rel", "rowspan",
			"target", "title", "valign", "width":
		default:
			t.Fatalf("<%s %s=%q> is left", n.Data, a.Key, a.Val)
		}
	}
}

// Whatever a part says of itself: its name can be saved, and what is listed can
// be opened.
func FuzzAttachments(f *testing.F) {
	f.Add(`application/pdf; name="../../cv.pdf"`, `attachment; filename="../../cv.pdf"`, "base64", "<c@x>", []byte("JVBERi0xLjQK"))
	f.Fuzz(func(t *testing.T, media, disposition, encoding, cid string, body []byte) {
		raw := "From: a@b.example\r\nContent-Type: multipart/mixed; boundary=xyzzy\r\n\r\n--xyzzy\r\n\r\nwords\r\n--xyzzy\r\nContent-Type: " + media +
			"\r\nContent-Disposition: " + disposition + "\r\nContent-Transfer-Encoding: " + encoding + "\r\nContent-ID: " + cid + "\r\n\r\n" +
			string(body) + "\r\n--xyzzy--\r\n"
		m, err := Parse([]byte(raw))
		if err != nil {
			return
		}
		for _, a := range m.Attachments {
			bad := func(r rune) bool {
				return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || strings.ContainsRune(`<>:"|?*/\`, r)
			}
			if a.Name == "" || a.Name == "." || a.Name == ".." || !utf8.ValidString(a.Name) || strings.ContainsFunc(a.Name, bad) || len(a.Name) > 600 {
				t.Fatalf("name %q", a.Name)
			}
			if a.Type != strings.ToLower(a.Type) || a.Size < 0 || a.Size > int64(len(raw)) {
				t.Fatalf("%+v", a)
			}
			again, data, err := OpenPart([]byte(raw), a.Part)
			if err != nil || again.Name != a.Name || again.Type != a.Type || len(data) > len(raw)+1 {
				t.Fatalf("%+v opens as %+v, %d octets of %d, %v", a, again, len(data), len(raw), err)
			}
		}
	})
}
