package storetest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"mailroom/internal/mailroom"
)

// A model of mapping, undoing and mapping again: sets instead of SQL.

// spot is a UID of a folder of a recruiter's mailbox.
type spot struct {
	who int
	raw string
	uid uint32
}

// lying is a message in an OTYS folder of a recruiter.
type lying struct {
	who    int
	folder string
	msg    int
}

type brought struct {
	mapping string
	msg     int
}

type undoModel struct {
	w      []World // recruiters
	folder [][]string
	server map[spot]int // message at each place

	mappings   []map[string]mailroom.Mapping // by raw name
	placements map[spot]brought
	deliveries map[lying]bool
	undos      map[string]lying // by mapping: whose, and from where
}

func newUndoModel(t *testing.T, w World, r *rand.Rand) *undoModel {
	m := &undoModel{w: []World{w, w.AddRecruiter(t)}, server: map[spot]int{}, placements: map[spot]brought{}, deliveries: map[lying]bool{}, undos: map[string]lying{}}
	for who, w := range m.w {
		m.folder = append(m.folder, []string{w.Inbox.OTYSFolderID, w.Sent.OTYSFolderID, w.addFolder(t, "Third")})
		m.mappings = append(m.mappings, map[string]mailroom.Mapping{"INBOX": w.Inbox, "Sent Items": w.Sent})
		for _, raw := range []string{"INBOX", "Sent Items", "A", "B"} {
			for uid := range uint32(12) {
				m.server[spot{who, raw, uid + 1}] = r.IntN(25) // the same mails lie in many places, and twice in one
			}
		}
	}
	return m
}

// exists finds a mapping by id.
func (m *undoModel) exists(who int, id string) (mailroom.Mapping, bool) {
	for _, v := range m.mappings[who] {
		if v.ID == id {
			return v, true
		}
	}
	return mailroom.Mapping{}, false
}

func (m *undoModel) held(l lying, except string) bool {
	for s, b := range m.placements {
		if s.who != l.who || b.msg != l.msg || b.mapping == except {
			continue
		}
		v, exists := m.exists(s.who, b.mapping)
		if _, undone := m.undos[b.mapping]; exists && v.OTYSFolderID == l.folder || !exists && !undone {
			return true
		}
	}
	return false
}

func (m *undoModel) has(who, msg int) bool {
	for l := range m.deliveries {
		if l.who == who && l.msg == msg {
			return true
		}
	}
	return false
}

// read is a syncer at work on some of what is not placed yet.
func (m *undoModel) read(t *testing.T, r *rand.Rand, who int, raw string, all bool) {
	v, ok := m.mappings[who][raw]
	if !ok {
		return
	}
	var mails []mailroom.Mail
	for uid := range uint32(12) {
		at := spot{who, raw, uid + 1}
		if _, placed := m.placements[at]; placed || !all && r.IntN(3) == 0 {
			continue
		}
		msg := m.server[at]
		mails = append(mails, m.w[who].Mail(at.uid, "eva@x.example", fmt.Sprintf("Mail %d of %s", msg, m.w[0].OrgID), "x"))
		m.placements[at] = brought{v.ID, msg}
		m.deliveries[lying{who, v.OTYSFolderID, msg}] = true
	}
	m.w[who].file(t, v, mails...)
}

