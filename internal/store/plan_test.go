package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"mailroom/internal/mailroom"
	"mailroom/internal/peers"
	"mailroom/internal/store"
	"mailroom/internal/store/storetest"
)

// grows are the tables that grow with mail, people and mailboxes: no query of a
// page or of the syncer may read one of them from end to end.
const grows = `messages|message_addresses|placements|deliveries|links|choices|quarantine|blobs|blob_data|persons|person_addresses|runs|folders|mailboxes|mappings|progress|sessions|audit|grants|sightings|findings|leaving|tombstones`

// hot does everything that a node or a page does all the time.
func hot(t *testing.T, s *store.Store) {
	ctx, w := t.Context(), storetest.Seed(t, s)
	eva := w.AddPerson(t, "Eva", "eva@x.example")
	w.AddPerson(t, "A", "both@x.example")
	w.AddPerson(t, "B", "both@x.example")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	c := w.Claim(t, "n1")
	m := w.Mail(1, "eva@x.example", "One", "text")
	m.Placement.ObjectID = "gm1"
	b := w.Batch(w.Inbox, m, w.Mail(2, "both@x.example", "Two", "text"))
	b.Quarantined = []mailroom.Quarantine{{UIDValidity: storetest.UIDValidity, UID: 3, Reason: mailroom.Problem{Key: "k"}}}
	for range 2 { // the second time everything is there
		_, err := s.Deliver(ctx, c, b)
		must(err)
	}
	copies := w.Batch(w.Sent)
	copies.Copies = []mailroom.Copy{{ReceivedAt: time.Now(), Placement: mailroom.Placement{UIDValidity: storetest.UIDValidity, UID: 70, ObjectID: "gm1"}}}
	_, err := s.Deliver(ctx, c, copies)
	must(err)
	again := m
	again.Placement.UID, again.Placement.Flags.Seen, again.Blob.Codec = 9, true, "" // known message, known blob
	_, err = s.Deliver(ctx, c, w.Batch(w.Sent, again))
	must(err)
	must(s.ApplyFlags(ctx, c, w.Inbox, storetest.UIDValidity, []mailroom.FlagChange{{UID: 2, Flags: mailroom.Flags{Seen: true}}}))
	w.Exec(t, `UPDATE mappings SET removal = 'remove' WHERE id = $1`, w.Inbox.ID)
	must(s.MarkGone(ctx, c, w.Inbox.ID, storetest.UIDValidity, mailroom.UIDs(2)))
	moved := w.Mail(40, "both@x.example", "Two", "text")
	_, err = s.Deliver(ctx, c, w.Batch(w.Sent, moved)) // it moved
	must(err)
	must(s.MarkGone(ctx, c, w.Inbox.ID, storetest.UIDValidity, mailroom.Range(1, 500)))
	must(s.MarkGone(ctx, c, w.Sent.ID, storetest.UIDValidity, mailroom.UIDs(40, 70)))
	_, err = s.Deliver(ctx, c, w.Batch(w.Inbox, w.Mail(50, "eva@x.example", "Leaves", "text")))
	must(err)
	must(s.MarkGone(ctx, c, w.Inbox.ID, storetest.UIDValidity, mailroom.UIDs(50)))
	if n, err := s.SettleRemovals(ctx, c, time.Now().Add(time.Minute), 100); err != nil || n != 1 {
		t.Errorf("%d removed, %v", n, err)
	}
	_, err = s.Deliver(ctx, c, w.Batch(w.Inbox, w.Mail(51, "eva@x.example", "Leaves", "text"))) // removed here before
	must(err)
	must(s.MarkGone(ctx, c, w.Inbox.ID, storetest.UIDValidity, mailroom.UIDs(51)))
	_, err = s.Deliver(ctx, c, w.Batch(w.Inbox, m)) // there again
	must(err)
	must(s.SaveProgress(ctx, c, b.Progress))
	_, err = s.HeldUIDs(ctx, w.Mailbox.ID, "INBOX", storetest.UIDValidity)
	must(err)
	_, err = s.DueQuarantine(ctx, w.Inbox.ID, time.Now(), 10)
	must(err)
	_, err = s.QuarantineOf(ctx, w.Inbox.ID)
	must(err)
	must(s.SaveFinding(ctx, c, mailroom.Finding{ID: "fin_1" + w.OrgID, MappingID: w.Inbox.ID, Kind: mailroom.FoundMissed, At: time.Now()}))
	_, err = s.OpenFindings(ctx, w.Inbox.ID)
	must(err)
	_, err = s.Findings(ctx, w.OrgID, w.Mailbox.ID, 10)
	must(err)
	_, err = s.Findings(ctx, w.OrgID, "", 10)
	must(err)
	_, err = s.KnownObjects(ctx, w.Mailbox.ID, []string{"gm1", "gm2"})
	must(err)
	_, err = s.SampleMessageIDs(ctx, w.Mailbox.ID, "INBOX", storetest.UIDValidity, 10)
	must(err)
	_, err = s.KnownBlobs(ctx, w.OrgID, []string{m.Blob.Hash})
	must(err)
	_, err = s.BlobRef(ctx, w.OrgID, m.Blob.Hash)
	must(err)
	_, err = s.LoadWork(ctx, c)
	must(err)
	_, err = s.Wanted(ctx, "n1")
	must(err)
	_, err = s.RenewLeases(ctx, "n1", []mailroom.Claim{c}, time.Hour, time.Now())
	must(err)
	_, err = s.ClaimMailboxes(ctx, "n2", time.Hour, 10, time.Now())
	must(err)
	_, err = s.Share(ctx, "n1", time.Now(), time.Hour)
	must(err)
	_, err = s.PeopleAt(ctx, w.OrgID, []string{"eva@x.example"})
	must(err)
	must(s.NoteObjectID(ctx, c, w.Inbox.ID, "F1"))
	must(s.FollowFolder(ctx, c, w.Inbox.ID, mailroom.Folder{RawName: "Moved", Name: "Moved"}))
	must(s.FollowFolder(ctx, c, w.Inbox.ID, mailroom.Folder{RawName: "INBOX", Name: "INBOX"}))
	must(s.SeenFollowed(ctx, w.OrgID, w.Inbox.ID))
	w.Exec(t, `UPDATE mappings SET subfolders = TRUE WHERE id = $1`, w.Inbox.ID)
	must(s.SaveFolders(ctx, w.Mailbox.ID, []mailroom.Folder{{RawName: "INBOX"}, {RawName: "INBOX/A", Delimiter: "/", Selectable: true}}, time.Now()))
	_, err = s.ExpandSubfolders(ctx, c)
	must(err)
	run := mailroom.SyncRun{ID: "run_1" + w.OrgID, OrgID: w.OrgID, MailboxID: w.Mailbox.ID, MappingID: w.Inbox.ID, StartedAt: time.Now()}
	must(s.StartRun(ctx, run))
	must(s.FinishRun(ctx, run))
	must(s.Answered(ctx, c, 1))
	_, _, err = s.UndoCounts(ctx, w.OrgID, w.Sent.ID)
	must(err)
	must(s.Undo(ctx, w.OrgID, w.Sent.ID, mailroom.AuditEvent{OrgID: w.OrgID, Action: "mapping.undone"}))
	for worked := true; worked; {
		worked, err = s.UndoStep(ctx, 10)
		must(err)
	}
	_, err = s.Undos(ctx, w.Mailbox.ID)
	must(err)
	rows := []mailroom.Mapping{w.Inbox, w.Sent}
	rows[0].Since, rows[1].ID = time.UnixMicro(1), mailroom.NewID(mailroom.PrefixMapping)
	version, err := s.MailboxOf(ctx, w.UserID)
	must(err)
	must(s.SaveMappings(ctx, mailroom.MappingChange{MailboxID: w.Mailbox.ID, UserID: w.UserID, Version: version.Mailbox.MappingsVersion, Rows: rows},
		mailroom.AuditEvent{OrgID: w.OrgID, Action: "mapping.saved"}))
	c = w.Claim(t, "n1")
	must(s.Release(ctx, c, time.Now(), nil, 0))
	must(s.CommitCtx(ctx, "token", []byte("x"), time.Now().Add(time.Hour)))
	_, _, err = s.FindCtx(ctx, "token")
	must(err)

	f := mailroom.MailFilter{OrgID: w.OrgID, UserID: w.UserID, Limit: 50}
	lines, err := s.Mails(ctx, f)
	must(err)
	for _, v := range []mailroom.MailFilter{
		{FolderID: w.Inbox.OTYSFolderID}, {FolderID: w.Inbox.OTYSFolderID, Unread: true}, {Unread: true}, {After: lines[0].Position()}, {Search: "text"},
		{Search: "text", FolderID: w.Inbox.OTYSFolderID},
	} {
		v.OrgID, v.UserID, v.Limit = w.OrgID, w.UserID, 50
		_, err = s.Mails(ctx, v)
		must(err)
	}
	_, err = s.Mail(ctx, w.OrgID, w.UserID, true, lines[0].Message.ID)
	must(err)
	must(s.MarkRead(ctx, w.UserID, lines[0].Message.ID, true))
	_, err = s.PersonMails(ctx, w.OrgID, w.UserID, eva, true, mailroom.Position{}, 50)
	must(err)
	_, _, err = s.Waiting(ctx, w.OrgID, w.UserID)
	must(err)
	_, err = s.WaitingChoices(ctx, w.OrgID, w.UserID, 10)
	must(err)
	_, err = s.QuarantineRows(ctx, w.UserID)
	must(err)
	for _, text := range []string{"Leaves@mail.example", "One@mail.example", "text", "none@x.example"} {
		_, err = s.Trails(ctx, mailroom.TrailQuery{OrgID: w.OrgID, MailboxID: w.Mailbox.ID, UserID: w.UserID, Text: text})
		must(err)
	}
	_, err = s.MailboxOf(ctx, w.UserID)
	must(err)
	_, err = s.MappingRows(ctx, w.Mailbox.ID)
	must(err)
	p := mailroom.Person{ID: "per_1" + w.OrgID, OrgID: w.OrgID, Kind: mailroom.Candidate, Name: "Cas", Addresses: []string{"cas@x.example", "both@x.example"}}
	_, err = s.AddPerson(ctx, p, mailroom.AuditEvent{OrgID: w.OrgID, Action: "person.added"})
	must(err)
}

