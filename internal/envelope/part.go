package envelope

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"path"
	"strconv"
	"strings"
	"unicode"

	"mailroom/internal/mailroom"
)

// part is one leaf of the MIME tree (RFC 2045), its body still encoded.
type part struct {
	path        string // "1", "1.2": as IMAP numbers sections
	media       string // lower case
	params      map[string]string
	disposition string // "attachment", "inline" or ""
	name        string
	encoding    string
	cid         string
	body        []byte
}

var (
	errTooDeep = errors.New("MIME parts nested too deep")
	errTooMany = errors.New("too many MIME parts")
)

// walk calls each for every leaf, in order, until it says stop. The error says
// which structure could not be read.
func walk(h header, body []byte, each func(*part) (stop bool, err error)) error {
	count := 0
	_, err := walkPart(h, body, "", 0, &count, each)
	return err
}

func walkPart(h header, body []byte, at string, depth int, count *int, each func(*part) (bool, error)) (bool, error) {
	if depth > maxDepth {
		return false, errTooDeep
	}
	if *count++; *count > maxParts {
		return false, errTooMany
	}
	media, params := mediaType(h.get("Content-Type"))
	if media == "" {
		media = "text/plain"
	}
	boundary := params["boundary"]
	if strings.HasPrefix(media, "multipart/") && (boundary == "" || !bytes.Contains(body, []byte("--"+boundary))) {
		// Said to be in parts and is not: its words are still worth reading.
		media = "text/plain"
	}
	if !strings.HasPrefix(media, "multipart/") {
		return each(newPart(h, body, media, params, cmp.Or(at, "1")))
	}
	n := 0
	for sub := range splitParts(body, boundary) {
		n++
		head, subBody := splitHeader(sub)
		subAt := strconv.Itoa(n)
		if at != "" {
			subAt = at + "." + subAt
		}
		if stop, err := walkPart(parseHeader(head), subBody, subAt, depth+1, count, each); stop || err != nil {
			return stop, err
		}
	}
	return false, nil
}

// splitParts yields the parts between the delimiter lines of RFC 2046 §5.1.1.
// A missing closing delimiter ends the last part with the body.
func splitParts(body []byte, boundary string) func(yield func([]byte) bool) {
	delim := []byte("--" + boundary)
	return func(yield func([]byte) bool) {
		start := -1
		for i := 0; i < len(body); {
			end := len(body)
			if n := bytes.IndexByte(body[i:], '\n'); n >= 0 {
				end = i + n + 1
			}
			if bytes.HasPrefix(body[i:end], delim) {
				rest := bytes.TrimRight(body[i+len(delim):end], " \t\r\n")
				closing := bytes.Equal(rest, []byte("--"))
				if len(rest) == 0 || closing {
					if start >= 0 && !yield(trimLineEnd(body[start:i])) {
						return
					}
					start = end
					if closing {
						return
					}
				}
			}
			// Most bytes are attachment lines: jump to the next line that can be
			// a delimiter instead of looking at each.
			next := bytes.Index(body[max(end-1, 0):], []byte("\n--"))
			if next < 0 {
				break
			}
			i = end - 1 + next + 1
			if i < end {
				i = end
			}
		}
		if start >= 0 && start <= len(body) {
			yield(body[start:])
		}
	}
}

// trimLineEnd drops the line break that belongs to the delimiter.
func trimLineEnd(b []byte) []byte {
	b = bytes.TrimSuffix(b, []byte{'\n'})
	return bytes.TrimSuffix(b, []byte{'\r'})
}

// mediaType reads a Content-Type leniently: a broken parameter costs itself.
func mediaType(s string) (string, map[string]string) {
	if s == "" {
		return "", map[string]string{}
	}
	media, params, err := mime.ParseMediaType(s)
	if err == nil || (errors.Is(err, mime.ErrInvalidMediaParameter) && media != "" && len(params) > 0) {
		return strings.ToLower(media), params
	}
	media, rest, _ := strings.Cut(s, ";")
	params = map[string]string{}
	for p := range strings.SplitSeq(rest, ";") {
		if k, v, ok := strings.Cut(p, "="); ok {
			params[strings.ToLower(strings.TrimSpace(k))] = strings.Trim(strings.TrimSpace(v), `"`)
		}
	}
	media = strings.ToLower(strings.TrimSpace(media))
	if !strings.Contains(media, "/") {
		if media == "text" { // seen from old mailers
			return "text/plain", params
		}
		return "application/octet-stream", params
	}
	return media, params
}

