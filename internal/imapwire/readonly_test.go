package imapwire

import (
	"io"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"mailroom/internal/imapwire/wiretest"
)

// harmless are the commands that leave a mailbox as it is, and CREATE.
var harmless = regexp.MustCompile(`^m\d+ (CAPABILITY|ID|ENABLE|NOOP|NAMESPACE|LIST|STATUS|EXAMINE|UNSELECT|UID FETCH|UID SEARCH|IDLE|STARTTLS|AUTHENTICATE|LOGIN|LOGOUT|CREATE)( |$)|^(DONE|\*\*\*)$`)

// Every method of Client that can send is called here with everything on. A
// new one makes the test fail until somebody thought about it.
func TestNoCommandCanChangeAMailbox(t *testing.T) {
	quiet := []string{"Bye", "Capabilities", "Close", "DecodeName", "Enabled", "EncodeName", "Err", "Flush", "Greeting", "Has", "Interrupt",
		"KnowsCapabilities", "Stats", "TLS"}
	sending := map[string]func(c *Client){
		"Authenticate": func(c *Client) { c.Authenticate(t.Context(), XOAuth2("u", "t")) },
		"Capability":   func(c *Client) { c.Capability().Wait(t.Context()) },
		"Create":       func(c *Client) { c.Create("OTYS").Wait(t.Context()) },
		"Enable":       func(c *Client) { c.Enable("QRESYNC").Wait(t.Context()) },
		"Examine": func(c *Client) {
			c.Examine("x", ExamineOptions{CondStore: true}).Wait(t.Context())
			c.Examine("x", ExamineOptions{QResync: &QResync{1, 2, UIDs(3)}}).Wait(t.Context())
		},
		"ID": func(c *Client) { c.ID("name", "x").Wait(t.Context()) },
		"Idle": func(c *Client) {
			c.Interrupt()
			c.Idle(t.Context(), time.Minute, nil)
		},
		"List":      func(c *Client) { c.List(ListOptions{ReturnSpecialUse: true, Status: StatusMessages}).Wait(t.Context()) },
		"Login":     func(c *Client) { c.Login(t.Context(), "u", "p") },
		"Logout":    func(c *Client) { c.Logout(t.Context()) },
		"Namespace": func(c *Client) { c.Namespace().Wait(t.Context()) },
		"Noop":      func(c *Client) { c.Noop().Wait(t.Context()) },
		"StartTLS":  func(c *Client) { c.StartTLS(t.Context(), nil) },
		"Status":    func(c *Client) { c.Status("x", 1<<len(statusNames)-1).Wait(t.Context()) },
		"UIDFetch": func(c *Client) {
			var all FetchItems
			fillIn(reflect.ValueOf(&all).Elem())
			c.UIDFetch(UIDsFrom(1), all, FetchHandler{}).Wait(t.Context())
		},
		"UIDSearch": func(c *Client) { c.UIDSearch(Criteria{}, true).Wait(t.Context()) },
		"Unselect":  func(c *Client) { c.Unselect().Wait(t.Context()) },
	}
	typ := reflect.TypeFor[*Client]()
	for i := range typ.NumMethod() {
		name := typ.Method(i).Name
		send := sending[name]
		if send == nil {
			if !slices.Contains(quiet, name) {
				t.Errorf("%s is new here: does it send?", name)
			}
			continue
		}
		var lines []string
		c := connect(t, wiretest.Serve(t, func(s *wiretest.Session) {
			s.Send("* OK [CAPABILITY IMAP4rev1 SASL-IR LITERAL+] ready")
			for {
				line, ok := s.Line()
				if !ok {
					return
				}
				tag, rest, _ := strings.Cut(line, " ")
				switch {
				case strings.HasPrefix(rest, "IDLE"):
					s.Send("+ idling")
					s.Expect("DONE")
				case strings.HasPrefix(rest, "STARTTLS"):
					s.Send(tag + " NO")
					continue
				}
				s.Send(tag + " OK")
			}
		}), func(o *Options) { o.OnCommand = func(l string) { lines = append(lines, l) } })
		send(c)
		if len(lines) == 0 {
			t.Errorf("%s sent nothing", name)
		}
		for _, l := range lines {
			if !harmless.MatchString(l) {
				t.Errorf("%s sends %q", name, l)
			}
			if strings.Contains(strings.ReplaceAll(l, "BODY.PEEK[", ""), "[") || strings.Contains(l, "RFC822 ") || strings.Contains(l, "RFC822.TEXT") {
				t.Errorf("%s would mark messages as read: %q", name, l)
			}
		}
	}
}

func fillIn(v reflect.Value) {
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Int64:
			f.SetInt(9)
		case reflect.Uint64:
			f.SetUint(9)
		case reflect.Slice:
			f.Set(reflect.ValueOf([]string{"From"}))
		}
	}
}

func TestSkippedKindsHaveNames(t *testing.T) {
	for k := range skipKinds {
		if k.String() == "?" || k.String() == "" {
			t.Errorf("kind %d has no name", k)
		}
	}
	var s Stats
	s.Skipped[SkipItem], s.Skipped[SkipLine] = 2, 3
	if s.SkippedTotal() != 5 {
		t.Error("the sum is wrong")
	}
}

func TestBytesAreCounted(t *testing.T) {
	c := open(t, "", `
		C: {a} UID FETCH 1 (UID BODY.PEEK[])
		R: "* 1 FETCH (UID 1 BODY[] {3}\r\nabc)\r\n{a} OK\r\n"
	`)
	wait(t, c.UIDFetch(UIDs(1), FetchItems{Body: true}, FetchHandler{Body: func(_ *Message, l *Literal) error { io.Copy(io.Discard, l); return nil }}))
	s := c.Stats()
	if want := uint64(len("* OK ready\r\n* 1 FETCH (UID 1 BODY[] {3}\r\nabc)\r\nm1 OK\r\n")); s.BytesRead != want {
		t.Errorf("%d bytes read, want %d", s.BytesRead, want)
	}
	if want := uint64(len("m1 UID FETCH 1 (UID BODY.PEEK[])\r\n")); s.BytesWritten != want {
		t.Errorf("%d bytes written, want %d", s.BytesWritten, want)
	}
	if s.Responses != 3 || s.RoundTrips != 1 || s.Commands != 1 {
		t.Errorf("stats %+v", s)
	}
}
