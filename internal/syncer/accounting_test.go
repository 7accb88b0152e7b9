package syncer_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"mailroom/internal/envelope"
	"mailroom/internal/imapconn"
	"mailroom/internal/mailroom"
	"mailroom/internal/peers"
	"mailroom/internal/pretend/imapd"
	"mailroom/internal/store"
	"mailroom/internal/store/storetest"
	"mailroom/internal/syncer"
)

// better reads what envelope.Parse cannot.
func better(raw []byte) (mailroom.Message, error) {
	if rest, ok := bytes.CutPrefix(raw, []byte(nothing)); ok {
		raw = append([]byte("From: anna@home.example\r\nMessage-ID: <late@home.example>\r\nSubject: Late\r\n\r\n"), rest...)
	}
	return envelope.Parse(raw)
}

const nothing = "\x00\x01\x02"

// bodies are the commands since the last ForgetCommands that asked for whole mails.
func (s *site) bodies() (n int) {
	for _, c := range s.server.Commands() {
		if strings.Contains(c.Args, "BODY.PEEK[]") {
			n++
		}
	}
	return n
}

// Every message is accounted for on the real store: moved, unreadable, given up,
// taken back, removed while it could not be read, and read by a later version.
func TestEveryMessageIsAccountedFor(t *testing.T) {
	engines(t, func(t *testing.T, st *store.Store) {
		s := newSite(t, st, imapd.Gmail())
		for i := range 40 {
			s.account.Deliver("INBOX", s.mail(i, "anna@home.example"))
		}
		bad := s.account.Deliver("INBOX", imapd.Message{Raw: imapd.Content{[]byte(nothing + "nobody can read this")}})
		stop := s.runAs("one", syncer.Config{Version: "1"})
		defer stop()
		s.until("all but one", func() bool { return s.fine(s.world.Inbox, 40) })

		s.server.ForgetCommands()
		moved, err := s.account.Move("INBOX", "Sent Items", 1, 2, 3, 4, 5)
		if err != nil {
			t.Fatal(err)
		}
		s.until("the move", func() bool { return s.fine(s.world.Inbox, 35) && s.fine(s.world.Sent, len(moved)) })
		if n := s.world.Count(t, "messages"); n != 40 {
			t.Errorf("%d messages after a move", n)
		}
		if n := s.bodies(); n != 0 {
			t.Errorf("%d commands ask for mails that are known by their ids", n)
		}
		if n := s.world.Count(t, `placements p WHERE read_at = 0 AND mapping_id = $1 OR object_id = ''
			OR NOT EXISTS (SELECT 1 FROM sightings s WHERE s.mapping_id = p.mapping_id AND s.uid_validity = p.uid_validity
			  AND p.uid BETWEEN s.first_uid AND s.last_uid AND s.at <= p.created_at)`, s.world.Inbox.ID); n != 0 {
			t.Errorf("of %d placements the way is not known", n)
		}

		rows, err := st.QuarantineRows(t.Context(), s.world.UserID)
		if err != nil || len(rows) != 1 || rows[0].UID != bad || rows[0].Version != "1" || rows[0].RawHash == "" {
			t.Fatalf("%+v, %v", rows, err)
		}
		act := mailroom.AuditEvent{ID: mailroom.NewID(mailroom.PrefixAudit), OrgID: s.world.OrgID, ActorID: s.world.UserID, At: time.Now(), Action: "quarantine.dropped"}
		if err := st.DropQuarantine(t.Context(), s.world.UserID, rows[0].ID, "no mail at all", act); err != nil {
			t.Fatal(err)
		}
		s.until("given up", func() bool {
			return s.world.Count(t, "progress WHERE dropped = 1 AND quarantined = 0 AND on_server = stored + 1") == 1
		})
		act.ID, act.Action = mailroom.NewID(mailroom.PrefixAudit), "quarantine.kept"
		if err := st.KeepQuarantine(t.Context(), s.world.UserID, rows[0].ID, act); err != nil {
			t.Fatal(err)
		}
		s.until("taken back and tried again", func() bool {
			return s.world.Count(t, "progress WHERE dropped = 0 AND quarantined = 1") == 1 && s.world.Count(t, "quarantine WHERE attempts > 1") == 1
		})

		if err := s.account.Expunge("INBOX", bad); err != nil {
			t.Fatal(err)
		}
		s.until("gone, and kept", func() bool {
			return s.fine(s.world.Inbox, 35) && s.world.Count(t, "quarantine WHERE gone_at > 0 AND raw_hash <> ''") == 1
		})
		stop()
		if n, err := st.RetryAfterUpgrade(t.Context(), "2"); err != nil || n != 1 {
			t.Errorf("%d to be tried again, %v", n, err)
		}
		defer s.runAs("two", syncer.Config{Version: "2", Parse: better})()
		s.until("read by the next version", func() bool { return s.world.Count(t, "quarantine") == 0 })
		if n := s.world.Count(t, "messages m WHERE subject = 'Late' AND EXISTS (SELECT 1 FROM deliveries d WHERE d.message_seq = m.seq)"); n != 1 {
			t.Errorf("%d of them in OTYS", n)
		}
		s.until("not counted as on the server", func() bool { return s.fine(s.world.Inbox, 35) })
		s.readOnly()
	})
}

