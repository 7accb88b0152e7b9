package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mailroom/internal/mailroom"
)

// trails is what the recruiter is told of text.
func (w World) trails(t testing.TB, text string) []mailroom.Trail {
	t.Helper()
	return got(w.Store.Trails(t.Context(), mailroom.TrailQuery{OrgID: w.OrgID, MailboxID: w.Mailbox.ID, UserID: w.UserID, Text: text}))
}

func (w World) trailSubjects(t testing.TB, text string) string {
	t.Helper()
	var out []string
	for _, v := range w.trails(t, text) {
		out = append(out, v.Message.Subject)
	}
	return strings.Join(out, " ")
}

func testTrails(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	w.AddPerson(t, "Eva", "eva@x.example")
	w.AddPerson(t, "A", "both@x.example")
	w.AddPerson(t, "B", "both@x.example")
	archive := w.Map(t, "Archive", "Archive", mailroom.RoleArchive)
	archive.Name = "Archief"
	w.exec(t, `UPDATE mappings SET name = 'Archief' WHERE id = $1`, archive.ID)
	c := w.take(t, "n1")
	day := time.UnixMicro(1_700_000_000_000_000).UTC()
	m, two := w.Mail(5, "eva@x.example", "Sollicitatie", "Beste Roos"), w.Mail(6, "both@x.example", "Vraag", "Wie ben ik?")
	m.Placement.ReadAt, m.Placement.ParsedAt, m.Placement.Flags.Seen = day.Add(time.Minute), day.Add(2*time.Minute), true
	b := w.Batch(w.Inbox, m, two)
	b.Progress.Sighted = []mailroom.Sighting{{UIDValidity: UIDValidity, First: 1, Last: 9, At: day}, {UIDValidity: UIDValidity, First: 5, Last: 5, At: day.Add(time.Hour)},
		{UIDValidity: UIDValidity + 1, First: 1, Last: 9, At: day.Add(-time.Hour)}, {UIDValidity: UIDValidity, First: 6, Last: 9, At: day.Add(-time.Hour)}}
	got(s.Deliver(ctx, c, b))
	got(s.Deliver(ctx, c, w.Batch(archive, at(m, 77))))
	must(t, s.MarkGone(ctx, c, w.Inbox.ID, UIDValidity, mailroom.UIDs(5)))
	bad := w.Batch(w.Sent)
	bad.Quarantined = []mailroom.Quarantine{{UIDValidity: UIDValidity, UID: 3, RawHash: m.Blob.Hash, Reason: mailroom.Problem{Key: "quarantine.reason.refused"}}}
	got(s.Deliver(ctx, c, bad))

	for _, text := range []string{"Sollicitatie@mail.example", " <Sollicitatie@mail.example>\n", "Message-ID: <Sollicitatie@mail.example>", "sollic", "eva@x.example", "someone soll"} {
		vs := w.trails(t, text)
		if len(vs) != 1 || vs[0].Message.Subject != "Sollicitatie" || vs[0].Message.From[0].Addr != "eva@x.example" {
			t.Fatalf("%q: %+v", text, vs)
		}
	}
	v := w.trails(t, "sollicitatie")[0]
	if len(v.Places) != 2 || len(v.Removed) != 0 {
		t.Fatalf("places: %+v", v.Places)
	}
	p := v.Places[0]
	if p.Folder != "INBOX" || p.MappingID != w.Inbox.ID || p.UID != 5 || p.UIDValidity != UIDValidity || !p.SeenAt.Equal(day) || !p.ReadAt.Equal(day.Add(time.Minute)) ||
		!p.ParsedAt.Equal(day.Add(2*time.Minute)) || p.StoredAt.IsZero() || p.GoneAt.IsZero() || p.OTYSFolder != "" || !p.Flags.Seen || !p.RemovedAt.IsZero() {
		t.Errorf("where it lay: %+v", p)
	}
	if p := v.Places[1]; p.Folder != "Archief" || p.UID != 77 || !p.SeenAt.IsZero() || !p.GoneAt.IsZero() || p.OTYSFolder != "Archive" {
		t.Errorf("where it lies: %+v", p)
	}
	if len(v.People) != 1 || v.People[0].Person.Name != "Eva" || v.People[0].Link.Address != "eva@x.example" || v.People[0].Link.Role != mailroom.RoleFrom ||
		v.People[0].Link.Reason != mailroom.ByAddress || v.People[0].Link.CreatedAt.IsZero() {
		t.Errorf("people: %+v", v.People)
	}
	if len(v.Quarantine) != 1 || v.Quarantine[0].UID != 3 {
		t.Errorf("quarantine: %+v", v.Quarantine)
	}
	if v := w.trails(t, "vraag")[0]; len(v.People) != 0 || len(v.Waiting) != 1 || v.Waiting[0] != "both@x.example" {
		t.Errorf("waiting: %+v", v)
	}
	for _, text := range []string{"", " <> ", "niets", "nothing@mail.example", "\x00\xff", `"`} {
		if v := w.trailSubjects(t, text); v != "" {
			t.Errorf("%q finds %s", text, v)
		}
	}
	// Of a mapping that was taken away the mail stayed.
	w.exec(t, `DELETE FROM mappings WHERE id = $1`, archive.ID)
	if p := w.trails(t, "sollicitatie")[0].Places[1]; p.OTYSFolder != "Archive" || p.MappingID != "" || p.Folder != "Archive" {
		t.Errorf("after its mapping had gone: %+v", p)
	}
	must(t, s.Release(ctx, c, time.Time{}, nil, 0))

	// The wall: one row for both, but each sees what is theirs.
	v2 := w.AddRecruiter(t)
	shared := v2.Mail(1, "eva@x.example", "Sollicitatie", "Beste Roos")
	v2.file(t, v2.Inbox, shared, v2.Mail(2, "eva@x.example", "Mine", "mine"))
	if w.Count(t, `messages WHERE org_id = $1`, w.OrgID) != 3 {
		t.Fatal("not one message")
	}
	if vs := v2.trails(t, "Sollicitatie@mail.example"); len(vs) != 1 || len(vs[0].Places) != 1 || vs[0].Places[0].UID != 1 || len(vs[0].Quarantine) != 0 {
		t.Errorf("the colleague is told %+v", vs)
	}
	if v := w.trailSubjects(t, "mine") + w.trailSubjects(t, "Mine@mail.example"); v != "" {
		t.Errorf("of a colleague's mail is told: %s", v)
	}
	_, err := s.Trails(ctx, mailroom.TrailQuery{OrgID: w.OrgID, MailboxID: v2.Mailbox.ID, UserID: w.UserID, Text: "mine"})
	refused(t, err, mailroom.NotFound, "error.not_found")
	_, err = s.Trails(ctx, mailroom.TrailQuery{OrgID: "org_other", MailboxID: w.Mailbox.ID, UserID: w.UserID, Text: "mine"})
	refused(t, err, mailroom.NotFound, "error.not_found")
}

