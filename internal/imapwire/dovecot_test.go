package imapwire

import (
	"crypto/tls"
	"fmt"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"mailroom/internal/peers"
)

func dovecot(t *testing.T) *peers.DovecotServer {
	return peers.Dovecot(t, peers.DovecotOptions{Users: map[string]string{"ann@example.com": "secret"},
		Folders: append(peers.StandardFolders(), peers.DovecotFolder{Name: "Entw\u00fcrfe & \U0001F600"})})
}

// signIn connects by implicit TLS.
func signIn(t *testing.T, d *peers.DovecotServer) *Client {
	t.Helper()
	conn, err := tls.Dial("tcp", d.TLSAddr, &tls.Config{RootCAs: d.Cert.CA, ServerName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	c := connect(t, conn)
	if err := c.Authenticate(t.Context(), Plain("ann@example.com", "secret")); err != nil {
		t.Fatal(err)
	}
	return c
}

func mails(from, to int) (out []peers.Mail) {
	for i := from; i <= to; i++ {
		body := fmt.Sprintf("Subject: %d\r\nMessage-ID: <%d@example.com>\r\n\r\n%s\r\n", i, i, strings.Repeat("text ", i*50))
		out = append(out, peers.Mail{Raw: []byte(body)})
	}
	return out
}

func TestErrandAgainstDovecot(t *testing.T) {
	d := dovecot(t)
	d.Deliver("ann@example.com", "INBOX", mails(1, 60)...)
	d.Deliver("ann@example.com", "Entw\u00fcrfe & \U0001F600", mails(1, 2)...)
	before := d.Snapshot("ann@example.com")

	conn, err := net.Dial("tcp", d.Addr)
	if err != nil {
		t.Fatal(err)
	}
	c := connect(t, conn)
	if err := c.StartTLS(t.Context(), &tls.Config{RootCAs: d.Cert.CA, ServerName: "localhost"}); err != nil {
		t.Fatal(err)
	}
	wait(t, c.Capability())
	if e := wantErr[*AuthError](t, c.Authenticate(t.Context(), Plain("ann@example.com", "wrong"))); e.Err.Code != "AUTHENTICATIONFAILED" {
		t.Errorf("error %v", e)
	}
	if err := c.Authenticate(t.Context(), Plain("ann@example.com", "secret")); err != nil {
		t.Fatal(err)
	}
	if !c.Has("QRESYNC") {
		t.Fatalf("capabilities %v", c.Capabilities())
	}

	trips := c.Stats().RoundTrips
	id, ns, en := c.ID("name", "test"), c.Namespace(), c.Enable("QRESYNC", "CONDSTORE")
	l := c.List(ListOptions{ReturnSpecialUse: true, ReturnChildren: true, Status: StatusMessages | StatusUIDNext | StatusUIDValidity | StatusHighestModSeq | StatusSize})
	roles := map[string]uint32{}
	sent := false
	for _, e := range wait(t, l) {
		roles[c.DecodeName(e.Name)] = e.Status.Messages
		sent = sent || e.Name == "Sent" && e.HasAttr(`\Sent`)
	}
	if want := (map[string]uint32{"INBOX": 60, "Sent": 0, "Drafts": 0, "Trash": 0, "Junk": 0, "Entw\u00fcrfe & \U0001F600": 2}); !sent || !reflect.DeepEqual(roles, want) {
		t.Errorf("folders %v, Sent recognised %v", roles, sent)
	}
	if wait(t, id)["name"] != "Dovecot" || len(wait(t, ns).Personal) != 1 || len(wait(t, en)) != 2 {
		t.Error("ID, NAMESPACE or ENABLE went wrong")
	}
	if n := c.Stats().RoundTrips - trips; n != 1 {
		t.Errorf("%d round trips for four commands, want 1", n)
	}

	m := wait(t, c.Examine("INBOX", ExamineOptions{CondStore: true}))
	if m.Exists != 60 || m.UIDNext != 61 || m.HighestModSeq == 0 || !m.ReadOnly {
		t.Errorf("mailbox %+v", m)
	}
	var g got
	items := FetchItems{Flags: true, InternalDate: true, Size: true, ModSeq: true, HeaderFields: []string{"Message-ID"}, Body: true}
	h := g.handler()
	a, b := c.UIDFetch(UIDsBetween(1, 30), items, h), c.UIDFetch(UIDsBetween(31, 60), items, h)
	if n := wait(t, a) + wait(t, b); n != 60 || len(g.bodies) != 60 {
		t.Errorf("%d messages, %d bodies", n, len(g.bodies))
	}
	for i, mail := range mails(1, 60) {
		want := fmt.Sprintf("Message-ID: <%d@example.com>\r\n\r\n|%s", i+1, mail.Raw)
		if got := g.bodies[uint32(i+1)]; got != want {
			t.Errorf("message %d is %.80q…", i+1, got)
			break
		}
	}
	for _, compact := range []bool{false, true} {
		if r := wait(t, c.UIDSearch(Criteria{}, compact)); r.UIDs.String() != "1:60" {
			t.Errorf("search (compact %v) found %v", compact, r.UIDs)
		}
	}
	if err := c.Logout(t.Context()); err != nil {
		t.Error(err)
	}
	if s := c.Stats(); s.SkippedTotal() != 0 {
		t.Errorf("skipped of Dovecot: %v", s.Skipped)
	}
	if after := d.Snapshot("ann@example.com"); !reflect.DeepEqual(before, after) {
		t.Error("reading changed the mailbox")
	}
	if bad := d.ChangingCommands(); len(bad) > 0 {
		t.Errorf("commands that can change: %v", bad)
	}
}

func TestQResyncAgainstDovecot(t *testing.T) {
	d := dovecot(t)
	d.Deliver("ann@example.com", "INBOX", mails(1, 20)...)
	c := signIn(t, d)
	wait(t, c.Enable("QRESYNC"))
	m := wait(t, c.Examine("INBOX", ExamineOptions{CondStore: true}))
	wait(t, c.Unselect())

	d.SetFlags("ann@example.com", "INBOX", []string{`\Flagged`}, 7)
	d.Delete("ann@example.com", "INBOX", 3, 4, 5, 11)

	var gone UIDSet
	changed := map[uint32][]string{}
	h := FetchHandler{
		Done:     func(m *Message) error { changed[m.UID] = m.Flags; return nil },
		Vanished: func(s UIDSet, earlier bool) error { gone.AddSet(s); return nil },
	}
	again := wait(t, c.Examine("INBOX", ExamineOptions{QResync: &QResync{m.UIDValidity, m.HighestModSeq, UIDsBetween(1, 20)}, Changes: h}))
	if again.Exists != 16 || gone.String() != "3:5,11" || len(changed[7]) == 0 {
		t.Errorf("mailbox %+v, gone %v, changed %v", again, gone, changed)
	}
	gone, changed = nil, map[uint32][]string{}
	wait(t, c.UIDFetch(UIDsFrom(1), FetchItems{Flags: true, ChangedSince: m.HighestModSeq, Vanished: true}, h))
	if gone.String() != "3:5,11" || len(changed) != 1 {
		t.Errorf("gone %v, changed %v", gone, changed)
	}
}

func TestIdleAgainstDovecot(t *testing.T) {
	d := dovecot(t)
	d.Deliver("ann@example.com", "INBOX", mails(1, 1)...)
	c := signIn(t, d)
	wait(t, c.Examine("INBOX", ExamineOptions{}))

	said := c.Stats().Responses
	delivered := make(chan struct{})
	go func() {
		defer close(delivered)
		<-until(t, func() bool { return c.Stats().Responses > said }) // "+ idling"
		c.Interrupt()
	}()
	end, err := c.Idle(t.Context(), time.Minute, nil)
	if err != nil || end != IdleInterrupted {
		t.Errorf("idle ended %v, %v", end, err)
	}
	<-delivered
	d.Deliver("ann@example.com", "INBOX", mails(2, 2)...)
	var n uint32
	end, err = c.Idle(t.Context(), time.Minute, func(e Event) bool { n = e.Num; return e.Kind == EventExists })
	if err != nil || end != IdleStopped || n != 2 {
		t.Errorf("idle ended %v, %v, %d messages", end, err, n)
	}
	alive(t, c)
	d.Kick("ann@example.com")
	_, err = c.Idle(t.Context(), time.Minute, nil)
	if ce := wantErr[*ConnError](t, err); ce.Bye == nil {
		t.Errorf("no farewell in %v", ce)
	}
}

// until closes the channel once cond holds, or the test is over.
func until(t *testing.T, cond func() bool) <-chan struct{} {
	ch := make(chan struct{})
	go func() {
		defer close(ch)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for !cond() && t.Context().Err() == nil {
			<-tick.C
		}
	}()
	return ch
}
