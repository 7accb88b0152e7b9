package app_test

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"mailroom/internal/app"
	"mailroom/internal/blob"
	"mailroom/internal/imapwire"
	"mailroom/internal/mailroom"
	"mailroom/internal/peers"
	"mailroom/internal/portal"
	"mailroom/internal/store"
)

// TestKilledAtAnyInstant kills the program with -9, again and again, while it
// syncs and another client delivers, moves, marks and expunges, makes folders
// below a mapped one, and a mapping is taken back. In the end nothing is lost and
// nothing is there twice, and what was removed or taken back is so here. TORTURE is another number of
// kills, TORTURE_SEED repeats a run's instants as far as the machine does.
func TestKilledAtAnyInstant(t *testing.T) {
	seed := setting(t, "TORTURE_SEED", time.Now().UnixNano())
	t.Logf("TORTURE_SEED=%d", seed)
	t.Run("SQLite", func(t *testing.T) {
		torture(t, newSite(t), setting(t, "TORTURE", 8), seed)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		torture(t, newSite(t, "MAILROOM_DATABASE="+peers.Postgres(t)), setting(t, "TORTURE", 4), seed)
	})
}

func setting(t *testing.T, name string, otherwise int64) int64 {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		return otherwise
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

func torture(t *testing.T, s site, kills, seed int64) {
	// The node has a name, so that on PostgreSQL it knows itself again.
	s.env = append(s.env, "MAILROOM_ALLOW_PRIVATE_HOSTS=true", "MAILROOM_POLL=5s", "MAILROOM_NODE=tortured")
	d := dovecot(t)
	o := &other{t: t, d: d, r: rand.New(rand.NewPCG(uint64(seed), 1)), folders: append(slices.Clone(mapped), "Clients"), below: "Clients/"}
	o.deliver("INBOX", 20)
	o.deliver("Archive", 20)
	o.deliver("Clients", 20)
	o.deliver("Sent", 20)
	o.deliver("Old", int(min(50*kills, 1000)))
	s.settle(t, d)
	undone := s.takenBack(t, o)
	first := int(min(150*kills, 5000))
	o.deliver("INBOX", first/2)
	o.deliver("Sent", first/4)
	o.deliver("Archive", first/4)

	// A busy machine may be so slow to begin reading that no kill hits: go on, with
	// more patience each time, until one has.
	hits, done, began := 0, int64(0), time.Now()
	for ; done < kills || hits == 0 && done < 5*kills; done++ {
		before := epoch(t, s)
		p := s.launch(t)
		if o.r.IntN(6) > 0 { // else maybe before it serves, or is sure of its lease
			p.ready()
			if !holds(time.Minute, func() bool { return epoch(t, s) > before }) {
				t.Fatal("nobody reads the mailbox")
			}
		}
		patience := 900*time.Millisecond + time.Duration(max(done-kills, 0))*300*time.Millisecond
		instant := time.After(time.Duration(o.r.Int64N(int64(patience))))
		for alive := true; alive; {
			select {
			case <-instant:
				alive = false
			default:
				o.disturb()
			}
		}
		p.kill()
		if reading(t, s) {
			hits++
		}
	}

	t.Logf("%d kills in %s", done, time.Since(began).Round(time.Second))
	p := s.serve(t)
	db := s.database(t)
	server := accounted(t, db, o)
	for _, what := range []string{"leaving", "undos WHERE finished_at = 0", "findings WHERE repaired_at = 0"} {
		if !holds(time.Minute, func() bool { return number(t, db, `SELECT COUNT(*) FROM `+what) == 0 }) {
			t.Errorf("%d rows never came to their end: %s", number(t, db, `SELECT COUNT(*) FROM `+what), what)
		}
	}
	if code, _ := p.terminate(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	t.Logf("%d kills, %d of them in the middle of a reading; %d mails delivered in all", done, hits, o.n)
	if hits == 0 {
		t.Error("no kill hit a reading: this run proves nothing")
	}
	e := evidence{t: t, s: s, db: db, addr: d.Addr, server: server}
	e.books()
	e.deliveries()
	e.removals(undone)
	e.bytes()
	if cmds := d.ChangingCommands(); len(cmds) > 0 {
		t.Errorf("commands that change the mailbox: %v", cmds)
	}
}

// accounted waits until the ledger of each folder holds what the server does,
// which nobody disturbs any more.
func accounted(t *testing.T, db *sql.DB, o *other) map[string]peers.FolderState {
	t.Helper()
	server := map[string]peers.FolderState{}
	for _, name := range o.folders {
		server[name] = o.d.Folder(owner, name)
	}
	calm := mailroom.Micros(time.Now())
	for name, f := range server {
		settled := func() bool {
			return number(t, db, `SELECT COUNT(*) FROM progress p JOIN mappings m ON m.id = p.mapping_id WHERE m.raw_name = $1
				AND p.on_server = $2 AND p.backlog = '' AND p.problem = '' AND p.checked_at > $3`, name, len(f.Flags), calm) == 1
		}
		if !holds(3*time.Minute, settled) {
			t.Fatalf("%s is not accounted for: %d on the server; %s", name, len(f.Flags), told(t, db, name))
		}
	}
	return server
}

// takenBack maps two more folders, one with its subfolders and one that is taken
// back once it has been read, and lets removals be followed in a third. It
// returns the mapping that is being taken back.
func (s site) takenBack(t *testing.T, o *other) mailroom.Mapping {
	t.Helper()
	a, err := app.New(t.Context(), configured(s))
	must(t, err)
	ctx := t.Context()
	u, err := a.Portal.SignIn(ctx, owner, longEnough)
	must(t, err)
	page, err := a.Portal.MappingPage(ctx, u)
	must(t, err)
	form := portal.MappingsForm{Version: page.Version}
	for _, r := range page.Rows {
		f := portal.MappingForm{ID: r.Mapping.ID, RawName: r.Mapping.RawName, OTYSFolder: r.Mapping.OTYSFolderID}
		if f.RawName == "Archive" {
			f.Removal = mailroom.RemovalRemove
		}
		form.Rows = append(form.Rows, f)
	}
	for _, name := range []string{"Clients", "Old"} {
		to, err := a.Portal.AddOTYSFolder(ctx, u, name)
		must(t, err)
		form.Rows = append(form.Rows, portal.MappingForm{RawName: name, OTYSFolder: to.ID, Subfolders: name == "Clients"})
	}
	must(t, a.Portal.SaveMappings(ctx, u, form))
	must(t, a.Close())

	old := o.d.Folder(owner, "Old").UIDs()
	o.d.Copy(owner, "Old", "INBOX", old[:len(old)/2]...)
	p := s.serve(t)
	db := s.database(t)
	if !holds(3*time.Minute, func() bool {
		return number(t, db, `SELECT COUNT(*) FROM progress p JOIN mappings m ON m.id = p.mapping_id WHERE m.raw_name = 'Old' AND p.stored = $1`, len(old)) == 1
	}) {
		t.Fatalf("Old is not read: %s", told(t, db, "Old"))
	}
	if code, _ := p.terminate(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	db.Close() // the program is to be alone with its database when it dies

	a, err = app.New(ctx, configured(s))
	must(t, err)
	defer a.Close()
	page, err = a.Portal.MappingPage(ctx, u)
	must(t, err)
	for _, r := range page.Rows {
		if r.Mapping.RawName == "Old" {
			must(t, a.Portal.TakeBack(ctx, u, r.Mapping.ID))
			return r.Mapping
		}
	}
	t.Fatal("Old is not mapped")
	return mailroom.Mapping{}
}

// epoch is the newest claim of the mailbox, 0 when nobody holds it. It leaves
// no connection open: the program is to be alone with its database when it dies.
func epoch(t *testing.T, s site) int64 {
	t.Helper()
	db := s.database(t)
	defer db.Close()
	return number(t, db, `SELECT COALESCE(MAX(epoch), 0) FROM mailboxes WHERE owner <> ''`)
}

// reading reports whether a reading of the mailbox was begun and not ended.
func reading(t *testing.T, s site) bool {
	t.Helper()
	db := s.database(t)
	defer db.Close()
	return number(t, db, `SELECT COUNT(*) FROM runs WHERE ended_at = 0`) > 0
}

// holds waits until condition is true, or too long.
func holds(limit time.Duration, condition func() bool) bool {
	deadline, tick := time.After(limit), time.NewTicker(50*time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			return false
		}
	}
	return true
}

// told is the progress row of a folder, for a failure.
func told(t *testing.T, db *sql.DB, name string) (row string) {
	t.Helper()
	must(t, db.QueryRow(`SELECT 'on server ' || on_server || ', stored ' || stored || ', backlog ' || backlog || ', problem ' || p.problem || ', checked ' || checked_at
		FROM progress p JOIN mappings m ON m.id = p.mapping_id WHERE m.raw_name = $1`, name).Scan(&row))
	return row
}

// mailServer is a server whose mail is changed behind the program's back: Dovecot,
// or the pretend one.
type mailServer interface {
	Deliver(user, folder string, mails ...peers.Mail)
	Delete(user, folder string, uids ...uint32)
	Move(user, from, to string, uids ...uint32)
	Copy(user, from, to string, uids ...uint32)
	SetFlags(user, folder string, flags []string, uids ...uint32)
	Folder(user, folder string) peers.FolderState
	Connections(user string) int
}

// other is the mailbox's owner at another mail program.
type other struct {
	t *testing.T
	d mailServer
	r *rand.Rand
	n int // mails delivered
	// folders that are read. Further ones are made below this prefix, unless it is "".
	folders []string
	below   string
}

func (o *other) deliver(folder string, n int) {
	o.d.Deliver(owner, folder, mails(o.n, n)...)
	o.n += n
}

// disturb does one thing to the mailbox.
func (o *other) disturb() {
	if o.below != "" && len(o.folders) < 10 && o.r.IntN(40) == 0 {
		name := fmt.Sprintf("%sNumber %d", o.below, len(o.folders))
		o.folders = append(o.folders, name)
		o.deliver(name, 1+o.r.IntN(30))
		return
	}
	from := o.folders[o.r.IntN(len(o.folders))]
	do := o.r.IntN(6)
	if do < 2 {
		o.deliver(from, 1+o.r.IntN(30))
		return
	}
	uids := o.d.Folder(owner, from).UIDs()
	if len(uids) < 50 {
		return
	}
	// Old or new ones in a row, as a person marks them.
	at := o.r.IntN(len(uids) - 20)
	some := uids[at : at+1+o.r.IntN(15)]
	to := o.folders[o.r.IntN(len(o.folders))]
	switch do {
	case 2:
		if to != from {
			o.d.Move(owner, from, to, some...)
		}
	case 4: // also within a folder: two places, one message
		o.d.Copy(owner, from, to, some...)
	case 3:
		o.d.Delete(owner, from, some...)
	default:
		o.d.SetFlags(owner, from, []string{`\Seen`}, some...)
	}
}

// evidence is what is looked at when all is over and nobody runs.
type evidence struct {
	t      *testing.T
	s      site
	db     *sql.DB
	addr   string // of the server
	server map[string]peers.FolderState
}

// none complains of what a query finds.
func (e evidence) none(what, text string, args ...any) {
	e.t.Helper()
	if n := number(e.t, e.db, `SELECT COUNT(*) FROM (`+text+`) found`, args...); n != 0 {
		e.t.Errorf("%d %s", n, what)
	}
}

// strings are the rows of a query with one column.
func (e evidence) strings(text string, args ...any) (out []string) {
	e.t.Helper()
	rows, err := e.db.QueryContext(e.t.Context(), text, args...)
	must(e.t, err)
	defer rows.Close()
	for rows.Next() {
		var v string
		must(e.t, rows.Scan(&v))
		out = append(out, v)
	}
	must(e.t, rows.Err())
	return out
}

// books: each UID on the server is accounted for once, and the sums say so.
func (e evidence) books() {
	t := e.t
	for name, f := range e.server {
		var skippedText string
		var onServer, stored, quarantined, validity int64
		must(t, e.db.QueryRow(`SELECT p.skipped, p.on_server, p.stored, p.quarantined + p.dropped, p.uid_validity FROM progress p
			JOIN mappings m ON m.id = p.mapping_id WHERE m.raw_name = $1`, name).Scan(&skippedText, &onServer, &stored, &quarantined, &validity))
		skipped, err := mailroom.ParseUIDSet(skippedText)
		must(t, err)
		if validity != int64(f.UIDValidity) {
			t.Errorf("%s: UIDVALIDITY %d, the server has %d", name, validity, f.UIDValidity)
		}
		if sum := stored + quarantined + skipped.Len(); onServer != sum || onServer != int64(len(f.Flags)) {
			t.Errorf("%s: the ledger says %d = %d stored + %d quarantined + %d skipped, the server holds %d",
				name, onServer, stored, quarantined, skipped.Len(), len(f.Flags))
		}
		placed := e.strings(`SELECT uid FROM placements WHERE raw_name = $1 AND uid_validity = $2 AND gone_at = 0`, name, f.UIDValidity)
		kept := e.strings(`SELECT uid FROM quarantine WHERE raw_name = $1 AND uid_validity = $2`, name, f.UIDValidity)
		times := map[string]int{}
		for _, uid := range append(placed, kept...) {
			times[uid]++
		}
		for u := range skipped.Descending {
			times[strconv.Itoa(int(u))]++
		}
		for uid := range f.Flags {
			if n := times[strconv.Itoa(int(uid))]; n != 1 {
				t.Errorf("%s UID %d is accounted for %d times", name, uid, n)
			}
		}
		if len(placed) != int(stored) {
			t.Errorf("%s: %d placements, %d said", name, len(placed), stored)
		}
	}
	e.none("leases held by nobody", `SELECT 1 FROM mailboxes WHERE owner <> ''`)
	e.none("placements of no message", `SELECT 1 FROM placements WHERE message_seq NOT IN (SELECT seq FROM messages)`)
}

// deliveries: in the OTYS mailbox each mail once, linked once, and the folders
// count right.
func (e evidence) deliveries() {
	// Each Message-ID was given to one mail only.
	e.none("mails are two messages", `SELECT message_id FROM messages GROUP BY message_id HAVING COUNT(*) > 1`)
	e.none("mails lie in an OTYS folder twice", `SELECT 1 FROM deliveries d JOIN messages m ON m.seq = d.message_seq
		GROUP BY d.otys_folder_id, m.message_id HAVING COUNT(*) > 1`)
	e.none("mails do not lie in their OTYS folder", `SELECT 1 FROM placements p JOIN mappings m ON m.id = p.mapping_id
		WHERE p.gone_at = 0 AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.otys_folder_id = m.otys_folder_id AND d.message_seq = p.message_seq)`)
	e.none("deliveries came from nowhere", `SELECT 1 FROM deliveries d WHERE NOT EXISTS (SELECT 1 FROM placements p
		JOIN mappings m ON m.id = p.mapping_id WHERE m.otys_folder_id = d.otys_folder_id AND p.message_seq = d.message_seq)`)
	e.none("messages are not linked to the one who wrote them", `SELECT 1 FROM messages m WHERE NOT EXISTS (SELECT 1 FROM links l WHERE l.message_seq = m.seq)`)
	e.none("OTYS folders count wrong", `SELECT 1 FROM otys_folders f
		WHERE f.total <> (SELECT COUNT(*) FROM deliveries d WHERE d.otys_folder_id = f.id)
		OR f.unread <> (SELECT COUNT(*) FROM deliveries d WHERE d.otys_folder_id = f.id AND d.unread)`)
}

// removals: what moved has moved, what left a folder whose mapping says so has
// left here, and of a mapping that was taken back nothing is left that it alone
// brought in.
func (e evidence) removals(undone mailroom.Mapping) {
	const held = `EXISTS (SELECT 1 FROM placements p JOIN mappings m ON m.id = p.mapping_id
		WHERE p.message_seq = d.message_seq AND p.gone_at = 0 AND m.otys_folder_id = d.otys_folder_id)`
	e.none("mails have moved there and not here", `SELECT 1 FROM deliveries d WHERE NOT `+held+` AND EXISTS (SELECT 1 FROM placements p
		JOIN mappings m ON m.id = p.mapping_id WHERE p.message_seq = d.message_seq AND p.gone_at = 0)`)
	e.none("mails were removed there and not here", `SELECT 1 FROM deliveries d JOIN mappings x ON x.otys_folder_id = d.otys_folder_id
		WHERE x.removal = 'remove' AND NOT `+held)
	e.none("mails are there that were taken back", `SELECT 1 FROM deliveries WHERE otys_folder_id = $1`, undone.OTYSFolderID)
	e.none("places are known of what was taken back", `SELECT 1 FROM placements WHERE mapping_id = $1`, undone.ID)
	e.none("messages lie nowhere", `SELECT 1 FROM messages m WHERE NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.message_seq = m.seq)
		AND NOT EXISTS (SELECT 1 FROM placements p WHERE p.message_seq = m.seq AND p.gone_at = 0)`)
	e.none("links are of no message", `SELECT 1 FROM links WHERE message_seq NOT IN (SELECT seq FROM messages)`)
	e.none("deliveries are of no message", `SELECT 1 FROM deliveries WHERE message_seq NOT IN (SELECT seq FROM messages)`)
}

// bytes: what the server holds can be opened here, octet for octet, also after
// a sweep, which takes what the kills left behind and nothing else.
func (e evidence) bytes() {
	t := e.t
	for name, f := range e.server {
		kept := e.strings(`SELECT uid || ' ' || raw_hash FROM placements WHERE raw_name = $1 AND uid_validity = $2 AND gone_at = 0`, name, f.UIDValidity)
		slices.Sort(kept)
		var there []string
		for uid, raw := range fetched(t, e.addr, name) {
			sum := sha256.Sum256(raw)
			there = append(there, fmt.Sprintf("%d %x", uid, sum))
		}
		slices.Sort(there)
		if !slices.Equal(there, kept) {
			t.Errorf("%s: the octets on the server are not those of the placements:\n%q\n%q", name, there, kept)
		}
	}
	// Two hours on, when nothing that has no name can be on its way any more.
	later := func() time.Time { return time.Now().Add(2 * time.Hour) }
	st, packs, _ := e.s.rooms(t, later)
	e.openAll(st.Blobs(packs))
	// What was removed or taken back leaves its raw mail to the sweep; nothing else does.
	n, err := st.SweepBlobs(t.Context())
	must(t, err)
	if n != 0 && number(t, e.db, `SELECT (SELECT COUNT(*) FROM undos) + (SELECT COUNT(*) FROM tombstones)`) == 0 {
		t.Errorf("%d raw mails had a row and no name", n)
	}
	if n, err := st.SweepBlobs(t.Context()); err != nil || n != 0 {
		t.Errorf("%d raw mails were left by the sweep: %v", n, err)
	}
	if st.Postgres() {
		e.none("raw mails without a name are left", `SELECT 1 FROM blob_data d WHERE NOT EXISTS (SELECT 1 FROM blobs b WHERE b.org_id = d.org_id AND b.hash = d.hash)`)
	} else {
		swept, err := packs.Sweep(t.Context(), st, 0, later())
		must(t, err)
		t.Logf("swept: %+v", swept)
		e.packs(filepath.Join(e.s.data, "mail"))
		if said := e.strings(`PRAGMA integrity_check`); !slices.Equal(said, []string{"ok"}) {
			t.Errorf("the database is damaged: %q", said)
		}
	}
	e.openAll(st.Blobs(packs))
}

// rooms are the store and the raw mail of a site where no program runs. They are
// closed by the test's end, if not before by leave.
func (s site) rooms(t *testing.T, now func() time.Time) (st *store.Store, packs *blob.Packs, leave func()) {
	t.Helper()
	cfg := configured(s)
	dsn := cfg.Database
	if dsn == "" {
		dsn = filepath.Join(cfg.Data, "mailroom.db")
	}
	st, err := store.Open(t.Context(), store.Options{DSN: dsn, Now: now})
	must(t, err)
	if !st.Postgres() {
		packs, err = blob.Open(filepath.Join(cfg.Data, "mail"), blob.Options{})
		must(t, err)
	}
	leave = sync.OnceFunc(func() {
		if packs != nil {
			must(t, packs.Close())
		}
		must(t, st.Close())
	})
	t.Cleanup(leave)
	return st, packs, leave
}

// openAll opens every raw mail that a row names.
func (e evidence) openAll(blobs *store.Blobs) {
	e.t.Helper()
	org := e.strings(`SELECT id FROM organizations`)[0]
	for _, hash := range e.strings(`SELECT raw_hash FROM placements UNION SELECT raw_hash FROM messages
		UNION SELECT raw_hash FROM quarantine WHERE raw_hash <> ''`) {
		if _, err := blobs.Open(e.t.Context(), org, hash); err != nil {
			e.t.Errorf("raw mail %s: %v", hash, err)
		}
	}
}

// packs: no file but the newest, which is still written to, holds a torn end,
// or more that nobody names than what somebody does.
func (e evidence) packs(dir string) {
	files, err := filepath.Glob(filepath.Join(dir, "*.pack"))
	must(e.t, err)
	slices.Sort(files)
	for _, f := range files[:max(len(files)-1, 0)] {
		st, err := os.Stat(f)
		must(e.t, err)
		const header = 64
		name := strings.TrimSuffix(filepath.Base(f), ".pack")
		used := number(e.t, e.db, `SELECT COALESCE(SUM(length + $1), 0) FROM blobs WHERE pack = $2`, header, name)
		end := number(e.t, e.db, `SELECT COALESCE(MAX(pos + length + $1), 0) FROM blobs WHERE pack = $2`, header, name)
		if end != st.Size() || used < st.Size()/2 {
			e.t.Errorf("pack %s has %d octets, of which %d up to %d have a name", name, st.Size(), used, end)
		}
	}
}

// fetched are the mails of a folder as the server gives them.
func fetched(t *testing.T, addr, folder string) map[uint32][]byte {
	t.Helper()
	ctx := t.Context()
	conn, err := net.Dial("tcp", addr)
	must(t, err)
	c, err := imapwire.NewClient(ctx, conn, imapwire.Options{})
	must(t, err)
	defer c.Close()
	must(t, c.Login(ctx, owner, appPassword))
	_, err = c.Examine(folder, imapwire.ExamineOptions{}).Wait(ctx)
	must(t, err)
	out := map[uint32][]byte{}
	_, err = c.UIDFetch(imapwire.UIDsFrom(1), imapwire.FetchItems{Body: true}, imapwire.FetchHandler{
		Body: func(m *imapwire.Message, lit *imapwire.Literal) error {
			var b bytes.Buffer
			_, err := io.Copy(&b, lit)
			out[m.UID] = b.Bytes()
			return err
		},
	}).Wait(ctx)
	must(t, err)
	return out
}
