package storetest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"mailroom/internal/mailroom"
)

func testDeliverLinks(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	w.AddPerson(t, "Eva", "eva@x.example", "eva@work.example")
	w.AddPerson(t, "Bob", "bob@x.example", "info@klant.example")
	w.AddPerson(t, "Cas", "info@klant.example")
	w.AddPerson(t, "Me", w.Mailbox.Address)
	Seed(t, s).AddPerson(t, "Stranger", "eva@x.example")
	c := w.take(t, "n1")
	out := w.Mail(2, w.Mailbox.Address, "Out", "x") // sent mail, though it lies in the inbox
	out.Message.To = []mailroom.Address{{Addr: "EVA@work.example"}, {Addr: w.Mailbox.Address}}
	out.Message.Cc = []mailroom.Address{{Addr: "bob@x.example"}}
	out.Message.Bcc = []mailroom.Address{{Addr: "nobody@x.example"}}
	in := w.Mail(1, "Eva@X.example", "In", "x")
	in.Message.Cc = []mailroom.Address{{Addr: "bob@x.example"}} // incoming: only From counts
	got(s.Deliver(ctx, c, w.Batch(w.Inbox, in, out, w.Mail(3, "info@klant.example", "Whose", "x"), w.Mail(4, "nobody@x.example", "None", "x"))))
	w.linkedTo(t, "In", "Eva address")
	w.linkedTo(t, "Out", "Bob address", "Eva address")
	w.linkedTo(t, "Whose")
	w.linkedTo(t, "None")
	cs := got(s.WaitingChoices(ctx, w.OrgID, w.UserID, 10))
	if len(cs) != 1 || cs[0].Address != "info@klant.example" || len(cs[0].Candidates) != 2 {
		t.Errorf("waiting: %+v", cs)
	}
	// Late linking looks at exactly the addresses that could link.
	if n := w.Count(t, `message_addresses WHERE org_id = $1`, w.OrgID); n != 1+3+1+1 {
		t.Errorf("%d addresses kept", n)
	}
	var role string
	if err := w.DB.QueryRow(`SELECT role FROM links WHERE org_id = $1 AND address = 'bob@x.example'`, w.OrgID).Scan(&role); err != nil || role != "cc" {
		t.Errorf("role %q, %v", role, err)
	}
}

func testDeliverHonours(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	eva := w.AddPerson(t, "Eva", "eva@x.example")
	bob := w.AddPerson(t, "Bob", "both@x.example")
	cas := w.AddPerson(t, "Cas", "both@x.example")
	one, two := w.Mail(1, "eva@x.example", "One", "x"), w.Mail(2, "both@x.example", "Two", "x")
	w.file(t, w.Inbox, one, two)
	must(t, s.Unlink(ctx, w.OrgID, w.id(t, "One"), eva, w.act("link.removed")))
	got(s.Decide(ctx, mailroom.ChoiceDecision{OrgID: w.OrgID, UserID: w.UserID, MessageID: w.id(t, "Two"), Address: "both@x.example", PersonID: bob}, w.act("choice.made")))
	again := func(uid uint32) {
		t.Helper()
		a, b := one, two
		a.Placement.UID, b.Placement.UID = uid, uid+1
		w.file(t, w.Sent, a, b)
		w.linkedTo(t, "One")
		w.linkedTo(t, "Two", "Bob hand")
		if n := w.Count(t, `choices WHERE org_id = $1 AND decided_at = 0`, w.OrgID); n != 0 {
			t.Errorf("%d questions were asked again", n)
		}
	}
	again(10)
	// Nor when the address has come to belong to one person alone.
	w.exec(t, `DELETE FROM person_addresses WHERE person_id = $1`, bob)
	again(20)
	// A mail that was linked while the address was one person's is not asked about.
	three := w.Mail(3, "both@x.example", "Three", "x")
	w.file(t, w.Inbox, three)
	w.linkedTo(t, "Three", "Cas address")
	dik := w.person("Dik", "both@x.example")
	got(s.AddPerson(ctx, dik, w.act("person.added")))
	three.Placement.UID = 30
	w.file(t, w.Sent, three)
	w.linkedTo(t, "Three", "Cas address")
	if n := w.Count(t, `choices WHERE org_id = $1 AND decided_at = 0`, w.OrgID); n != 0 {
		t.Errorf("%d questions about a mail that is linked", n)
	}
	must(t, s.Unlink(ctx, w.OrgID, w.id(t, "Three"), cas, w.act("link.removed")))
}