// record collects the statements that hot runs, each text once.
func record(t *testing.T, s *store.Store) map[string][]any {
	seen := map[string][]any{}
	s.Trace(func(text string, args []any) {
		if _, ok := seen[text]; !ok {
			seen[text] = append([]any(nil), args...)
		}
	})
	hot(t, s)
	s.Trace(nil)
	if len(seen) < 50 {
		t.Fatalf("only %d statements were run", len(seen))
	}
	return seen
}

func TestNoHotQueryScansATableSQLite(t *testing.T) {
	s := storetest.Open(t)
	db := storetest.SQL(t, s)
	scan := regexp.MustCompile(`^SCAN (` + grows + `|[a-z])\b`)
	for text, args := range record(t, s) {
		rows, err := db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+text, args...)
		if err != nil {
			t.Errorf("%v\n%s", err, text)
			continue
		}
		own := map[string]bool{} // subqueries, whose own scan says nothing
		for rows.Next() {
			var a, b, c any
			var step string
			if err := rows.Scan(&a, &b, &c, &step); err != nil {
				t.Fatal(err)
			}
			words := strings.Fields(step)
			if words[0] == "MATERIALIZE" || words[0] == "CO-ROUTINE" {
				own[words[1]] = true
			}
			if scan.MatchString(step) && !own[words[1]] && !strings.Contains(step, "VIRTUAL TABLE") {
				t.Errorf("%s\n%s", step, text)
			}
		}
		rows.Close()
	}
}

func TestNoHotQueryScansATablePostgres(t *testing.T) {
	s := storetest.OpenDSN(t, peers.Postgres(t))
	db := storetest.SQL(t, s)
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// Small tables are scanned because they are small: forbid what large ones must
	// not need, and see who needs it.
	if _, err := conn.ExecContext(t.Context(), "SET enable_seqscan = off"); err != nil {
		t.Fatal(err)
	}
	scan := regexp.MustCompile(`Seq Scan on (` + grows + `)\b`)
	for text, args := range record(t, s) {
		if strings.HasPrefix(text, "SELECT pg_") {
			continue
		}
		for _, step := range plan(t, conn, text, args) {
			if scan.MatchString(step) {
				t.Errorf("%s\n%s", step, text)
			}
		}
	}
}

func plan(t *testing.T, conn *sql.Conn, text string, args []any) (steps []string) {
	t.Helper()
	rows, err := conn.QueryContext(context.WithoutCancel(t.Context()), "EXPLAIN "+text, args...)
	if err != nil {
		t.Error(fmt.Errorf("%w\n%s", err, text))
		return nil
	}
	defer rows.Close()
	for rows.Next() {
		var step string
		if err := rows.Scan(&step); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step)
	}
	return steps
}
