package portal_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
	"mailroom/internal/store/storetest"
)

// steps are the kinds of a row's steps, in order.
func steps(r portal.TrailRow) string {
	var out []string
	for _, s := range r.Steps {
		out = append(out, string(s.Kind))
	}
	return strings.Join(out, " ")
}

func (w *world) exec(text string, args ...any) {
	w.t.Helper()
	if _, err := storetest.SQL(w.t, w.store).ExecContext(w.ctx, text, args...); err != nil {
		w.t.Fatal(err)
	}
}

// progress edits what the syncer keeps of a user's mapped folder.
func (w *world) progress(u mailroom.User, folder string, change func(*mailroom.Progress)) {
	w.t.Helper()
	p := w.mapping(u, folder).Progress
	change(&p)
	for _, c := range got(w.store.ClaimMailboxes(w.ctx, "n", time.Hour, 10, time.Now())) {
		if c.MailboxID == p.MailboxID {
			must(w.t, w.store.SaveProgress(w.ctx, c, p))
		}
		must(w.t, w.store.Release(w.ctx, c, time.Time{}, nil, 0))
	}
}

// setAside puts a mail of a user's folder in quarantine and returns its id.
func (w *world) setAside(u mailroom.User, folder string, uid uint32, rawHash string) string {
	w.t.Helper()
	m := w.mapping(u, folder).Mapping
	id := mailroom.NewID(mailroom.PrefixQuarantine)
	w.exec(`INSERT INTO quarantine(id, org_id, mailbox_id, mapping_id, raw_name, uid_validity, uid, raw_hash, reason, attempts, created_at, retry_at)
		VALUES ($1,$2,$3,$4,$5,1,$6,$7,'{"kind":"unavailable","key":"quarantine.reason.empty"}',1,$8,$9)`,
		id, u.OrgID, m.MailboxID, m.ID, m.RawName, uid, rawHash, mailroom.Micros(w.now()), mailroom.Micros(w.now().Add(time.Hour)))
	return id
}

// A mail's trail says when it was seen, where it was stored and whom it was
// linked to by which address; every way to ask for it finds it.
func TestTrailOfAMailThatIsHere(t *testing.T) {
	w := newWorld(t)
	w.connect(w.anna)
	person, _, err := w.AddPerson(w.ctx, w.anna, portal.PersonForm{Kind: mailroom.Candidate, Name: "Carla", Addresses: []string{"carla@home.example"}})
	must(t, err)
	w.deliver(w.anna, "INBOX", mail("Carla <carla@home.example>", "My CV as promised", "Here it is."), mail("tom@home.example", "Something else", "Hello."))
	id := got(w.Mail(w.ctx, w.anna, w.id(w.anna, "My CV as promised"))).Message.MessageID

	for _, text := range []string{"my cv promised", "carla@home.example", "<" + id + ">", id, "Message-ID: <" + id + ">"} {
		v := got(w.Trail(w.ctx, w.anna, "", portal.TrailForm{Text: text}))
		if len(v.Rows) != 1 || v.Rows[0].Subject != "My CV as promised" || v.Rows[0].End != portal.TrailStored || v.Blind {
			t.Fatalf("%q finds %+v", text, v.Rows)
		}
		r := v.Rows[0]
		if !strings.Contains(steps(r), "stored") || !strings.Contains(steps(r), "linked") || !r.OnServer || r.Seen {
			t.Errorf("%q: steps %s, %+v", text, steps(r), r)
		}
		for _, s := range r.Steps {
			if s.Kind == portal.StepStored && (s.OTYS.Role != mailroom.RoleInbox || s.Folder == "") {
				t.Errorf("stored: %+v", s)
			}
			if s.Kind == portal.StepLinked && (s.Person.ID != person.ID || s.Address != "carla@home.example" || s.Role != mailroom.RoleFrom) {
				t.Errorf("linked: %+v", s)
			}
		}
	}
	page := got(w.Mail(w.ctx, w.anna, w.id(w.anna, "My CV as promised")))
	if page.Trail == nil || page.Trail.End != portal.TrailStored {
		t.Errorf("the message's own page: %+v", page.Trail)
	}
	if v := got(w.Trail(w.ctx, w.anna, "", portal.TrailForm{Text: "no such words"})); len(v.Rows) != 0 || len(v.Folders) != 2 || !v.Asked {
		t.Errorf("found %+v", v)
	}
	_, err = w.Trail(w.ctx, w.anna, "", portal.TrailForm{Text: "  "})
	refused(t, err, mailroom.Invalid, "trail.error.empty")
	_, err = w.Trail(w.ctx, w.admin, "", portal.TrailForm{Text: "x"})
	refused(t, err, mailroom.Conflict, "mailbox.error.address_first")
}