func newPart(h header, body []byte, media string, params map[string]string, at string) *part {
	disp, dparams := mediaType(h.get("Content-Disposition"))
	if !strings.Contains(h.get("Content-Disposition"), "/") && disp == "application/octet-stream" {
		disp, _, _ = strings.Cut(strings.ToLower(h.get("Content-Disposition")), ";")
		disp = strings.TrimSpace(disp)
	}
	name := dparams["filename"]
	if name == "" {
		name = params["name"]
	}
	return &part{
		path: at, media: media, params: params, disposition: disp,
		name:     decodeWords(name),
		encoding: strings.ToLower(strings.TrimSpace(h.get("Content-Transfer-Encoding"))),
		cid:      strings.Trim(strings.TrimSpace(h.get("Content-Id")), "<>"),
		body:     body,
	}
}

// isAttachment: said to be one, or not text, or text with a file name.
func (p *part) isAttachment() bool {
	if p.disposition == "attachment" || p.name != "" {
		return true
	}
	return !strings.HasPrefix(p.media, "text/") || p.media == "text/calendar"
}

// isInline: shown by HTML through its Content-ID.
func (p *part) isInline() bool {
	return p.disposition != "attachment" && p.cid != "" && strings.HasPrefix(p.media, "image/")
}

func (p *part) describe() mailroom.Attachment {
	return mailroom.Attachment{
		Part: p.path, Name: safeName(p.name, p.media, p.path), Type: p.media,
		Size: p.decodedSize(), Inline: p.isInline(), CID: p.cid,
	}
}

// decodedSize is exact for unencoded parts, and an estimate for the others.
func (p *part) decodedSize() int64 {
	n := int64(len(p.body))
	if p.encoding == "base64" {
		lines := int64(bytes.Count(p.body, []byte{'\n'}))
		return max((n-2*lines)*3/4, 0)
	}
	return n
}

// decode is the part's content. Bad encoding gives what could be read of it.
func (p *part) decode() []byte {
	switch p.encoding {
	case "base64":
		return decodeBase64(p.body)
	case "quoted-printable":
		out, err := io.ReadAll(quotedprintable.NewReader(bytes.NewReader(p.body)))
		if err != nil && len(out) == 0 {
			return p.body
		}
		return out
	}
	return p.body
}

// decodeBase64 skips what is not of the alphabet, as RFC 2045 §6.8 asks, and
// goes on after padding in the middle, which broken mailers write.
func decodeBase64(in []byte) []byte {
	clean := make([]byte, 0, len(in))
	for _, c := range in {
		switch {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '+', c == '/':
			clean = append(clean, c)
		case c == '-': // URL alphabet
			clean = append(clean, '+')
		case c == '_':
			clean = append(clean, '/')
		}
	}
	if len(clean)%4 == 1 {
		clean = clean[:len(clean)-1]
	}
	out := make([]byte, base64.RawStdEncoding.DecodedLen(len(clean)))
	n, _ := base64.RawStdEncoding.Decode(out, clean)
	return out[:n]
}

// text is the content as UTF-8, at most limit octets of it.
func (p *part) text(limit int) string {
	q := *p
	if len(q.body) > limit*2 { // encoded text is at most thrice as long; enough for an index
		q.body = q.body[:limit*2]
	}
	s := toUTF8(q.decode(), p.params["charset"])
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "")
	}
	return s
}

// safeName is a file name that is safe to save: no path, no control or
// direction characters, not empty, of bounded length.
func safeName(name, media, at string) string {
	name = path.Base(strings.ReplaceAll(name, `\`, "/"))
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || strings.ContainsRune(`<>:"|?*`, r) {
			return -1
		}
		return r
	}, name)
	name = strings.Trim(strings.TrimSpace(name), ".")
	if name == "" || name == "/" {
		ext := ""
		switch {
		case media == "message/rfc822":
			ext = ".eml"
		case media == "text/calendar":
			ext = ".ics"
		default:
			if exts, _ := mime.ExtensionsByType(media); len(exts) > 0 {
				ext = exts[0]
			}
		}
		return fmt.Sprintf("attachment-%s%s", at, ext)
	}
	if r := []rune(name); len(r) > 120 {
		ext := path.Ext(name)
		if len(ext) > 10 {
			ext = ""
		}
		name = string(r[:110]) + ext
	}
	return name
}
