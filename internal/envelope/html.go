package envelope

import (
	"encoding/base64"
	"regexp"
	"strings"

	"github.com/microcosm-cc/bluemonday"
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// HTMLOptions say how a body is made ready for a page.
type HTMLOptions struct {
	// RemoteImages leaves images of other hosts in; off, they are taken out and
	// HTML says that there were some.
	RemoteImages bool
}

// maxInline is how many octets of images a mail may bring inside its HTML.
const maxInline = 10 << 20

// HTML is the body as a whole document that is safe to show in a sandboxed
// frame under a policy of its own: no script, no form, no style sheet from
// elsewhere, links that open apart; images of the mail itself inside as data.
// doc is nil when the mail has no HTML.
func HTML(raw []byte, opts HTMLOptions) (doc []byte, hasRemote bool, err error) {
	body, images, err := htmlParts(raw)
	if err != nil || body == "" {
		return nil, false, err
	}
	safe := mailPolicy().Sanitize(body)
	out, hasRemote := rewriteImages(safe, images, opts.RemoteImages)
	return []byte(htmlHead + out + "</body></html>"), hasRemote, nil
}

const htmlHead = `<!doctype html><html><head><meta charset="utf-8"><base target="_blank">` +
	`<meta name="color-scheme" content="light"><style>` +
	`body{margin:16px;font:15px/1.5 system-ui,sans-serif;color:#1a2233;background:#fff;overflow-wrap:anywhere}` +
	`img{max-width:100%;height:auto}table{max-width:100%}pre{white-space:pre-wrap}` +
	`blockquote{margin-inline:0;padding-inline-start:12px;border-inline-start:3px solid #dde1ea;color:#55617a}` +
	`</style></head><body>`

// htmlParts gathers the HTML text and the images that it may show by cid.
func htmlParts(raw []byte) (string, map[string]*part, error) {
	var b strings.Builder
	images := map[string]*part{}
	head, body := splitHeader(withoutMboxLine(raw))
	err := walk(parseHeader(head), body, func(p *part) (bool, error) {
		switch {
		case p.media == "text/html" && p.disposition != "attachment" && p.name == "":
			b.WriteString(p.text(8 << 20))
		case p.cid != "" && strings.HasPrefix(p.media, "image/"):
			images[strings.ToLower(p.cid)] = p
		}
		return false, nil
	})
	return b.String(), images, err
}

var (
	lengthValue = regexp.MustCompile(`^[0-9]{1,4}%?$`)
	colorValue  = regexp.MustCompile(`^(#[0-9a-fA-F]{3,8}|[a-zA-Z]{3,20}|rgba?\([0-9., %]+\))$`)
	plainStyle  = regexp.MustCompile(`^[a-zA-Z0-9#%.,\-+'" ()]*$`)
	dataImage   = regexp.MustCompile(`^image/(png|jpe?g|gif|webp);base64,`)
)

// mailPolicy is what of a mail's HTML may be shown. Style values with url(),
// expression() or a backslash never match plainStyle's use below.
func mailPolicy() *bluemonday.Policy {
	p := bluemonday.NewPolicy()
	p.AllowElements("a", "abbr", "b", "blockquote", "br", "caption", "center", "cite", "code", "col", "colgroup", "dd", "del",
		"div", "dl", "dt", "em", "font", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "ins", "li", "ol", "p", "pre",
		"s", "small", "span", "strike", "strong", "sub", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "u", "ul")
	p.AllowAttrs("href").OnElements("a")
	p.AllowAttrs("src", "alt", "title").OnElements("img")
	p.AllowAttrs("width", "height").Matching(lengthValue).Globally()
	p.AllowAttrs("align", "valign", "dir").Matching(regexp.MustCompile(`^[a-zA-Z]{1,10}$`)).Globally()
	p.AllowAttrs("border", "cellpadding", "cellspacing", "colspan", "rowspan").Matching(lengthValue).Globally()
	p.AllowAttrs("bgcolor", "color").Matching(colorValue).Globally()
	p.AllowStyles("color", "background-color", "font", "font-size", "font-weight", "font-style", "font-family", "line-height",
		"text-align", "text-decoration", "vertical-align", "padding", "padding-top", "padding-right", "padding-bottom", "padding-left",
		"margin", "margin-top", "margin-right", "margin-bottom", "margin-left", "border", "border-top", "border-bottom", "border-left",
		"border-right", "border-color", "border-radius", "border-collapse", "width", "max-width", "height", "white-space", "list-style-type",
	).MatchingHandler(func(v string) bool {
		low := strings.ToLower(v)
		return plainStyle.MatchString(v) && !strings.Contains(low, "url(") && !strings.Contains(low, "expression(")
	}).Globally()
	p.AllowURLSchemes("http", "https", "mailto", "tel", "cid")
	p.AllowDataURIImages()
	p.RequireParseableURLs(true)
	p.RequireNoReferrerOnLinks(true)
	p.AddTargetBlankToFullyQualifiedLinks(true)
	return p
}

// rewriteImages puts the mail's own images inside and takes remote ones out
// unless they were asked for.
func rewriteImages(safe string, images map[string]*part, remote bool) (string, bool) {
	var b strings.Builder
	hasRemote, inlined := false, 0
	z := html.NewTokenizer(strings.NewReader(safe))
	for {
		tt := z.Next()
		if tt == html.ErrorToken {
			return b.String(), hasRemote
		}
		t := z.Token()
		if (tt != html.StartTagToken && tt != html.SelfClosingTagToken) || t.DataAtom != atom.Img {
			b.WriteString(t.String())
			continue
		}
		src, alt := attribute(t, "src"), attribute(t, "alt")
		low := strings.ToLower(strings.TrimSpace(src))
		switch {
		case strings.HasPrefix(low, "cid:"):
			p := images[low[4:]]
			if p == nil || inlined+len(p.body) > maxInline {
				src = ""
				break
			}
			inlined += len(p.body)
			src = "data:" + p.media + ";base64," + base64.StdEncoding.EncodeToString(p.decode())
		case strings.HasPrefix(low, "data:"):
			if !dataImage.MatchString(low[5:]) {
				src = ""
			}
		case low != "":
			hasRemote = true
			if !remote || !strings.HasPrefix(low, "http") {
				src = ""
			}
		}
		if src == "" { // its words stand in for it, not a broken image
			b.WriteString(html.EscapeString(alt))
			continue
		}
		for i := range t.Attr {
			if t.Attr[i].Key == "src" {
				t.Attr[i].Val = src
			}
		}
		b.WriteString(t.String())
	}
}

func attribute(t html.Token, name string) string {
	for _, a := range t.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