// A mail in quarantine and one that a person gave up say so.
func TestTrailOfAMailThatIsSetAside(t *testing.T) {
	w := newWorld(t)
	w.connect(w.anna)
	id := w.setAside(w.anna, "INBOX", 9, "")
	w.progress(w.anna, "INBOX", func(p *mailroom.Progress) { p.Cursor = mailroom.Cursor{UIDValidity: 1, UIDNext: 12} })
	w.ask = func(mailroom.Mailbox, []mailroom.FindTerms) ([]mailroom.FolderFind, error) {
		return []mailroom.FolderFind{{RawName: "INBOX", Folder: "Inbox", UIDValidity: 1, UIDs: mailroom.UIDs(9), At: w.now()}}, nil
	}
	v := got(w.Trail(w.ctx, w.anna, "", portal.TrailForm{Text: "x@y.example", Look: true}))
	if len(v.Found) != 1 || v.Found[0].End != portal.FindQuarantined || v.Found[0].Reason.Key != "quarantine.reason.empty" {
		t.Fatalf("found %+v", v.Found)
	}
	must(t, w.GiveUp(w.ctx, w.anna, id, "Spam from X"))
	v = got(w.Trail(w.ctx, w.anna, "", portal.TrailForm{Text: "x@y.example", Look: true}))
	if len(v.Found) != 1 || v.Found[0].End != portal.FindGivenUp || v.Found[0].Words != "Spam from X" {
		t.Fatalf("found %+v", v.Found)
	}
	v = got(w.Trail(w.ctx, w.admin, v.Mailbox.ID, portal.TrailForm{Text: "x@y.example", Look: true}))
	if len(v.Found) != 1 || v.Found[0].End != portal.FindGivenUp || v.Found[0].Words != "" {
		t.Fatalf("an administrator reads the owner's words: %+v", v.Found)
	}
}

