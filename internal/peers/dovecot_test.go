package peers_test

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"mailroom/internal/peers"
)

// client is the simplest IMAP client: lines out, lines in.
type client struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
	n    int
}

func dial(t testing.TB, conn net.Conn, err error) *client {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	c := &client{t: t, conn: conn, r: bufio.NewReader(conn)}
	c.line()
	return c
}

func (c *client) line() string {
	c.t.Helper()
	line, err := c.r.ReadString('\n')
	if err != nil {
		c.t.Fatalf("read: %v", err)
	}
	return strings.TrimRight(line, "\r\n")
}

// until reads lines up to one that holds want.
func (c *client) until(want string) string {
	c.t.Helper()
	for {
		if line := c.line(); strings.Contains(line, want) {
			return line
		}
	}
}

// do returns all answers to a command, the tagged one last.
func (c *client) do(command string) string {
	c.t.Helper()
	c.n++
	tag := fmt.Sprintf("a%d", c.n)
	if _, err := io.WriteString(c.conn, tag+" "+command+"\r\n"); err != nil {
		c.t.Fatal(err)
	}
	var all []string
	for {
		line := c.line()
		all = append(all, line)
		if strings.HasPrefix(line, tag+" ") {
			return strings.Join(all, "\n")
		}
	}
}

func (c *client) ok(command string) string {
	c.t.Helper()
	answer := c.do(command)
	if last := answer[strings.LastIndex(answer, "\n")+1:]; !strings.Contains(last, " OK ") {
		c.t.Fatalf("%s: %s", command, last)
	}
	return answer
}

func plain(t testing.TB, d *peers.DovecotServer) *client {
	t.Helper()
	conn, err := net.Dial("tcp", d.Addr)
	return dial(t, conn, err)
}

func implicitTLS(t testing.TB, d *peers.DovecotServer) *client {
	t.Helper()
	conn, err := tls.Dial("tcp", d.TLSAddr, &tls.Config{RootCAs: d.Cert.CA})
	return dial(t, conn, err)
}

func letter(subject string) peers.Mail {
	return peers.Mail{Raw: []byte("From: Ana <ana@example.org>\r\nTo: rik@example.com\r\nSubject: " + subject +
		"\r\nMessage-ID: <" + subject + "@example.org>\r\n\r\nGood day.\r\n")}
}

const rik = "rik@example.com"

func withPassword(t testing.TB, opts peers.DovecotOptions) *peers.DovecotServer {
	t.Helper()
	opts.Users = map[string]string{rik: "spring-tide"}
	return peers.Dovecot(t, opts)
}

func TestDovecotSignsInByPasswordOnEveryListener(t *testing.T) {
	d := withPassword(t, peers.DovecotOptions{})
	plain(t, d).ok(`LOGIN rik@example.com spring-tide`)
	implicitTLS(t, d).ok(`LOGIN rik@example.com spring-tide`)

	starttls := plain(t, d)
	starttls.ok("STARTTLS")
	secure := tls.Client(starttls.conn, &tls.Config{RootCAs: d.Cert.CA, ServerName: "localhost"})
	starttls.conn, starttls.r = secure, bufio.NewReader(secure)
	starttls.ok(`LOGIN rik@example.com spring-tide`)

	began := time.Now()
	if answer := plain(t, d).do(`LOGIN rik@example.com wrong`); !strings.Contains(answer, "NO [AUTHENTICATIONFAILED]") {
		t.Errorf("a wrong password was answered with %q", answer)
	}
	if took := time.Since(began); took > 1500*time.Millisecond {
		t.Errorf("a refusal took %v", took)
	}
	d.SetPassword(rik, "neap-tide")
	if answer := plain(t, d).do(`LOGIN rik@example.com spring-tide`); !strings.Contains(answer, " NO ") {
		t.Errorf("the old password was answered with %q", answer)
	}
	plain(t, d).ok(`LOGIN rik@example.com neap-tide`)
}

func TestDovecotCanRequireTLS(t *testing.T) {
	d := withPassword(t, peers.DovecotOptions{RequireTLS: true})
	c := plain(t, d)
	if answer := c.ok("CAPABILITY"); !strings.Contains(answer, "LOGINDISABLED") {
		t.Errorf("capabilities: %s", answer)
	}
	implicitTLS(t, d).ok(`LOGIN rik@example.com spring-tide`)
}