// save makes other rows: some stay, some are aimed elsewhere, go or come.
func (m *undoModel) save(t *testing.T, r *rand.Rand, who int) {
	var rows []mailroom.Mapping
	for _, raw := range []string{"A", "B", "INBOX", "Sent Items"} {
		v, mapped := m.mappings[who][raw]
		switch n := r.IntN(10); {
		case mapped && n < 5:
			rows = append(rows, v)
		case n < 8:
			rows = append(rows, mailroom.Mapping{RawName: raw, Name: raw, OTYSFolderID: m.folder[who][r.IntN(3)]})
		}
	}
	m.w[who].save(t, rows...)

	before, after := m.mappings[who], map[string]mailroom.Mapping{}
	var fresh []mailroom.Mapping
	for _, v := range rows {
		was, known := before[v.RawName]
		if v = m.w[who].mapping(t, v.RawName).Mapping; !known {
			fresh = append(fresh, v)
			continue
		}
		if v.ID != was.ID {
			t.Fatalf("%s has another id", v.RawName)
		}
		after[v.RawName] = v
	}
	m.mappings[who] = after
	for _, v := range rows {
		if was, known := before[v.RawName]; known && was.OTYSFolderID != after[v.RawName].OTYSFolderID {
			m.aim(who, was, after[v.RawName].OTYSFolderID)
		}
	}
	for _, v := range rows {
		if was, known := before[v.RawName]; known && was.OTYSFolderID != after[v.RawName].OTYSFolderID {
			m.redeliver(who, after[v.RawName])
		}
	}
	for _, v := range fresh {
		m.mappings[who][v.RawName] = v
		m.adopt(who, v)
	}
}

func (m *undoModel) aim(who int, was mailroom.Mapping, to string) {
	for _, b := range m.of(was.ID) {
		l := lying{who, was.OTYSFolderID, b.msg}
		if !m.deliveries[l] {
			continue
		}
		if !m.held(l, was.ID) {
			delete(m.deliveries, l)
		}
		m.deliveries[lying{who, to, b.msg}] = true
	}
}

// of is what a mapping has.
func (m *undoModel) of(id string) map[spot]brought {
	out := map[spot]brought{}
	for s, b := range m.placements {
		if b.mapping == id {
			out[s] = b
		}
	}
	return out
}

func (m *undoModel) adopt(who int, v mailroom.Mapping) {
	var undone []lying
	for s, b := range m.placements {
		if s.who != who || s.raw != v.RawName {
			continue
		}
		if u, ok := m.undos[b.mapping]; ok {
			undone = append(undone, lying{who, u.folder, b.msg})
		}
		m.placements[s] = brought{v.ID, b.msg}
	}
	m.redeliver(who, v)
	for _, l := range undone {
		if l.folder != v.OTYSFolderID && !m.held(l, v.ID) {
			delete(m.deliveries, l)
		}
	}
}

// redeliver makes what a mapping has lie where it shall.
func (m *undoModel) redeliver(who int, v mailroom.Mapping) {
	for s, b := range m.of(v.ID) {
		if m.has(who, b.msg) {
			m.deliveries[lying{who, v.OTYSFolderID, b.msg}] = true
		} else {
			delete(m.placements, s)
		}
	}
}

func (m *undoModel) undo(t *testing.T, who int, raw string) {
	if v, ok := m.mappings[who][raw]; ok {
		m.w[who].undo(t, v)
		delete(m.mappings[who], raw)
		m.undos[v.ID] = lying{who: who, folder: v.OTYSFolderID}
	}
}

// step lets the store undo some, and does with the same placements as it shall.
func (m *undoModel) step(t *testing.T, limit int) bool {
	t.Helper()
	worked := got(m.w[0].Store.UndoStep(t.Context(), limit))
	left := m.stored(t)
	gone := map[string]map[int]bool{}
	for s, b := range m.placements {
		if _, ok := left[s]; ok {
			continue
		}
		if _, undone := m.undos[b.mapping]; !undone {
			t.Fatalf("an undo took %v, which nobody undoes", s)
		}
		if gone[b.mapping] == nil {
			gone[b.mapping] = map[int]bool{}
		}
		gone[b.mapping][b.msg] = true
		delete(m.placements, s)
	}
	for id, msgs := range gone {
		for msg := range msgs {
			l := m.undos[id]
			if l.msg = msg; !m.held(l, id) {
				delete(m.deliveries, l)
			}
		}
	}
	return worked
}

// stored are the placements that the store has.
func (m *undoModel) stored(t *testing.T) map[spot]brought {
	out := map[spot]brought{}
	for who, w := range m.w {
		rows, err := w.DB.Query(`SELECT p.raw_name, p.uid, p.mapping_id, m.subject FROM placements p JOIN messages m ON m.seq = p.message_seq
			WHERE p.mailbox_id = $1`, w.Mailbox.ID)
		must(t, err)
		for rows.Next() {
			s, b, subject := spot{who: who}, brought{}, ""
			must(t, rows.Scan(&s.raw, &s.uid, &b.mapping, &subject))
			fmt.Sscanf(subject, "Mail %d", &b.msg)
			out[s] = b
		}
		must(t, rows.Err())
	}
	return out
}