// A mail that is in the mailbox itself and not here says why, folder by folder.
func TestTrailOfAMailThatIsInTheMailboxOnly(t *testing.T) {
	w := newWorld(t)
	w.connect(w.anna)
	w.deliver(w.anna, "INBOX", mail("tom@home.example", "Here", "Hello.")) // UID 1
	since := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	w.exec(`UPDATE mappings SET since = $1 WHERE mailbox_id = $2 AND raw_name = 'INBOX'`, mailroom.Micros(since), w.mailbox(w.anna).Mailbox.ID)
	w.progress(w.anna, "INBOX", func(p *mailroom.Progress) {
		p.Cursor = mailroom.Cursor{UIDValidity: 1, UIDNext: 100}
		p.Backlog, p.Skipped = mailroom.Range(40, 60), mailroom.Range(2, 20)
	})
	before := w.mailbox(w.anna).Mailbox.Wanted
	var asked []mailroom.FindTerms
	var uids mailroom.UIDSet
	w.ask = func(_ mailroom.Mailbox, anyOf []mailroom.FindTerms) ([]mailroom.FolderFind, error) {
		asked = anyOf
		return []mailroom.FolderFind{
			{RawName: "INBOX", Folder: "Inbox", UIDValidity: 1, UIDs: uids, At: w.now()},
			{RawName: "archive", Folder: "archive", UIDValidity: 7, UIDs: mailroom.UIDs(3, 4), At: w.now()},
			{RawName: "Sent Items", Folder: "Verzonden items", At: w.now()},
			{RawName: "Broken", Folder: "Broken", Error: true, At: w.now()},
		}, nil
	}
	for uid, want := range map[uint32]portal.FindEnd{1: portal.FindStored, 5: portal.FindTooOld, 50: portal.FindBacklog} {
		uids = mailroom.UIDs(uid)
		v := got(w.Trail(w.ctx, w.anna, "", portal.TrailForm{Text: "tom@home.example", Look: true}))
		if len(v.Found) != 2 || v.Found[0].End != want || v.Found[1].End != portal.FindUnmapped || v.Found[1].N != 2 || len(v.Search) != 4 {
			t.Fatalf("UID %d: %+v", uid, v.Found)
		}
		if want == portal.FindBacklog && (v.Found[0].Position != 11 || v.Found[0].Backlog != 21) {
			t.Errorf("place in the queue: %+v", v.Found[0])
		}
		if want == portal.FindTooOld && !v.Found[0].Since.Equal(since) {
			t.Errorf("the date limit: %+v", v.Found[0])
		}
	}
	if fmt.Sprint(asked) != fmt.Sprint([]mailroom.FindTerms{{MessageID: "tom@home.example"}, {From: "tom@home.example"}}) {
		t.Errorf("the mailbox was asked for %+v", asked)
	}
	if w.mailbox(w.anna).Mailbox.Wanted != before {
		t.Error("a sync was asked for although nothing is amiss")
	}
	for uid, want := range map[uint32]portal.FindEnd{100: portal.FindNew, 80: portal.FindUnknown} {
		uids = mailroom.UIDs(uid)
		before := w.mailbox(w.anna).Mailbox.Wanted
		if v := got(w.Trail(w.ctx, w.anna, "", portal.TrailForm{Text: "tom@home.example", Look: true})); v.Found[0].End != want {
			t.Errorf("UID %d: %+v", uid, v.Found)
		}
		if w.mailbox(w.anna).Mailbox.Wanted == before {
			t.Errorf("UID %d: nobody was asked to look again", uid)
		}
	}
	uids = mailroom.UIDs(50)
	must(t, w.PauseMapping(w.ctx, w.anna, w.mapping(w.anna, "INBOX").Mapping.ID))
	if v := got(w.Trail(w.ctx, w.anna, "", portal.TrailForm{Text: "tom@home.example", Look: true})); v.Found[0].End != portal.FindPaused {
		t.Errorf("in a paused folder: %+v", v.Found)
	}
	w.ask = func(mailroom.Mailbox, []mailroom.FindTerms) ([]mailroom.FolderFind, error) {
		return nil, mailroom.E(mailroom.Throttled, "imap.error.throttled")
	}
	if v := got(w.Trail(w.ctx, w.anna, "", portal.TrailForm{Text: "tom@home.example", Look: true})); v.Problem == nil || v.Problem.Args["provider"] != "Outlook" || len(v.Folders) != 2 {
		t.Errorf("a server that does not answer: %+v", v)
	}
}