// testDeliverRace: two recruiters got the same mails, and two nodes file them at
// the same moment, in opposite order.
func testDeliverRace(t *testing.T, w World) {
	const n, rounds = 50, 4
	worlds := []World{w, w.AddRecruiter(t)}
	claims := []mailroom.Claim{worlds[0].take(t, "n1"), worlds[1].take(t, "n2")}
	for round := range rounds {
		var wg sync.WaitGroup
		for k, v := range worlds {
			mails := make([]mailroom.Mail, n)
			for i := range mails {
				at := i
				if k == 1 {
					at = n - 1 - i
				}
				mails[at] = v.Mail(uint32(round*n+i+1), "eva@x.example", fmt.Sprintf("Race %d %d", round, i), "same")
			}
			wg.Go(func() {
				if d, err := v.Store.Deliver(t.Context(), claims[k], v.Batch(v.Inbox, mails...)); err != nil || d != n {
					t.Errorf("node %d: %d delivered, %v", k, d, err)
				}
			})
		}
		wg.Wait()
	}
	if v := w.Count(t, `messages WHERE org_id = $1`, w.OrgID); v != n*rounds {
		t.Errorf("%d messages, want %d", v, n*rounds)
	}
	for _, v := range worlds {
		v.counts(t, v.Inbox.OTYSFolderID, n*rounds, n*rounds)
	}
	if v := w.Count(t, `placements p JOIN messages m ON m.seq = p.message_seq WHERE m.org_id = $1`, w.OrgID); v != 2*n*rounds {
		t.Errorf("%d placements, want %d", v, 2*n*rounds)
	}
}

// testLateLinkRace: people get their addresses while their mail is being filed.
// Whichever commits first, every mail ends up with its person.
func testLateLinkRace(t *testing.T, w World) {
	const n = 60
	c := w.take(t, "n1")
	var wg sync.WaitGroup
	start := make(chan struct{})
	for lane := range 2 {
		wg.Go(func() {
			<-start
			for i := lane; i < n; i += 2 {
				m := w.Mail(uint32(i+1), fmt.Sprintf("p%d@race.example", i), fmt.Sprintf("Race %d", i), "x")
				if _, err := w.Store.Deliver(t.Context(), c, w.Batch(w.Inbox, m)); err != nil {
					t.Errorf("mail %d: %v", i, err)
				}
			}
		})
		wg.Go(func() {
			<-start
			for i := lane; i < n; i += 2 {
				if _, err := w.Store.AddPerson(t.Context(), w.person(fmt.Sprintf("P%d", i), fmt.Sprintf("p%d@race.example", i)), w.act("person.added")); err != nil {
					t.Errorf("person %d: %v", i, err)
				}
			}
		})
	}
	close(start)
	wg.Wait()
	missed := w.Count(t, `message_addresses a WHERE a.org_id = $1 AND NOT EXISTS (SELECT 1 FROM links l WHERE l.message_seq = a.message_seq)`, w.OrgID)
	if linked := w.Count(t, `links WHERE org_id = $1`, w.OrgID); missed > 0 || linked != n {
		t.Errorf("%d mails missed their person; %d of %d linked", missed, linked, n)
	}
}

func testApplyFlags(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	c := w.take(t, "n1")
	got(s.Deliver(ctx, c, w.Batch(w.Inbox, w.Mail(1, "a@x.example", "A", "a"), w.Mail(2, "a@x.example", "B", "b"))))
	change := func(uid uint32, f mailroom.Flags, modseq uint64) {
		t.Helper()
		must(t, s.ApplyFlags(ctx, c, w.Inbox, UIDValidity, []mailroom.FlagChange{{UID: uid, Flags: f, ModSeq: modseq}, {UID: 99, Flags: f}}))
	}
	change(1, mailroom.Flags{Seen: true, Flagged: true}, 5)
	w.counts(t, w.Inbox.OTYSFolderID, 2, 1)
	if n := w.Count(t, `placements WHERE mailbox_id = $1 AND uid = 1 AND seen AND flagged AND NOT answered AND modseq = 5`, w.Mailbox.ID); n != 1 {
		t.Error("the flags were not kept")
	}
	// Unread at the source again: not here.
	change(1, mailroom.Flags{}, 6)
	w.counts(t, w.Inbox.OTYSFolderID, 2, 1)
	// Unread here by hand: what the source has said before does not take it back.
	change(2, mailroom.Flags{Seen: true}, 7)
	must(t, s.MarkRead(ctx, w.UserID, w.id(t, "B"), false))
	change(2, mailroom.Flags{Seen: true, Answered: true}, 8)
	w.counts(t, w.Inbox.OTYSFolderID, 2, 1)
	if v := w.list(t, mailroom.MailFilter{Unread: true}); len(v) != 1 || v[0] != "B" {
		t.Errorf("unread: %v", v)
	}
}

func testMarkGone(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	c := w.take(t, "n1")
	var mails []mailroom.Mail
	for i := range 10 {
		mails = append(mails, w.Mail(uint32(i+1), "a@x.example", fmt.Sprintf("M%d", i+1), "x"))
	}
	got(s.Deliver(ctx, c, w.Batch(w.Inbox, mails...)))
	held := func() string {
		t.Helper()
		h, err := s.HeldUIDs(ctx, w.Mailbox.ID, "INBOX", UIDValidity)
		must(t, err)
		return h.Placed.String()
	}
	must(t, s.MarkGone(ctx, c, w.Inbox.ID, UIDValidity, mailroom.UIDs(2, 3, 9)))
	must(t, s.MarkGone(ctx, c, w.Inbox.ID, UIDValidity+1, mailroom.UIDs(1)))
	if held() != "1,4:8,10" {
		t.Errorf("held %s", held())
	}
	w.counts(t, w.Inbox.OTYSFolderID, 10, 10) // nothing is removed here
	// Taken for gone by mistake: fetched again, there again, not twice.
	if n := got(s.Deliver(ctx, c, w.Batch(w.Inbox, mails[2]))); n != 0 {
		t.Errorf("%d delivered again", n)
	}
	if held() != "1,3:8,10" {
		t.Errorf("held %s after it came back", held())
	}
	w.counts(t, w.Inbox.OTYSFolderID, 10, 10)
}

