package portal_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
)

func headerFrom(from string) []byte {
	return fmt.Appendf(nil, "From: %s\r\nTo: anna@werk.example\r\nSubject: x\r\n\r\n", from)
}

func TestPreviewTellsWhoIsKnownAndHowLongItTakes(t *testing.T) {
	w := newWorld(t)
	w.connect(w.anna)
	person := func(name string, addresses ...string) mailroom.Person {
		p, _, err := w.AddPerson(w.ctx, w.anna, portal.PersonForm{Kind: mailroom.Candidate, Name: name, Addresses: addresses})
		must(t, err)
		return p
	}
	eva, bob := person("Eva", "eva@home.example", "eva@work.example"), person("Bob", "bob@client.example", "office@client.example")
	person("Carla", "office@client.example")
	other := w.otherAgency()
	_, _, err := w.AddPerson(w.ctx, other, portal.PersonForm{Kind: mailroom.Candidate, Name: "Theirs", Addresses: []string{"stranger@x.example"}})
	must(t, err)
	newest := w.now().Add(-time.Hour)
	w.preview = func(ctx context.Context, rawName string, since time.Time) (mailroom.FolderPreview, error) {
		if _, limited := ctx.Deadline(); !limited || rawName != "archive" || !since.IsZero() {
			t.Errorf("asked for %s since %s", rawName, since)
		}
		return mailroom.FolderPreview{Messages: 90_000, Matching: 90_000, Oldest: newest.AddDate(-9, 0, 0), Newest: newest, Bytes: 12e9, Headers: [][]byte{
			headerFrom("Eva <EVA@home.example>"), headerFrom("eva@work.example"), headerFrom("Bob <bob@client.example>"),
			headerFrom("office@client.example"), headerFrom("stranger@x.example"), []byte("no header at all"),
			[]byte("From: anna@werk.example\r\nTo: eva@home.example, bob@client.example\r\n\r\n"),
		}}, nil
	}
	v, err := w.Preview(w.ctx, w.anna, portal.MappingForm{RawName: "archive"})
	must(t, err)
	if v.Messages != 90_000 || v.Bytes != 12e9 || v.BytesExact || v.Headers != nil || v.Problem != nil {
		t.Fatalf("%+v", v)
	}
	if v.Looked != 7 || v.Known != 4 || v.Shared != 1 || len(v.People) != 2 {
		t.Fatalf("of %d mails %d are with people, %d with an address of several: %+v", v.Looked, v.Known, v.Shared, v.People)
	}
	if a, b := v.People[0], v.People[1]; a.Person.ID != eva.ID || a.Mails != 3 || b.Person.ID != bob.ID || b.Mails != 2 {
		t.Errorf("most mails first: %+v", v.People)
	}
	if v.Measured || v.Takes != time.Hour {
		t.Errorf("assumed: %s at %g a second", v.Takes, v.Rate)
	}

	// What this mailbox did of late tells better.
	m := w.mapping(w.anna, "INBOX").Mapping
	c := got(w.store.ClaimMailboxes(w.ctx, "n", time.Hour, 1, time.Now()))[0]
	must(t, w.store.SaveProgress(w.ctx, c, mailroom.Progress{MappingID: m.ID, MailboxID: m.MailboxID, RateMails: 9000, OnServer: 6, Stored: 6, CheckedAt: w.now()}))
	if v, err = w.Preview(w.ctx, w.anna, portal.MappingForm{RawName: "archive"}); err != nil || !v.Measured || v.Takes != 10*time.Hour {
		t.Errorf("measured: %s at %g a second, %v", v.Takes, v.Rate, err)
	}
}

func TestPreviewSaysWhyThereIsNone(t *testing.T) {
	w := newWorld(t)
	w.preview = func(context.Context, string, time.Time) (mailroom.FolderPreview, error) {
		t.Error("the server was asked")
		return mailroom.FolderPreview{}, nil
	}
	_, err := w.Preview(w.ctx, w.anna, portal.MappingForm{RawName: "INBOX"})
	refused(t, err, mailroom.Conflict, "mailbox.error.address_first")
	w.connect(w.anna)
	_, err = w.Preview(w.ctx, w.anna, portal.MappingForm{RawName: "Nowhere"})
	complains(t, err, "folder mapping.error.folder")
	_, err = w.Preview(w.ctx, w.anna, portal.MappingForm{})
	complains(t, err, "folder mapping.error.folder")
	_, err = w.Preview(w.ctx, w.anna, portal.MappingForm{RawName: "INBOX", Since: w.now().Add(time.Hour)})
	complains(t, err, "since mapping.error.since")

	until := w.now().Add(time.Minute)
	for _, c := range []struct {
		err  error
		want mailroom.Problem
	}{
		{mailroom.E(mailroom.NotFound, "folder.error.gone"), mailroom.Problem{Kind: mailroom.NotFound, Key: "folder.error.gone"}},
		{&mailroom.Error{Kind: mailroom.Throttled, Key: "imap.error.throttled", Until: until}, mailroom.Problem{Kind: mailroom.Throttled, Key: "imap.error.throttled", Until: until}},
		{context.DeadlineExceeded, mailroom.Problem{Kind: mailroom.Unavailable, Key: "preview.error.slow"}},
	} {
		w.preview = func(context.Context, string, time.Time) (mailroom.FolderPreview, error) {
			return mailroom.FolderPreview{}, c.err
		}
		v, err := w.Preview(w.ctx, w.anna, portal.MappingForm{RawName: "INBOX"})
		if err != nil || v.Problem == nil || v.Problem.Kind != c.want.Kind || v.Problem.Key != c.want.Key || !v.Problem.Until.Equal(c.want.Until) {
			t.Errorf("%v: %v, %v", c.err, v.Problem, err)
		}
	}
	got(w.Revoke(w.ctx, w.anna))
	v, err := w.Preview(w.ctx, w.anna, portal.MappingForm{RawName: "INBOX"})
	if err != nil || v.Problem == nil || v.Problem.Kind != mailroom.NeedsConsent {
		t.Errorf("without permission: %v, %v", v.Problem, err)
	}
}