// Administrators learn when and where, and not what; others nothing; and it is
// in the history.
func TestTrailBehindWalls(t *testing.T) {
	w := newWorld(t)
	bob := w.addUser("bob@werk.example", "Bob", mailroom.Recruiter)
	w.connect(w.anna)
	w.connect(bob)
	_, _, err := w.AddPerson(w.ctx, w.anna, portal.PersonForm{Kind: mailroom.Candidate, Name: "Carla Meijer", Addresses: []string{"carla@home.example"}})
	must(t, err)
	w.deliver(w.anna, "INBOX", mail("Carla <carla@home.example>", "Secret subject", "Secret body"))
	annas := w.mailbox(w.anna).Mailbox.ID
	id := got(w.Mail(w.ctx, w.anna, w.id(w.anna, "Secret subject"))).Message.MessageID

	for _, text := range []string{"carla@home.example", "<" + id + ">"} {
		v := got(w.Trail(w.ctx, w.admin, annas, portal.TrailForm{Text: text}))
		if !v.Blind || len(v.Rows) != 1 || v.Rows[0].End != portal.TrailStored || !strings.Contains(steps(v.Rows[0]), "stored") || !strings.Contains(steps(v.Rows[0]), "linked_blind") {
			t.Fatalf("an administrator asks for %s: %+v", text, v.Rows)
		}
		v.Text, v.Owner, v.Mailbox = "", mailroom.User{}, mailroom.Mailbox{}
		for _, secret := range []string{"Secret", "Carla", "carla@", id, "msg_"} {
			if strings.Contains(fmt.Sprintf("%+v", v.Rows), secret) {
				t.Errorf("an administrator sees %q: %+v", secret, v.Rows)
			}
		}
		w.audited("mailbox.traced")
	}
	for _, e := range got(w.Audit(w.ctx, w.admin, 10)) {
		if strings.Contains(fmt.Sprint(e.Details), "carla") {
			t.Errorf("the history tells who was asked for: %+v", e)
		}
	}
	for _, text := range []string{"secret@subject", "<secret@subject>", "secret@body"} { // words in disguise
		if v := got(w.Trail(w.ctx, w.admin, annas, portal.TrailForm{Text: text})); len(v.Rows) != 0 {
			t.Errorf("an administrator finds %q by words", text)
		}
	}
	_, err = w.Trail(w.ctx, w.admin, annas, portal.TrailForm{Text: "secret subject"})
	refused(t, err, mailroom.Invalid, "trail.error.words")
	for who, u := range map[string]mailroom.User{"a colleague": bob, "another organization": w.otherAgency()} {
		_, err := w.Trail(w.ctx, u, annas, portal.TrailForm{Text: "carla@home.example"})
		if mailroom.KindOf(err) != mailroom.NotFound {
			t.Errorf("%s asks: %v", who, err)
		}
		if _, err := w.TrailPage(context.Background(), u, annas); mailroom.KindOf(err) != mailroom.NotFound {
			t.Errorf("%s opens the page: %v", who, err)
		}
	}
	if v := got(w.Trail(w.ctx, bob, "", portal.TrailForm{Text: "carla@home.example"})); len(v.Rows) != 0 {
		t.Errorf("a colleague's own mailbox finds %+v", v.Rows)
	}
}

// Giving up needs a reason and is the owner's to do; it is taken back as easily.
func TestGiveUpAndKeepTrying(t *testing.T) {
	w := newWorld(t)
	w.connect(w.anna)
	id := w.setAside(w.anna, "INBOX", 9, "")
	err := w.GiveUp(w.ctx, w.anna, id, " \n ")
	complains(t, err, "reason quarantine.error.reason")
	complains(t, w.GiveUp(w.ctx, w.anna, id, strings.Repeat("é", 201)), "reason quarantine.error.reason_long")
	for _, u := range []mailroom.User{w.admin, w.addUser("bob@werk.example", "Bob", mailroom.Recruiter), w.otherAgency()} {
		refused(t, w.GiveUp(w.ctx, u, id, "Spam"), mailroom.NotFound, "error.not_found")
		refused(t, w.KeepTrying(w.ctx, u, id), mailroom.NotFound, "error.not_found")
	}
	must(t, w.GiveUp(w.ctx, w.anna, id, "  It is \n spam "))
	w.audited("quarantine.given_up")
	rows := got(w.Quarantined(w.ctx, w.anna))
	if len(rows) != 1 || rows[0].DroppedReason != "It is spam" || rows[0].GivenUpBy != "Anna" || rows[0].DroppedAt.IsZero() {
		t.Fatalf("given up: %+v", rows)
	}
	if v := got(w.Mails(w.ctx, w.anna, portal.MailQuery{})); v.Quarantined != 0 {
		t.Errorf("what is given up still waits: %d", v.Quarantined)
	}
	must(t, w.KeepTrying(w.ctx, w.anna, id))
	w.audited("quarantine.kept")
	if rows := got(w.Quarantined(w.ctx, w.anna)); len(rows) != 1 || !rows[0].DroppedAt.IsZero() || rows[0].DroppedReason != "" {
		t.Fatalf("kept: %+v", rows)
	}
}
