package imapwire

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// tape is a connection on which the server says what is on the tape and hangs
// up. It gives at most step bytes at a time.
type tape struct {
	net.Conn // nil: nothing else is called
	data     []byte
	step     int
}

func (t *tape) Read(p []byte) (int, error) {
	if len(t.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), t.step)], t.data)
	t.data = t.data[n:]
	return n, nil
}

func (t *tape) Write(p []byte) (int, error)      { return len(p), nil }
func (t *tape) Close() error                     { return nil }
func (t *tape) SetDeadline(time.Time) error      { return nil }
func (t *tape) SetReadDeadline(time.Time) error  { return nil }
func (t *tape) SetWriteDeadline(time.Time) error { return nil }

func transcripts(f *testing.F) {
	files, err := filepath.Glob("testdata/wire/*.txt")
	if err != nil || len(files) == 0 {
		f.Fatal("no transcripts", err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		for line := range bytes.SplitAfterSeq(data, []byte("\r\n")) {
			f.Add(line)
		}
	}
}

// listen has every kind of command in flight, lets the server say data, and
// writes down all that was understood.
func listen(t *testing.T, data []byte, step int) string {
	var log strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&log, format+"\n", args...) }
	lim := Limits{Response: 1 << 20, Token: 200, Literal: 1 << 16, Depth: 10, Items: 50, Numbers: 100, Names: 20}
	c, err := NewClient(background(), &tape{data: append([]byte("* OK hi\r\n"), data...), step: step}, Options{Limits: lim,
		OnEvent: func(e Event) {
			if e.Message != nil {
				say("event message %+v", *e.Message)
				e.Message = nil
			}
			say("event %+v", e)
		},
		OnSkip: func(k SkipKind, w string) { say("skip %v %s", k, w) },
	})
	if err != nil {
		t.Fatal(err)
	}
	spooled := false
	h := FetchHandler{
		Body: func(m *Message, lit *Literal) error {
			b, err := io.ReadAll(lit)
			if int64(len(b)) != lit.Size && err == nil {
				t.Errorf("literal of %d has %d bytes", lit.Size, len(b))
			}
			if lit.Size > lim.Literal {
				t.Errorf("literal of %d let through", lit.Size)
			}
			say("body %s %q", lit.Section, b)
			spooled = true
			return err
		},
		Done: func(m *Message) error {
			if m.UID == 0 && m.Has&(HasBody|HasNIL) == 0 {
				t.Error("done without UID and body")
			}
			spooled = false
			say("done %+v", *m)
			return nil
		},
		Vanished: func(s UIDSet, e bool) error { say("vanished %v %v", s, e); return nil },
	}
	capa, list := c.Capability(), c.List(ListOptions{Status: StatusMessages})
	status, exam := c.Status("INBOX", StatusMessages), c.Examine("INBOX", ExamineOptions{QResync: &QResync{1, 1, nil}, Changes: h})
	fetch, search := c.UIDFetch(UIDsFrom(1), FetchItems{Body: true}, h), c.UIDSearch(Criteria{}, true)
	ns, id, en := c.Namespace(), c.ID(), c.Enable("QRESYNC")
	report(say, capa)
	report(say, list)
	report(say, status)
	report(say, exam)
	report(say, fetch)
	report(say, search)
	report(say, ns)
	report(say, id)
	report(say, en)
	c.Logout(background())
	if spooled && c.Err() == nil {
		t.Error("body without done")
	}
	if n := c.Stats().BytesRead; n > uint64(len(data)+len("* OK hi\r\n")) {
		t.Errorf("%d bytes read of %d", n, len(data))
	}
	return log.String()
}

func report[T any](say func(string, ...any), p *Call[T]) {
	v, err := p.Wait(background())
	say("%s %+v %v", p.cmd.name, v, err)
}

// Whatever a server says: no panic, no hang, every limit holds, and what is
// understood does not depend on how the bytes were cut into packets.
func FuzzResponses(f *testing.F) {
	transcripts(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		whole := listen(t, data, 1<<20)
		if pieces := listen(t, data, 1); pieces != whole {
			t.Errorf("in one piece:\n%s\nbyte by byte:\n%s", whole, pieces)
		}
	})
}

// Whatever one line holds, the next is understood.
func FuzzNextLineIsUnderstood(f *testing.F) {
	transcripts(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		line := data
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			line = line[:i]
		}
		tag, _, _ := bytes.Cut(bytes.TrimRight(line, "\r"), []byte(" "))
		if bytes.ContainsAny(line, "{") || len(line) > 150 || string(tag) == "m1" {
			return // a literal may rightly swallow the next line, and our tag ends the command
		}
		seen := false
		c, err := NewClient(background(), &tape{data: []byte("* OK hi\r\n" + string(line) + "\r\n* 4711 EXISTS\r\nm1 OK done\r\n"), step: 7}, Options{
			OnEvent: func(e Event) { seen = seen || e.Kind == EventExists && e.Num == 4711 },
			Limits:  Limits{Depth: 1000},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Noop().Wait(background()); err != nil || !seen {
			t.Errorf("after %q: EXISTS seen %v, %v", line, seen, err)
		}
	})
}

func FuzzFolderNames(f *testing.F) {
	for _, s := range []string{"INBOX", "&AOk-", "R&D", "&-", "&2D3eAA-", "&2D0-", "\u00c9\U0001F600&", "a\xff", "&AGE-bc&"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d := DecodeUTF7(s); !utf8.ValidString(d) {
			t.Errorf("%q decodes to %q, which is no UTF-8", s, d)
		}
		raw := EncodeUTF7(s)
		for _, b := range []byte(raw) {
			if b < ' ' || b > '~' {
				t.Fatalf("%q encodes to %q", s, raw)
			}
		}
		// Range over s gives U+FFFD for each bad byte.
		if want := string([]rune(s)); DecodeUTF7(raw) != want {
			t.Errorf("%q encodes to %q, which reads as %q", s, raw, DecodeUTF7(raw))
		}
	})
}

func FuzzUIDSet(f *testing.F) {
	for _, s := range []string{"1", "1:3,5", "9:*,1:3", "4294967295", "*", "3,1,2", "7:2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseUIDSet(text)
		if err != nil {
			return
		}
		back, err := ParseUIDSet(s.String())
		if err != nil || fmt.Sprint(back) != fmt.Sprint(s) {
			t.Errorf("%q reads as %v and back as %v, %v", text, s, back, err)
		}
		for i := 1; i < len(s); i++ {
			if s[i-1].Last == Star || s[i].First <= s[i-1].Last+1 {
				t.Errorf("%q reads as %v", text, s)
			}
		}
		if len(s.Minus(s)) > 0 {
			t.Errorf("%v minus itself is %v", s, s.Minus(s))
		}
	})
}
