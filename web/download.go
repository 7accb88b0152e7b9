package web

import (
	"io"
	"mime"
	"net/url"
	"strconv"
	"strings"

	"mailroom/internal/portal"
)

// downloadPolicy keeps a file harmless even when a browser shows it after all.
const downloadPolicy = "sandbox; default-src 'none'"

// safeTypes are the media types that a download may be called by. Everything
// else, HTML and SVG above all, goes out as bytes.
var safeTypes = map[string]bool{
	"application/pdf": true, "application/rtf": true, "application/zip": true, "message/rfc822": true,
	"application/msword": true, "application/vnd.ms-excel": true, "application/vnd.ms-powerpoint": true,
	"application/vnd.openxmlformats-officedocument.wordprocessingml.document":   true,
	"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet":         true,
	"application/vnd.openxmlformats-officedocument.presentationml.presentation": true,
	"application/vnd.oasis.opendocument.text":                                   true,
	"image/png": true, "image/jpeg": true, "image/gif": true, "image/webp": true, "image/heic": true,
	"text/plain": true, "text/csv": true, "text/calendar": true, "audio/mpeg": true, "video/mp4": true,
}

// download sends a file of somebody else's making: to be saved, never shown.
func (c *call) download(d portal.Download) error {
	defer d.Body.Close()
	h := c.w.Header()
	h.Set("Content-Type", safeType(d.Type))
	h.Set("Content-Disposition", attachmentHeader(d.Name))
	h.Set("Content-Security-Policy", downloadPolicy)
	h.Set("Cross-Origin-Opener-Policy", "unsafe-none") // a download opens no page
	if d.Size >= 0 {
		h.Set("Content-Length", strconv.FormatInt(d.Size, 10))
	}
	_, _ = io.Copy(c.w, d.Body) // a browser that has gone is no fault
	return nil
}

func safeType(t string) string {
	t, _, err := mime.ParseMediaType(t)
	if err != nil || !safeTypes[t] {
		return "application/octet-stream"
	}
	return t
}

// attachmentHeader is a Content-Disposition that every browser reads: an ASCII
// name, and the true one beside it (RFC 6266 §4.3, RFC 8187 §3.2).
func attachmentHeader(name string) string {
	if name == "" {
		name = "attachment"
	}
	ascii := strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e || strings.ContainsRune(`"\%/:*?<>|`, r) {
			return '_'
		}
		return r
	}, name)
	header := `attachment; filename="` + ascii + `"`
	if ascii != name {
		header += "; filename*=UTF-8''" + strings.ReplaceAll(url.QueryEscape(name), "+", "%20")
	}
	return header
}
