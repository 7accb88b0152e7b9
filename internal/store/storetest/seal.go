package storetest

import (
	"reflect"
	"testing"
	"time"

	"mailroom/internal/mailroom"
)

func testIdleGrants(t *testing.T, w World) {
	at := time.UnixMicro(1_600_000_000_000_000).UTC()
	w.regranted(t)
	other := w.AddRecruiter(t)
	other.regranted(t)
	for _, v := range []World{w, other} {
		w.Exec(t, `UPDATE grants SET refreshed_at = $1 WHERE mailbox_id = $2`, at.UnixMicro(), v.Mailbox.ID)
	}
	idle := func(before time.Time) (boxes []string) {
		t.Helper()
		for after := ""; ; {
			page := got(w.Store.IdleGrants(t.Context(), before, after, 1))
			if len(page) == 0 {
				return boxes
			}
			after = page[0].ID
			if page[0].OrgID == w.OrgID {
				boxes = append(boxes, page[0].MailboxID)
			}
		}
	}
	if got := idle(at.Add(time.Microsecond)); len(got) != 2 {
		t.Errorf("idle are %v, want both", got)
	}
	if got := idle(at); len(got) != 0 {
		t.Errorf("idle are %v, none was refreshed before that", got)
	}
	w.Exec(t, `UPDATE mailboxes SET problem = $1 WHERE id = $2`, `{"kind":"needs_consent","key":"x"}`, w.Mailbox.ID)
	w.Exec(t, `UPDATE mailboxes SET paused = TRUE, problem = $1 WHERE id = $2`, `{"kind":"unavailable","key":"x"}`, other.Mailbox.ID)
	if got := idle(at.Add(time.Microsecond)); len(got) != 1 || got[0] != other.Mailbox.ID {
		t.Errorf("idle are %v, want the paused one", got)
	}
}

func testResealed(t *testing.T, w World) {
	col := mailroom.SealedColumn{Table: "mailboxes", Row: "id", Key: "data_key_id", Data: "data_key_sealed"}
	w.regranted(t)
	other := w.AddRecruiter(t)
	other.regranted(t)
	newKey := "new" + w.Mailbox.ID
	mine := func() (rows []mailroom.SealedRow) {
		t.Helper()
		for after := ""; ; {
			page := got(w.Store.SealedRows(t.Context(), col, newKey, after, 2))
			if len(page) == 0 {
				return rows
			}
			after = page[len(page)-1].ID
			for _, r := range page {
				if r.ID == w.Mailbox.ID || r.ID == other.Mailbox.ID {
					rows = append(rows, r)
				}
			}
		}
	}
	rows := mine()
	if len(rows) != 2 || rows[0].Sealed.KeyID != "kek" || string(rows[0].Sealed.Data) != "key" {
		t.Fatalf("sealed are %+v", rows)
	}
	var again []mailroom.Resealed
	for _, r := range rows {
		again = append(again, mailroom.Resealed{ID: r.ID, Before: r.Sealed, After: mailroom.Sealed{KeyID: newKey, Data: []byte("again")}})
	}
	// Another grant has come since the rows were read.
	w.Exec(t, `UPDATE mailboxes SET data_key_sealed = $1 WHERE id = $2`, []byte("of the next grant"), w.Mailbox.ID)
	if n := got(w.Store.Reseal(t.Context(), col, again)); n != 1 {
		t.Errorf("%d written, want the one that had not changed", n)
	}
	if c := w.credentials(t); string(c.DataKey.Data) != "of the next grant" || c.DataKey.KeyID != "kek" {
		t.Errorf("the next grant's key was overwritten: %+v", c.DataKey)
	}
	if c := other.credentials(t); string(c.DataKey.Data) != "again" || c.DataKey.KeyID != newKey {
		t.Errorf("not sealed again: %+v", c.DataKey)
	}
	if rows := mine(); len(rows) != 1 || rows[0].ID != w.Mailbox.ID {
		t.Errorf("left are %+v", rows)
	}
	if by := got(w.Store.SealedBy(t.Context(), col)); by[newKey] != 1 || by[""] != 0 {
		t.Errorf("counted %v", by)
	}
	must(t, w.Store.ForgetResealed(t.Context()))
}

func testNodeKeys(t *testing.T, w World) {
	at := time.UnixMicro(1_700_000_000_000_001).UTC()
	first := mailroom.NodeKeys{Node: "a" + w.OrgID, Newest: "k1", Known: []string{"k1"}, SeenAt: at}
	must(t, w.Store.NoteKeys(t.Context(), first))
	second := first
	second.Newest, second.Known, second.SeenAt = "k2", []string{"k1", "k2"}, at.Add(time.Minute)
	must(t, w.Store.NoteKeys(t.Context(), second))
	if all := got(w.Store.KeysOfNodes(t.Context(), at)); !reflect.DeepEqual(all, []mailroom.NodeKeys{second}) {
		t.Errorf("got %+v, want %+v", all, second)
	}
	if all := got(w.Store.KeysOfNodes(t.Context(), at.Add(time.Hour))); len(all) != 0 {
		t.Errorf("a silent process counts: %+v", all)
	}
	must(t, w.Store.NoteKeys(t.Context(), second))
	must(t, w.Store.ForgetKeys(t.Context(), second.Node))
	if all := got(w.Store.KeysOfNodes(t.Context(), at)); len(all) != 0 {
		t.Errorf("a process that has ended counts: %+v", all)
	}
}