// testCounters: after a hundred acts in any order, what folders count is what
// they hold.
func testCounters(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	c := w.take(t, "n1")
	r := seeded(t)
	maps := []mailroom.Mapping{w.Inbox, w.Sent, w.Map(t, "Archive", "Archive", mailroom.RoleArchive)}
	for step := range 100 {
		m := maps[r.IntN(len(maps))]
		switch r.IntN(4) {
		case 0, 1:
			var mails []mailroom.Mail
			for range 1 + r.IntN(5) {
				k := r.IntN(60)
				v := w.Mail(uint32(1+r.IntN(200)), "a@x.example", fmt.Sprintf("C%d", k), "x")
				v.Placement.Flags.Seen = r.IntN(3) == 0
				mails = append(mails, v)
			}
			got(s.Deliver(ctx, c, w.Batch(m, mails...)))
		case 2:
			must(t, s.ApplyFlags(ctx, c, m, UIDValidity, []mailroom.FlagChange{{UID: uint32(1 + r.IntN(200)), Flags: mailroom.Flags{Seen: r.IntN(2) == 0}}}))
		case 3:
			if lines := w.lines(t, mailroom.MailFilter{}); len(lines) > 0 {
				must(t, s.MarkRead(ctx, w.UserID, lines[r.IntN(len(lines))].Message.ID, r.IntN(2) == 0))
			}
		}
		for _, m := range maps {
			f := w.folder(t, m.OTYSFolderID)
			total := w.Count(t, `deliveries WHERE otys_folder_id = $1`, f.ID)
			unread := w.Count(t, `deliveries WHERE otys_folder_id = $1 AND unread`, f.ID)
			if f.Total != int64(total) || f.Unread != int64(unread) {
				t.Fatalf("step %d: %s counts %d, %d unread; it holds %d, %d", step, f.Name, f.Total, f.Unread, total, unread)
			}
		}
	}
	if n := w.Count(t, `messages m WHERE m.org_id = $1 AND NOT EXISTS (SELECT 1 FROM placements p WHERE p.message_seq = m.seq)`, w.OrgID); n > 0 {
		t.Errorf("%d messages lie nowhere", n)
	}
}

func testSearch(t *testing.T, w World) {
	cv := w.Mail(1, "eva.de-boer@klant.example", "Sollicitatie Café-manager", "Beste Roos, hierbij mijn CV als bijlage. Groet, Zoë")
	cv.Message.From[0].Name = "Eva de Boer"
	plain := w.Mail(2, "bob@x.example", "Lunch", "Morgen om 12:30 bij de bakker?")
	w.file(t, w.Inbox, cv, plain)
	other := Seed(t, w.Store)
	other.file(t, other.Inbox, other.Mail(1, "bob@x.example", "Lunch", "Ook bij de bakker"))
	for query, want := range map[string]string{
		"sollicitatie": "S", "SOLLI": "S", "ollicitatie": "", "cafe": "S", "CAFÉ": "S", "zoe": "S", "manager café": "S",
		"eva.de-boer@klant.example": "S", "klant": "S", "boer eva": "S", "@x.example": "L", "12:30": "L", "bakker": "L",
		`"de bakker"`: "L", `"bakker de"`: "", "bakker de": "L", `"de bakk"`: "", "cv lunch": "", "bij": "LS",
		`mijn "als bijlage" gro`: "S", "niets": "", `OR`: "", `NOT bakker`: "", `bakker*`: "L", `"`: "*", `""`: "*", `-`: "*", "  ": "*",
		`subject:lunch`: "", `a AND (b`: "", `"bakker`: "L", "x' OR '1'='1": "", ":* & !x": "L", "\x00\xff": "*",
	} {
		lines, found := w.lines(t, mailroom.MailFilter{Search: query}), ""
		for _, l := range lines {
			found += l.Message.Subject[:1]
		}
		if want == "*" { // no word to look for: the portal's query decides what to show
			continue
		}
		if found != want {
			t.Errorf("%q finds %q, want %q", query, found, want)
		}
	}
	// A mail that is filed a second time is found once.
	cv.Placement.UID = 50
	w.file(t, w.Sent, cv)
	if v := w.list(t, mailroom.MailFilter{Search: "sollicitatie"}); len(v) != 1 {
		t.Errorf("found %v", v)
	}
}

// seeded is chance that can be had again.
func seeded(t testing.TB) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}