func TestDovecotFoldersAndCapabilities(t *testing.T) {
	d := withPassword(t, peers.DovecotOptions{
		Folders:   []peers.DovecotFolder{{Name: "Verzonden items", Role: `\Sent`}, {Name: "Überblick"}},
		Separator: ".", Prefix: "INBOX.", Without: []string{"CONDSTORE", "QRESYNC", "IDLE"},
	})
	c := plain(t, d)
	answer := c.ok(`LOGIN rik@example.com spring-tide`)
	for _, no := range []string{"CONDSTORE", "QRESYNC", "IDLE"} {
		if strings.Contains(answer+c.ok("CAPABILITY"), no) {
			t.Errorf("%s is announced", no)
		}
	}
	d.CreateFolder(rik, "Klanten.Jansen & Zn")
	list := c.ok(`LIST "" "*"`)
	for _, want := range []string{`\Sent) "." "INBOX.Verzonden items"`, `INBOX.&ANw-berblick`, `"INBOX.Klanten.Jansen &- Zn"`, `"." INBOX`} {
		if !strings.Contains(list, want) {
			t.Errorf("LIST lacks %s:\n%s", want, list)
		}
	}
}

func TestDovecotDeliversAndTellsWatchers(t *testing.T) {
	for _, opts := range []peers.DovecotOptions{{}, {Hibernate: time.Second}, {Format: "mdbox"}} {
		t.Run(fmt.Sprintf("format %s, hibernate %v", opts.Format, opts.Hibernate), func(t *testing.T) {
			d := withPassword(t, opts)
			day := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
			first := letter("one")
			first.Flags, first.Date = []string{`\Seen`, `\Flagged`}, day
			d.Deliver(rik, "INBOX", first, letter("two"), letter("three"))
			d.Deliver(rik, "Map/Ünder.dot", letter("four"))

			c := plain(t, d)
			c.ok(`LOGIN rik@example.com spring-tide`)
			c.ok(`EXAMINE "Map/&ANw-nder.dot"`)
			if answer := c.ok("EXAMINE INBOX"); !strings.Contains(answer, "* 3 EXISTS") {
				t.Fatalf("EXAMINE: %s", answer)
			}
			answer := c.ok("UID FETCH 1 (FLAGS INTERNALDATE BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
			for _, want := range []string{`\Seen`, `\Flagged`, `"04-Mar-2026 05:06:07 +0000"`, "Subject: one"} {
				if !strings.Contains(answer, want) {
					t.Errorf("FETCH lacks %s: %s", want, answer)
				}
			}
			if answer := c.ok("UID FETCH 3 BODY.PEEK[]"); !strings.Contains(answer, fmt.Sprintf("BODY[] {%d}", len(letter("three").Raw))) {
				t.Errorf("the message came back changed: %s", answer)
			}

			io.WriteString(c.conn, "i IDLE\r\n")
			c.until("+ idling")
			d.Deliver(rik, "INBOX", letter("five"))
			c.until("* 4 EXISTS")
			io.WriteString(c.conn, "DONE\r\n")
			c.until("i OK")
		})
	}
}

func TestDovecotHandChangesMailboxes(t *testing.T) {
	d := withPassword(t, peers.DovecotOptions{})
	uids := d.Append(rik, "INBOX", letter("one"), letter("two"), letter("three"))
	if !slices.Equal(uids, []uint32{1, 2, 3}) {
		t.Fatalf("UIDs %v", uids)
	}
	d.SetFlags(rik, "INBOX", []string{`\Answered`, "$Label"}, 1)
	d.Delete(rik, "INBOX", 2)
	d.CreateFolder(rik, "OTYS")
	d.Move(rik, "INBOX", "OTYS", 3)
	d.RenameFolder(rik, "OTYS", "Oud/OTYS")
	d.CreateFolder(rik, "Weg")
	d.DeleteFolder(rik, "Weg")

	state := d.Snapshot(rik)
	names := slices.Sorted(maps.Keys(state))
	if !slices.Equal(names, []string{"Drafts", "INBOX", "Junk", "Oud/OTYS", "Sent", "Trash"}) {
		t.Errorf("folders %v", names)
	}
	if want := map[uint32][]string{1: {"$Label", `\Answered`}}; !reflect.DeepEqual(state["INBOX"].Flags, want) {
		t.Errorf("INBOX holds %v", state["INBOX"].Flags)
	}
	if n := len(state["Oud/OTYS"].Flags); n != 1 {
		t.Errorf("Oud/OTYS holds %d messages", n)
	}
}

func TestDovecotRenumbers(t *testing.T) {
	d := withPassword(t, peers.DovecotOptions{})
	d.Deliver(rik, "INBOX", letter("one"), letter("two"))
	c := plain(t, d)
	c.ok(`LOGIN rik@example.com spring-tide`)
	c.ok("EXAMINE INBOX")
	before := d.Folder(rik, "INBOX")
	d.Renumber(rik, "INBOX")
	after := d.Folder(rik, "INBOX")
	if after.UIDValidity == before.UIDValidity || len(after.Flags) != 2 {
		t.Fatalf("before %+v, after %+v", before, after)
	}
	for _, uid := range after.UIDs() {
		if slices.Contains(before.UIDs(), uid) {
			t.Errorf("UID %d is good before and after", uid)
		}
	}
	if d.Renumber(rik, "INBOX"); d.Folder(rik, "INBOX").UIDValidity == after.UIDValidity {
		t.Error("the second renumbering kept UIDVALIDITY")
	}
}

func TestDovecotShowsWhatClientsSent(t *testing.T) {
	d := withPassword(t, peers.DovecotOptions{})
	d.Deliver(rik, "INBOX", letter("one"))
	c := implicitTLS(t, d)
	c.ok(`LOGIN rik@example.com spring-tide`)
	c.ok("EXAMINE INBOX")
	c.ok("UID FETCH 1:* (FLAGS BODY.PEEK[])")
	c.ok("LIST \"\" {1+}\r\n*")
	c.ok("FETCH 1 (BODY.PEEK[HEADER.FIELDS (DATE)] RFC822.SIZE)")
	if changing := d.ChangingCommands(); len(changing) != 0 {
		t.Errorf("a reader is said to have sent %v", changing)
	}
	c.ok("SELECT INBOX")
	c.ok("UID FETCH 1 BODY[TEXT]")
	c.ok("APPEND Drafts {12+}\r\nSubject: x\r\n")
	c.ok("FETCH 1 RFC822")
	c.ok("UID STORE 1 +FLAGS (\\Seen)")
	var names []string
	for _, command := range d.ChangingCommands() {
		names = append(names, command.Name)
	}
	if want := []string{"SELECT", "UID FETCH", "APPEND", "FETCH", "UID STORE"}; !slices.Equal(names, want) {
		t.Errorf("changing commands %v, want %v", names, want)
	}
	for _, command := range d.Commands() {
		if strings.Contains(command.Line, "spring-tide") {
			t.Errorf("a password is in %q", command.Line)
		}
	}
}

func TestDovecotOutage(t *testing.T) {
	d := withPassword(t, peers.DovecotOptions{})
	d.Deliver(rik, "INBOX", letter("one"))
	c := plain(t, d)
	c.ok(`LOGIN rik@example.com spring-tide`)
	if n := d.Connections(rik); n != 1 {
		t.Errorf("%d connections", n)
	}
	d.Stop()
	if _, err := io.Copy(io.Discard, c.conn); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("the connection outlived the server: %v", err)
	}
	if conn, err := net.Dial("tcp", d.Addr); err == nil {
		conn.Close()
		t.Error("the stopped server still answers")
	}
	d.Start()
	if n := len(d.Folder(rik, "INBOX").Flags); n != 1 {
		t.Errorf("%d messages after the outage", n)
	}
}

