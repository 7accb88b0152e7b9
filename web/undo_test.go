package web

import (
	"strings"
	"testing"

	"mailroom/internal/mailroom"
)

// undo works until nothing is left to be taken back, as the worker does.
func (s *site) undoAll() {
	s.t.Helper()
	for {
		worked, err := s.store.UndoStep(s.t.Context(), 1)
		if err != nil {
			s.t.Fatal(err)
		}
		if !worked {
			return
		}
	}
}

func TestTakingBackSaysWhatLeavesAndWhatStays(t *testing.T) {
	s := openSite(t)
	box := s.connected(s.admin)
	rows, err := s.store.MappingRows(t.Context(), box.ID)
	if err != nil {
		t.Fatal(err)
	}
	inbox, sent := rows[0].Mapping, rows[1].Mapping
	only, both := s.message(s.admin, box, inbox), s.message(s.admin, box, sent)
	// both lies in Inbox too.
	sqlExec(t, s, `INSERT INTO deliveries(otys_folder_id, message_seq, org_id, user_id, received_at, unread, created_at)
		SELECT $1, seq, org_id, $2, 1, TRUE, 1 FROM messages WHERE id = $3`, inbox.OTYSFolderID, s.admin.ID, both)
	sqlExec(t, s, `INSERT INTO placements(mailbox_id, raw_name, uid_validity, uid, mapping_id, message_seq, raw_hash, created_at)
		SELECT $1, $2, 1, 2, $3, seq, 'hash', 1 FROM messages WHERE id = $4`, box.ID, inbox.RawName, inbox.ID, both)

	b := s.as(s.admin)
	path := "/mappings/" + inbox.ID + "/undo"
	if n := len(b.get(mappingPath).find("#progress a[href='" + path + "']")); n != 1 {
		t.Errorf("%d links to take Inbox back", n)
	}
	page := b.get(path).wants(200).shows("dialog h1", "Take back Inbox?")
	page.shows("dialog", "1 message came in only through this mapping and leaves OTYS").shows("dialog", "1 message stays, because another mapping brings it too")
	page.shows("dialog", "In the mailbox itself nothing changes")
	b.get("/mail/" + only).wants(200)

	page = b.post(page.attr("dialog form", "action")).leadsTo(mappingPath).shows(".flashes", "being taken out of OTYS").shows("#undos", "0 of 2").shows("#undos .state", "Being taken back")
	if strings.Contains(page.text("#progress"), "Inbox →") {
		t.Error("the row is still there")
	}
	s.undoAll()
	b.get(mappingPath).shows("#undos .state", "Taken back").shows("#undos", "has left OTYS. 1 message stays, because another mapping brings it too")
	b.get("/mail/" + only).wants(404)
	b.get("/mail/" + both).wants(200)
	b.get(path).wants(404)
}

// Mail is taken back by whom it belongs to, and a subfolder's row with the row
// that it follows.
func TestWhoMayNotTakeBack(t *testing.T) {
	s := openSite(t)
	noor := s.addUser("Noor", "noor@werk.example", mailroom.Recruiter)
	box := s.connected(noor)
	rows, err := s.store.MappingRows(t.Context(), box.ID)
	if err != nil {
		t.Fatal(err)
	}
	path := "/mappings/" + rows[0].Mapping.ID + "/undo"
	s.as(s.admin).get(path).wants(404)
	s.as(s.admin).post(path).wants(404)
	sqlExec(t, s, `UPDATE mappings SET parent_id = $1 WHERE id = $2`, rows[1].Mapping.ID, rows[0].Mapping.ID)
	b := s.as(noor)
	b.get(path).leadsTo(mappingPath).shows(".flashes .bad", "mapped along with the folder above it")
	b.post(path).leadsTo(mappingPath).shows(".flashes .bad", "mapped along with the folder above it")
}

func TestSavingOffersToUndoWhatIsNewAndSaysThatMailStays(t *testing.T) {
	s := openSite(t)
	b := s.granted(s.admin)
	fields := formFields(b.post(mappingPath+"/rows", with(formFields(b.get(mappingPath)), "do", "refresh")...))
	page := b.post(mappingPath, fields...).leadsTo(mappingPath).shows(".flashes", "Undo Inbox").shows(".flashes", "Undo Verzonden items")
	b.get(page.attr(".flashes a", "href")).wants(200).shows("dialog h1", "Take back Inbox?")
	fields = formFields(page)
	b.post(mappingPath, fields...).leadsTo(mappingPath).lacks(".flashes a") // nothing is new

	sqlExec(t, s, `UPDATE progress SET stored = 7`)
	fields = formFields(b.post(mappingPath+"/rows", with(formFields(b.get(mappingPath)), "do", "remove:1")...))
	b.post(mappingPath, fields...).leadsTo(mappingPath).shows(".flashes .note", "Verzonden items is no longer read. Its mail stays in OTYS.")
}

func TestChoicesOfARowAreKept(t *testing.T) {
	s := openSite(t)
	s.connected(s.admin)
	b := s.as(s.admin)
	page := b.get(mappingPath).lacks("#mapping-form .more[open]")
	fields := with(with(formFields(page), "rows.0.subfolders", "yes"), "rows.1.removal", "remove")
	page = b.post(mappingPath, fields...).leadsTo(mappingPath)
	if got := formFields(page); field(got, "rows.0.subfolders") != "yes" || field(got, "rows.0.removal") != "keep" ||
		field(got, "rows.1.subfolders") != "(no such field)" || field(got, "rows.1.removal") != "remove" {
		t.Errorf("saved: %v", got)
	}
	if n := len(page.find("#mapping-form .more[open]")); n != 2 {
		t.Errorf("%d rows show what is special about them", n)
	}
	// A refused form keeps them too.
	page = b.post(mappingPath, with(formFields(page), "rows.1.folder", "INBOX")...).wants(422)
	if got := formFields(page); field(got, "rows.0.subfolders") != "yes" || field(got, "rows.1.removal") != "remove" {
		t.Errorf("refused: %v", got)
	}
	b.post(mappingPath, with(formFields(b.get(mappingPath)), "rows.1.removal", "shred everything")...).wants(303)
	if got := formFields(b.get(mappingPath)); field(got, "rows.1.removal") != "keep" {
		t.Errorf("an unknown word removes: %v", got)
	}
}