// testTrailRemoved: what is no more can still be told.
func testTrailRemoved(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	archive := w.Map(t, "Archive", "Archive", mailroom.RoleArchive)
	w.removes(t, w.Inbox, mailroom.RemovalRemove)
	c := w.take(t, "n1")
	m := w.Mail(1, "eva@x.example", "Weg", "weg")
	got(s.Deliver(ctx, c, w.Batch(w.Inbox, m)))
	must(t, s.MarkGone(ctx, c, w.Inbox.ID, UIDValidity, mailroom.UIDs(1)))
	w.settle(t, c)
	vs := w.trails(t, "<Weg@mail.example>")
	if len(vs) != 1 || vs[0].Message.ID != "" || vs[0].Message.MessageID != "Weg@mail.example" || len(vs[0].Removed) != 1 || vs[0].Removed[0].Folder != "INBOX" || vs[0].Removed[0].At.IsZero() {
		t.Fatalf("removed: %+v", vs)
	}
	if vs := w.AddRecruiter(t).trails(t, "Weg@mail.example"); len(vs) != 0 {
		t.Errorf("a colleague is told: %+v", vs)
	}
	// It is on the server again, and in no list; and in another folder, in one.
	got(s.Deliver(ctx, c, w.Batch(w.Inbox, at(m, 2))))
	if vs := w.trails(t, "weg"); len(vs) != 1 || len(vs[0].Places) != 1 || vs[0].Places[0].RemovedAt.IsZero() || vs[0].Places[0].OTYSFolder != "" || len(vs[0].Removed) != 0 {
		t.Errorf("back: %+v", vs)
	}
	must(t, s.MarkGone(ctx, c, w.Inbox.ID, UIDValidity, mailroom.UIDs(2)))
	got(s.Deliver(ctx, c, w.Batch(archive, at(m, 3))))
	if vs := w.trails(t, "weg"); len(vs) != 1 || len(vs[0].Places) != 1 || vs[0].Places[0].OTYSFolder != "Archive" || len(vs[0].Removed) != 1 {
		t.Errorf("elsewhere: %+v", vs)
	}
}

// testTrailMany: a word that is in every mail still tells of the newest, and of
// what is in no list.
func testTrailMany(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	c := w.take(t, "n1")
	mails := make([]mailroom.Mail, 2010)
	for i := range mails {
		mails[i] = w.Mail(uint32(i+1), "a@x.example", fmt.Sprintf("Nieuwsbrief %d", i+1), "x")
	}
	got(s.Deliver(ctx, c, w.Batch(w.Inbox, mails...)))
	vs := w.trails(t, "nieuws")
	if len(vs) != 20 || vs[0].Message.Subject != "Nieuwsbrief 2010" || len(vs[19].Places) != 1 {
		t.Fatalf("%d told, first %+v", len(vs), vs[0].Message.Subject)
	}
	v := w.AddRecruiter(t)
	v.exec(t, `INSERT INTO tombstones(mapping_id, key, at) SELECT $1, $2, 1`, v.Inbox.ID, digestOf(mails[6].Message.Key()))
	v.file(t, v.Inbox, at(mails[6], 1), at(mails[7], 2))
	if got := v.trailSubjects(t, "nieuwsbrief"); got != "Nieuwsbrief 8 Nieuwsbrief 7" {
		t.Errorf("the colleague is told of %q", got)
	}
	if v.in(t, v.Inbox) != "Nieuwsbrief 8*" {
		t.Errorf("inbox %q", v.in(t, v.Inbox))
	}
}
