package imapwire

import (
	"encoding/base64"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// utf7 is the base64 of modified UTF-7: "," for "/", no padding (RFC 3501
// section 5.1.3).
var utf7 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").WithPadding(base64.NoPadding)

// DecodeUTF7 makes a raw mailbox name readable. What is not modified UTF-7 is
// left as it stands, so that a folder with an odd name can still be told from
// others; bytes that are not UTF-8 become U+FFFD. The result is for the eye:
// two raw names may read the same, so it is never a key.
func DecodeUTF7(raw string) string {
	var out strings.Builder
	rest := raw
	for {
		i := strings.IndexByte(rest, '&')
		if i < 0 {
			break
		}
		out.WriteString(rest[:i])
		rest = rest[i:]
		end := strings.IndexByte(rest, '-')
		if end < 0 {
			break
		}
		if text, ok := decodeShift(rest[1:end]); ok {
			out.WriteString(text)
			rest = rest[end+1:]
		} else {
			out.WriteByte('&')
			rest = rest[1:]
		}
	}
	out.WriteString(rest)
	return strings.ToValidUTF8(out.String(), "\uFFFD")
}

// decodeShift decodes what stands between "&" and "-".
func decodeShift(s string) (string, bool) {
	if s == "" {
		return "&", true
	}
	b, err := utf7.DecodeString(s)
	if err != nil || len(b)%2 != 0 || len(b) == 0 {
		return "", false
	}
	var out strings.Builder
	for i := 0; i < len(b); i += 2 {
		r := rune(b[i])<<8 | rune(b[i+1])
		if utf16.IsSurrogate(r) {
			if i+3 >= len(b) {
				return "", false
			}
			r = utf16.DecodeRune(r, rune(b[i+2])<<8|rune(b[i+3]))
			if r == utf8.RuneError {
				return "", false
			}
			i += 2
		}
		out.WriteRune(r)
	}
	return out.String(), true
}

// EncodeUTF7 writes a name as modified UTF-7. Bytes that are not UTF-8 become
// U+FFFD.
func EncodeUTF7(name string) string {
	var out strings.Builder
	var units []byte
	flush := func() {
		if len(units) > 0 {
			out.WriteByte('&')
			out.WriteString(utf7.EncodeToString(units))
			out.WriteByte('-')
			units = units[:0]
		}
	}
	for _, r := range name {
		if r >= ' ' && r <= '~' {
			flush()
			out.WriteRune(r)
			if r == '&' {
				out.WriteByte('-')
			}
			continue
		}
		for _, u := range utf16.AppendRune(nil, r) {
			units = append(units, byte(u>>8), byte(u))
		}
	}
	flush()
	return out.String()
}

// DecodeName makes a raw name readable, by what this connection speaks: UTF-8
// after ENABLE UTF8=ACCEPT (RFC 6855), else modified UTF-7.
func (c *Client) DecodeName(raw string) string {
	if c.Enabled("UTF8=ACCEPT") {
		return strings.ToValidUTF8(raw, "\uFFFD")
	}
	return DecodeUTF7(raw)
}

// EncodeName is the raw name of a mailbox that a person names.
func (c *Client) EncodeName(name string) string {
	if c.Enabled("UTF8=ACCEPT") {
		return strings.ToValidUTF8(name, "\uFFFD")
	}
	return EncodeUTF7(name)
}