// Removals and flags come along with opening the folder at a server that keeps
// count of them, and the books agree with what it has.
func TestDovecotTellsWhatIsGone(t *testing.T) {
	s := &site{t: t, world: storetest.Seed(t, storetest.Open(t)), blobs: &memoryBlobs{raws: map[string][]byte{}}}
	address := s.world.Mailbox.Address
	d := peers.Dovecot(t, peers.DovecotOptions{Users: map[string]string{address: "secret"}, Folders: []peers.DovecotFolder{{Name: "Sent Items", Role: `\Sent`}}})
	var mails []peers.Mail
	for i := range 60 {
		mails = append(mails, peers.Mail{Raw: s.mail(i, "anna@home.example").Raw[0]})
	}
	d.Deliver(address, "INBOX", mails...)
	open := func(ctx context.Context, m mailroom.Mailbox) (syncer.Conn, error) {
		c, err := imapconn.Open(ctx, imapconn.Account{Username: m.Address, Password: "secret",
			Endpoint: mailroom.Endpoint{Host: d.Host, Port: d.Port, TLS: mailroom.PlainText}})
		if err != nil {
			return nil, err
		}
		if !c.CanResync() {
			t.Error("Dovecot has QRESYNC")
		}
		return c, nil
	}
	stop := s.runAs("one", syncer.Config{Open: open})
	s.until("all", func() bool { return s.fine(s.world.Inbox, 60) && s.fine(s.world.Sent, 0) })
	uids := d.Folder(address, "INBOX").UIDs()
	for round, watched := range []bool{true, false, true} {
		if !watched {
			stop()
		}
		d.SetFlags(address, "INBOX", []string{`\Seen`}, uids[10+round])
		d.Delete(address, "INBOX", uids[3*round], uids[3*round+1])
		d.Move(address, "INBOX", "Sent Items", uids[3*round+2])
		d.Deliver(address, "INBOX", peers.Mail{Raw: s.mail(1000+round, "anna@home.example").Raw[0]})
		if !watched {
			stop = s.runAs("two", syncer.Config{Open: open})
		}
		s.until("what changed", func() bool {
			return s.fine(s.world.Inbox, 60-2*(round+1)) && s.fine(s.world.Sent, round+1) &&
				s.world.Count(t, "placements WHERE seen AND gone_at = 0 AND mapping_id = $1", s.world.Inbox.ID) == round+1
		})
	}
	stop()
	if n := s.world.Count(t, "messages"); n != 63 {
		t.Errorf("%d messages", n)
	}
	if n := s.world.Count(t, "findings"); n != 0 {
		t.Errorf("%d differences were found where there are none", n)
	}
	if cmds := d.ChangingCommands(); len(cmds) > 0 {
		t.Errorf("commands that change the mailbox: %v", cmds)
	}
}
