package imapconn

import (
	"errors"
	"strings"
	"testing"
	"time"

	"mailroom/internal/imapwire"
	"mailroom/internal/mailroom"
)

// Whatever words a server refuses with: somebody is named who can act, a pause
// is neither past nor endless, and a header gives an id on one line.
func FuzzServerWords(f *testing.F) {
	f.Add("NO", "", "Request is throttled. Suggested Backoff Time: 299961 milliseconds", []byte("Message-ID:\r\n <a@b>\r\n"))
	f.Add("BAD", "UNAVAILABLE", "User is authenticated but not connected.", []byte("Subject: x\r\nmessage-id : a@b c\r\n"))
	f.Fuzz(func(t *testing.T, status, code, text string, header []byte) {
		c := &Conn{}
		for _, err := range []error{
			&imapwire.ResponseError{Command: "EXAMINE", Status: status, Code: code, CodeArgs: text, Text: text},
			&imapwire.ConnError{Err: errors.New("x"), Bye: &imapwire.Notice{Status: status, Code: code, Text: text}},
			&imapwire.ConnError{Err: errors.New("x"), Stray: text},
			&imapwire.AuthError{Mechanism: "PLAIN", Err: &imapwire.ResponseError{Status: status, Code: code, Text: text}},
		} {
			before := time.Now()
			e := mailroom.AsError(c.folderError(err))
			if e == nil || e.Key == "" || !errors.Is(e, err) {
				t.Fatalf("%v is %v", err, e)
			}
			if pause := e.Until.Sub(before); e.Kind == mailroom.Throttled && (pause <= 0 || pause > maxBackoff+time.Minute) {
				t.Fatalf("%q means a pause of %v", text, pause)
			}
		}
		if id := messageID(header); strings.Contains(id, "\n") || strings.TrimSpace(id) != id {
			t.Fatalf("%q gives the id %q", header, id)
		}
		isPlaceholder(header)
		roleByName(text)
	})
}
