package imapwire

import (
	"bytes"
	"fmt"
	"net"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
)

// goIMAP starts go-imap's server, which nobody here wrote, with one user and
// the folders that are named.
func goIMAP(t *testing.T, folders ...string) (*imapmemserver.User, string) {
	t.Helper()
	user := imapmemserver.NewUser("ann", "secret")
	for _, f := range append([]string{"INBOX"}, folders...) {
		if err := user.Create(f, nil); err != nil {
			t.Fatal(err)
		}
	}
	mem := imapmemserver.New()
	mem.AddUser(user)
	srv := imapserver.New(&imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return mem.NewSession(), nil, nil
		},
		Caps:         imap.CapSet{imap.CapIMAP4rev1: {}, imap.CapIMAP4rev2: {}, imap.CapESearch: {}},
		InsecureAuth: true,
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { srv.Serve(l); close(done) }()
	t.Cleanup(func() { srv.Close(); <-done })
	return user, l.Addr().String()
}

func appendMail(t *testing.T, user *imapmemserver.User, folder string, body []byte, flags ...imap.Flag) {
	t.Helper()
	if _, err := user.Append(folder, literal{bytes.NewReader(body)}, &imap.AppendOptions{Flags: flags, Time: time.Unix(1_700_000_000, 0)}); err != nil {
		t.Fatal(err)
	}
}

type literal struct{ *bytes.Reader }

func (l literal) Size() int64 { return l.Reader.Size() }

func dialPeer(t *testing.T, addr string) *Client {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return connect(t, conn)
}

func TestErrandAgainstGoIMAP(t *testing.T) {
	user, addr := goIMAP(t, "Sent", "Entw\u00fcrfe & more")
	want := map[uint32]string{}
	for i := 1; i <= 50; i++ {
		body := fmt.Sprintf("Subject: %d\r\n\r\n%s", i, bytes.Repeat([]byte("x"), i*997))
		appendMail(t, user, "INBOX", []byte(body), imap.FlagFlagged)
		want[uint32(i)] = body
	}
	c := dialPeer(t, addr)
	e := wantErr[*AuthError](t, c.Authenticate(t.Context(), Plain("ann", "wrong")))
	if e.Err.Status != "NO" {
		t.Errorf("error %v", e)
	}
	if err := c.Authenticate(t.Context(), Plain("ann", "secret")); err != nil {
		t.Fatal(err)
	}
	caps, ns, l := c.Capability(), c.Namespace(), c.List(ListOptions{})
	if !slices.Contains(wait(t, caps), "IMAP4REV1") {
		t.Error("no capabilities")
	}
	wait(t, ns)
	var names []string
	for _, e := range wait(t, l) {
		names = append(names, c.DecodeName(e.Name))
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{"Entw\u00fcrfe & more", "INBOX", "Sent"}) {
		t.Errorf("folders %q", names)
	}
	wait(t, c.Create(c.EncodeName("OTYS \u00e9")))
	st := wait(t, c.Status("INBOX", StatusMessages|StatusUIDNext|StatusUIDValidity|StatusUnseen))
	if st.Messages != 50 || st.UIDNext != 51 || st.Unseen != 50 {
		t.Errorf("status %+v", st)
	}
	m := wait(t, c.Examine("INBOX", ExamineOptions{}))
	if m.Exists != 50 || m.UIDValidity != st.UIDValidity || !m.ReadOnly {
		t.Errorf("mailbox %+v", m)
	}
	var g got
	h := g.handler()
	a := c.UIDFetch(UIDsBetween(1, 25), FetchItems{Flags: true, InternalDate: true, Size: true, Body: true}, h)
	b := c.UIDFetch(UIDsBetween(26, 50), FetchItems{Flags: true, InternalDate: true, Size: true, Body: true}, h)
	if n := wait(t, a) + wait(t, b); n != 50 || !reflect.DeepEqual(g.bodies, want) {
		t.Errorf("%d messages, bodies right: %v", n, reflect.DeepEqual(g.bodies, want))
	}
	one := g.msgs[0]
	if !one.InternalDate.Equal(time.Unix(1_700_000_000, 0)) || one.Size != int64(len(want[one.UID])) || !slices.Contains(one.Flags, `\Flagged`) {
		t.Errorf("message %+v", one)
	}
	for _, compact := range []bool{false, true} {
		if r := wait(t, c.UIDSearch(Criteria{Without: []string{`\Seen`}}, compact)); r.UIDs.String() != "1:50" || !r.Answered {
			t.Errorf("search (compact %v) found %v", compact, r)
		}
	}
	if r := wait(t, c.UIDSearch(Criteria{Header: []HeaderTerm{{"Subject", "37"}}}, false)); r.UIDs.String() != "37" {
		t.Errorf("search by header found %v", r.UIDs)
	}
	wait(t, c.Unselect())
	if _, err := c.Examine("nowhere", ExamineOptions{}).Wait(t.Context()); err == nil {
		t.Error("a folder that does not exist opened")
	}
	if err := c.Logout(t.Context()); err != nil {
		t.Error(err)
	}
	if n := c.Stats().SkippedTotal(); n != 0 {
		t.Errorf("%d things skipped of a plain server: %v", n, c.Stats().Skipped)
	}
}

func TestIdleAgainstGoIMAP(t *testing.T) {
	user, addr := goIMAP(t)
	c := dialPeer(t, addr)
	if err := c.Login(t.Context(), "ann", "secret"); err != nil {
		t.Fatal(err)
	}
	wait(t, c.Examine("INBOX", ExamineOptions{}))
	before := c.Stats().Responses
	heard, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		<-until(t, func() bool { return c.Stats().Responses > before }) // "+ idling"
		// This server may miss what comes before it listens itself.
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			appendMail(t, user, "INBOX", []byte("Subject: new\r\n\r\n"))
			select {
			case <-tick.C:
			case <-heard:
				return
			}
		}
	}()
	var seen uint32
	end, err := c.Idle(t.Context(), 10*time.Second, func(e Event) bool { seen = e.Num; return e.Kind == EventExists })
	close(heard)
	<-done
	if err != nil || end != IdleStopped || seen == 0 {
		t.Errorf("idle ended %v, %v, %d messages", end, err, seen)
	}
	alive(t, c)
}
