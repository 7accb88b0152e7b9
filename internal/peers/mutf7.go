package peers

import (
	"encoding/base64"
	"strings"
	"unicode/utf16"
)

// mutf7 writes a folder name in IMAP's modified UTF-7 (RFC 3501, 5.1.3), which is
// also how Dovecot names directories.
func mutf7(name string) string {
	coding := base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").WithPadding(base64.NoPadding)
	var out strings.Builder
	var run []rune
	flush := func() {
		if len(run) == 0 {
			return
		}
		var wide []byte
		for _, u := range utf16.Encode(run) {
			wide = append(wide, byte(u>>8), byte(u))
		}
		out.WriteString("&" + coding.EncodeToString(wide) + "-")
		run = nil
	}
	for _, r := range name {
		if r < ' ' || r > '~' {
			run = append(run, r)
			continue
		}
		flush()
		out.WriteRune(r)
		if r == '&' {
			out.WriteByte('-')
		}
	}
	flush()
	return out.String()
}