func (m *undoModel) delivered(t *testing.T) map[lying]bool {
	out := map[lying]bool{}
	for who, w := range m.w {
		rows, err := w.DB.Query(`SELECT d.otys_folder_id, m.subject FROM deliveries d JOIN messages m ON m.seq = d.message_seq WHERE d.user_id = $1`, w.UserID)
		must(t, err)
		for rows.Next() {
			l, subject := lying{who: who}, ""
			must(t, rows.Scan(&l.folder, &subject))
			fmt.Sscanf(subject, "Mail %d", &l.msg)
			out[l] = true
		}
		must(t, rows.Err())
	}
	return out
}

// equal compares the store with the model.
func (m *undoModel) equal(t *testing.T, after string) {
	t.Helper()
	if v := m.stored(t); !maps.Equal(v, m.placements) {
		t.Fatalf("%s: placements are\n%v, want\n%v", after, v, m.placements)
	}
	if v := m.delivered(t); !maps.Equal(v, m.deliveries) {
		t.Fatalf("%s: deliveries are\n%v, want\n%v", after, v, m.deliveries)
	}
	for who, w := range m.w {
		for _, id := range m.folder[who] {
			n := int64(0)
			for l := range m.deliveries {
				if l.folder == id {
					n++
				}
			}
			w.counts(t, id, n, n)
		}
	}
	msgs := map[int]bool{}
	for l := range m.deliveries {
		msgs[l.msg] = true
	}
	for _, b := range m.placements {
		msgs[b.msg] = true
	}
	w := m.w[0]
	if n := w.Count(t, `messages WHERE org_id = $1`, w.OrgID); n != len(msgs) {
		t.Fatalf("%s: %d messages, want %d", after, n, len(msgs))
	}
	for _, table := range []string{"links", "message_addresses"} {
		if n := w.Count(t, table+` x WHERE x.org_id = $1 AND NOT EXISTS (SELECT 1 FROM messages m WHERE m.seq = x.message_seq)`, w.OrgID); n != 0 {
			t.Fatalf("%s: %d rows in %s of messages that are no more", after, n, table)
		}
	}
}

func testUndoModel(t *testing.T, w World) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	m := newUndoModel(t, w, r)
	w.AddPerson(t, "Eva", "eva@x.example")
	raws := []string{"INBOX", "Sent Items", "A", "B"}
	var log []string
	defer func() {
		if t.Failed() {
			t.Logf("seed %d: %s", seed, strings.Join(log, ", "))
		}
	}()
	for range 120 {
		who, raw, what := r.IntN(2), raws[r.IntN(len(raws))], ""
		switch n := r.IntN(12); {
		case n < 5:
			what = fmt.Sprintf("read %d %s", who, raw)
			m.read(t, r, who, raw, false)
		case n < 7:
			what = fmt.Sprintf("save %d", who)
			m.save(t, r, who)
		case n < 9:
			what = fmt.Sprintf("undo %d %s", who, raw)
			m.undo(t, who, raw)
		default:
			what = "step"
			m.step(t, 1+r.IntN(6))
		}
		log = append(log, what)
		m.equal(t, what)
	}
	for m.step(t, 5) {
	}
	for who := range m.w {
		for _, raw := range raws {
			m.read(t, r, who, raw, true)
		}
	}
	m.equal(t, "at the end")
	// Every place of a mapped folder is accounted for, and its mail lies where it shall.
	for s, msg := range m.server {
		if v, mapped := m.mappings[s.who][s.raw]; mapped && !m.deliveries[lying{s.who, v.OTYSFolderID, msg}] {
			t.Errorf("mail %d of %v is not in OTYS", msg, s)
		}
	}
	if n := len(slices.Collect(maps.Keys(m.undos))); n == 0 {
		t.Error("nothing was undone")
	}
}