func TestDovecotSendsBearerUsersToIntrospection(t *testing.T) {
	op := peers.OIDCProvider(t, peers.OIDCOptions{})
	d := peers.Dovecot(t, peers.DovecotOptions{OAuth: op.DovecotOAuth()})
	token := op.Token(rik)
	xoauth2 := func(user, access string) string {
		return base64.StdEncoding.EncodeToString([]byte("user=" + user + "\x01auth=Bearer " + access + "\x01\x01"))
	}
	bearer := base64.StdEncoding.EncodeToString([]byte("n,a=" + rik + ",\x01host=localhost\x01port=143\x01auth=Bearer " + token.AccessToken + "\x01\x01"))
	implicitTLS(t, d).ok("AUTHENTICATE XOAUTH2 " + xoauth2(rik, token.AccessToken))
	implicitTLS(t, d).ok("AUTHENTICATE OAUTHBEARER " + bearer)

	refused := func(why, user, access string) {
		t.Helper()
		c := implicitTLS(t, d)
		io.WriteString(c.conn, "x AUTHENTICATE XOAUTH2 "+xoauth2(user, access)+"\r\n")
		challenge, ok := strings.CutPrefix(c.line(), "+ ")
		if reason, err := base64.StdEncoding.DecodeString(challenge); !ok || err != nil || !strings.Contains(string(reason), "status") {
			t.Errorf("%s: no reason was given: %q", why, challenge)
		}
		io.WriteString(c.conn, "\r\n")
		if line := c.until("x "); !strings.HasPrefix(line, "x NO") {
			t.Errorf("%s: %s", why, line)
		}
	}
	refused("no such token", rik, "nonsense")
	refused("another's token", "ana@example.org", token.AccessToken)
	op.RevokeGrants(rik)
	refused("a revoked grant", rik, token.AccessToken)
}
