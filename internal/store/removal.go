package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"time"

	"mailroom/internal/mailroom"
)

// What becomes of mail here that leaves its folder there. A delivery is held by
// what lies on the server under a mapping that aims at its OTYS folder, and by
// what a mapping brought that a person has taken away since: that mail stays. One
// that nothing holds any more follows its message to where the mailbox has it now,
// and without such a place does what its mapping says.

// stillHeld is the condition that something holds delivery d.
const stillHeld = `(EXISTS (SELECT 1 FROM placements p JOIN mappings m ON m.id = p.mapping_id
	    WHERE p.message_seq = d.message_seq AND p.gone_at = 0 AND m.otys_folder_id = d.otys_folder_id)
	  OR EXISTS (SELECT 1 FROM placements p JOIN mailboxes b ON b.id = p.mailbox_id
	    WHERE p.message_seq = d.message_seq AND b.user_id = d.user_id
	      AND NOT EXISTS (SELECT 1 FROM mappings m WHERE m.id = p.mapping_id)
	      AND NOT EXISTS (SELECT 1 FROM undos u WHERE u.mapping_id = p.mapping_id)))`

// hasLeft is the condition that delivery d was brought by what has left the server.
const hasLeft = `EXISTS (SELECT 1 FROM placements p JOIN mappings m ON m.id = p.mapping_id
	    WHERE p.message_seq = d.message_seq AND p.gone_at <> 0 AND m.otys_folder_id = d.otys_folder_id)`

// unheld is a delivery that nothing holds any more.
type unheld struct {
	folderID string
	seq      int64
	unread   bool
}

// follow is the rule of moves. It looks at a user's deliveries of the messages
// seqs, of which something has left a folder of the mailbox, or come to one: those
// that nothing holds any more go where the mailbox has the message now, read or
// unread as they are. It returns those for which there is no such place.
//
// A move brings a mail to a folder that it was once removed from, too: it never
// left OTYS, so nothing comes back by it.
func (t *tx) follow(ctx context.Context, mailboxID, userID string, seqs []int64) (rest []unheld, err error) {
	if len(seqs) == 0 {
		return nil, nil
	}
	loose, err := all(ctx, t, func(r row) (u unheld, err error) {
		err = r.Scan(&u.folderID, &u.seq, &u.unread)
		return u, err
	}, `SELECT d.otys_folder_id, d.message_seq, d.unread FROM deliveries d WHERE d.message_seq IN `+t.s.inNumbers("$1")+`
		AND d.user_id = $2 AND `+hasLeft+` AND NOT `+stillHeld+` ORDER BY d.message_seq, d.otys_folder_id`, list(seqs), userID)
	if err != nil || len(loose) == 0 {
		return nil, err
	}
	places, err := t.placesOf(ctx, mailboxID, loose)
	if err != nil {
		return nil, err
	}
	var m moving
	for _, u := range loose {
		if to := places[u.seq]; len(to) == 0 {
			rest = append(rest, u)
		} else {
			m.add(u, to)
		}
	}
	return rest, t.move(ctx, mailboxID, userID, m)
}

// place is an OTYS folder at which a mapping aims that has a message now.
type place struct {
	folderID  string
	delivered bool
}

func (t *tx) placesOf(ctx context.Context, mailboxID string, loose []unheld) (map[int64][]place, error) {
	out := map[int64][]place{}
	err := each(ctx, t, func(r row) error {
		var seq int64
		var p place
		err := r.Scan(&seq, &p.folderID, &p.delivered)
		out[seq] = append(out[seq], p)
		return err
	}, `SELECT p.message_seq, m.otys_folder_id,
		  EXISTS (SELECT 1 FROM deliveries e WHERE e.otys_folder_id = m.otys_folder_id AND e.message_seq = p.message_seq)
		FROM placements p JOIN mappings m ON m.id = p.mapping_id
		WHERE p.message_seq IN `+t.s.inNumbers("$1")+` AND p.mailbox_id = $2 AND p.gone_at = 0
		ORDER BY p.message_seq, m.created_at, m.id`, list(seqsOf(loose)), mailboxID)
	return out, err
}

func seqsOf(us []unheld) []int64 {
	out := make([]int64, len(us))
	for i, u := range us {
		out[i] = u.seq
	}
	return out
}

// moving is what follow has decided.
type moving struct {
	over    map[[2]string][]int64 // from and to folder
	double  map[string][]int64    // it is there already
	unread  map[int64]bool        // what the message is, to this user
	arrived map[int64]bool
}

func (m *moving) add(u unheld, to []place) {
	if m.over == nil {
		m.over, m.double, m.unread, m.arrived = map[[2]string][]int64{}, map[string][]int64{}, map[int64]bool{}, map[int64]bool{}
	}
	if was, known := m.unread[u.seq]; !known || was {
		m.unread[u.seq] = u.unread
	}
	if m.arrived[u.seq] || slices.ContainsFunc(to, func(p place) bool { return p.delivered }) {
		m.double[u.folderID] = append(m.double[u.folderID], u.seq)
		return
	}
	m.arrived[u.seq] = true
	way := [2]string{u.folderID, to[0].folderID}
	m.over[way] = append(m.over[way], u.seq)
}

func (t *tx) move(ctx context.Context, mailboxID, userID string, m moving) error {
	counted := map[string]tally{}
	for way, seqs := range m.over {
		unread, err := values[bool](ctx, t, `UPDATE deliveries SET otys_folder_id = $1 WHERE otys_folder_id = $2
			AND message_seq IN `+t.s.inNumbers("$3")+` RETURNING unread`, way[1], way[0], list(seqs))
		if err != nil {
			return err
		}
		moved := tallied(unread)
		counted[way[0]] = counted[way[0]].minus(moved)
		counted[way[1]] = counted[way[1]].plus(moved)
	}
	for folder, seqs := range m.double {
		unread, err := values[bool](ctx, t, `DELETE FROM deliveries WHERE otys_folder_id = $1
			AND message_seq IN `+t.s.inNumbers("$2")+` RETURNING unread`, folder, list(seqs))
		if err != nil {
			return err
		}
		counted[folder] = counted[folder].minus(tallied(unread))
	}
	if err := t.count(ctx, counted); err != nil {
		return err
	}
	states := map[bool][]int64{}
	for seq, unread := range m.unread {
		states[unread] = append(states[unread], seq)
	}
	for unread, seqs := range states {
		if err := t.setUnread(ctx, userID, seqs, unread); err != nil {
			return err
		}
	}
	if len(m.unread) == 0 {
		return nil
	}
	// They need not be waited for any more.
	_, err := t.exec(ctx, `DELETE FROM leaving WHERE mailbox_id = $1 AND message_seq IN `+t.s.inNumbers("$2"),
		mailboxID, list(slices.Collect(maps.Keys(m.unread))))
	return err
}

// tally is a number of mails and how many of them are unread.
type tally struct{ total, unread int64 }

func tallied(unread []bool) (n tally) {
	n.total = int64(len(unread))
	for _, u := range unread {
		if u {
			n.unread++
		}
	}
	return n
}

func (n tally) plus(m tally) tally  { return tally{n.total + m.total, n.unread + m.unread} }
func (n tally) minus(m tally) tally { return tally{n.total - m.total, n.unread - m.unread} }

// count adds to the counters of OTYS folders, in the order of all who do.
func (t *tx) count(ctx context.Context, changes map[string]tally) error {
	for _, id := range slices.Sorted(maps.Keys(changes)) {
		if n := changes[id]; n != (tally{}) {
			if _, err := t.exec(ctx, `UPDATE otys_folders SET total = total + $1, unread = unread + $2 WHERE id = $3`, n.total, n.unread, id); err != nil {
				return err
			}
		}
	}
	return nil
}

// followMoves has the messages of a batch that left another folder of the mailbox
// before arrive as what they were.
func (d *delivery) followMoves(ctx context.Context) error {
	var seqs []int64
	for _, f := range slices.Concat(d.mails, d.revived) {
		if d.earlier[f.seq].gone {
			seqs = append(seqs, f.seq)
		}
	}
	_, err := d.follow(ctx, d.batch.Mapping.MailboxID, d.f.userID, seqs)
	return err
}

// MarkGone notes that UIDs, filed or in quarantine, are no longer on the server.
// In the OTYS mailbox the mail moves when the mailbox has it in another mapped
// folder; else it stays, or waits for SettleRemovals when its mapping says that it
// is to be removed. Of what is in quarantine only that stays of which there is a
// raw copy and which nobody has given up.
func (s *Store) MarkGone(ctx context.Context, c mailroom.Claim, mappingID string, uidValidity uint32, gone mailroom.UIDSet) error {
	return s.tx(ctx, func(t *tx) error {
		f, err := t.fence(ctx, c)
		if err != nil {
			return err
		}
		// One that was removed here, came back there and goes again was nobody's.
		graves, err := t.hasTombstones(ctx, mappingID)
		if err == nil && graves {
			err = t.lockPeople(ctx, f.orgID)
		}
		if err == nil {
			err = t.lockMoves(ctx, c.MailboxID)
		}
		if err != nil {
			return err
		}
		ms, err := all(ctx, t, scanMapping, `SELECT `+mappingColumns+` FROM mappings WHERE id = $1 AND mailbox_id = $2`, mappingID, c.MailboxID)
		if err != nil || len(ms) == 0 {
			return err
		}
		m := ms[0]
		seqs, err := t.gone(ctx, m, uidValidity, gone)
		if err == nil && graves {
			_, err = t.dropOrphans(ctx, f.orgID, seqs)
		}
		if err != nil {
			return err
		}
		rest, err := t.follow(ctx, c.MailboxID, f.userID, seqs)
		if err != nil || m.Removal != mailroom.RemovalRemove {
			return err
		}
		var vals [][]any
		for _, u := range rest {
			if u.folderID == m.OTYSFolderID {
				vals = append(vals, []any{m.ID, u.seq, m.MailboxID, t.at})
			}
		}
		return t.insert(ctx, `INSERT INTO leaving(mapping_id, message_seq, mailbox_id, at) VALUES `,
			` ON CONFLICT (mapping_id, message_seq) DO UPDATE SET at = excluded.at`, vals)
	})
}

// gone marks placements and quarantine; it returns the messages that lay there.
func (t *tx) gone(ctx context.Context, m mailroom.Mapping, uidValidity uint32, gone mailroom.UIDSet) (seqs []int64, err error) {
	for _, u := range t.s.uidConditions(gone, 4) {
		where := ` WHERE mailbox_id = $1 AND raw_name = $2 AND uid_validity = $3 AND ` + u.cond
		args := append([]any{m.MailboxID, m.RawName, uidValidity}, u.args...)
		if _, err := t.exec(ctx, `DELETE FROM quarantine`+where+` AND (raw_hash = '' OR dropped_at <> 0)`, args...); err != nil {
			return nil, err
		}
		args = append(args, t.at)
		set := ` SET gone_at = ` + argument(len(args)) + where + ` AND gone_at = 0`
		if _, err := t.exec(ctx, `UPDATE quarantine`+set, args...); err != nil {
			return nil, err
		}
		some, err := values[int64](ctx, t, `UPDATE placements`+set+` RETURNING message_seq`, args...)
		if err != nil {
			return nil, err
		}
		seqs = append(seqs, some...)
	}
	slices.Sort(seqs)
	return slices.Compact(seqs), nil
}

// uidCondition is a condition on the column uid with its arguments.
type uidCondition struct {
	cond string
	args []any
}

// uidConditions say together that uid is in set: the long ranges by their ends,
// all others as one list. first is the number of the first argument.
func (s *Store) uidConditions(set mailroom.UIDSet, first int) (out []uidCondition) {
	const long = 100
	var short []uint32
	for _, r := range set.Ranges() {
		if r.To-r.From >= long {
			out = append(out, uidCondition{`uid BETWEEN ` + argument(first) + ` AND ` + argument(first+1), []any{r.From, r.To}})
			continue
		}
		for uid := uint64(r.From); uid <= uint64(r.To); uid++ {
			short = append(short, uint32(uid))
		}
	}
	if len(short) > 0 {
		out = append(out, uidCondition{`uid IN ` + s.inNumbers(argument(first)), []any{list(short)}})
	}
	return out
}

// SettleRemovals takes up to limit mails out of OTYS that left a folder before
// the given time, whose mapping says so, and that have not turned up in another
// mapped folder since. What it takes away does not come back through that mapping;
// the message itself goes with the last who had it. It returns how many it took.
func (s *Store) SettleRemovals(ctx context.Context, c mailroom.Claim, before time.Time, limit int) (removed int64, err error) {
	// Asked in vain most of the time: that must not cost a turn of the one writer.
	due, err := value[bool](ctx, s.read(), `SELECT EXISTS (SELECT 1 FROM leaving WHERE mailbox_id = $1 AND at < $2)`,
		c.MailboxID, mailroom.Micros(before))
	if err != nil || !due {
		return 0, err
	}
	err = s.tx(ctx, func(t *tx) (err error) {
		removed, err = t.settle(ctx, c, before, limit)
		return err
	})
	if err != nil {
		return 0, err
	}
	return removed, nil
}

// departure is a row of leaving.
type departure struct {
	mappingID, folderID string
	seq                 int64
	remove              bool // as the mapping says now
}

func (t *tx) settle(ctx context.Context, c mailroom.Claim, before time.Time, limit int) (removed int64, err error) {
	f, err := t.fence(ctx, c)
	if err != nil {
		return 0, err
	}
	if err := t.lockPeople(ctx, f.orgID); err != nil {
		return 0, err
	}
	if err := t.lockMoves(ctx, c.MailboxID); err != nil {
		return 0, err
	}
	due, err := all(ctx, t, func(r row) (d departure, err error) {
		err = r.Scan(&d.mappingID, &d.folderID, &d.seq, &d.remove)
		return d, err
	}, `SELECT l.mapping_id, m.otys_folder_id, l.message_seq, m.removal = $4 FROM leaving l JOIN mappings m ON m.id = l.mapping_id
		WHERE l.mailbox_id = $1 AND l.at < $2 ORDER BY l.at LIMIT $3`, c.MailboxID, mailroom.Micros(before), limit, string(mailroom.RemovalRemove))
	if err != nil || len(due) == 0 {
		return 0, err
	}
	byMapping, byFolder := map[string][]int64{}, map[string]map[int64]bool{}
	var seqs []int64
	for _, d := range due {
		byMapping[d.mappingID] = append(byMapping[d.mappingID], d.seq)
		seqs = append(seqs, d.seq)
		if d.remove {
			if byFolder[d.folderID] == nil {
				byFolder[d.folderID] = map[int64]bool{}
			}
			byFolder[d.folderID][d.seq] = true
		}
	}
	for id, some := range byMapping {
		if _, err := t.exec(ctx, `DELETE FROM leaving WHERE mapping_id = $1 AND message_seq IN `+t.s.inNumbers("$2"), id, list(some)); err != nil {
			return 0, err
		}
	}
	// What is back, or in another folder, is held or moves now at the latest.
	rest, err := t.follow(ctx, c.MailboxID, f.userID, seqs)
	if err != nil {
		return 0, err
	}
	rest = slices.DeleteFunc(rest, func(u unheld) bool { return !byFolder[u.folderID][u.seq] })
	if len(rest) == 0 {
		return 0, nil
	}
	if err := t.takeOut(ctx, f.orgID, c.MailboxID, rest); err != nil {
		return 0, err
	}
	return int64(len(rest)), t.audit(ctx, mailroom.AuditEvent{OrgID: f.orgID, Action: "mapping.mail_removed", Subject: c.MailboxID,
		Details: map[string]any{"count": len(rest)}})
}

// takeOut removes deliveries for good.
func (t *tx) takeOut(ctx context.Context, orgID, mailboxID string, us []unheld) error {
	slices.SortFunc(us, func(a, b unheld) int { return cmp.Or(cmp.Compare(a.folderID, b.folderID), cmp.Compare(a.seq, b.seq)) })
	counted := map[string]tally{}
	for i := 0; i < len(us); {
		n := i
		for n < len(us) && us[n].folderID == us[i].folderID {
			n++
		}
		folder, seqs := us[i].folderID, seqsOf(us[i:n])
		unread, err := values[bool](ctx, t, `DELETE FROM deliveries WHERE otys_folder_id = $1 AND message_seq IN `+t.s.inNumbers("$2")+`
			RETURNING unread`, folder, list(seqs))
		if err != nil {
			return err
		}
		counted[folder] = counted[folder].minus(tallied(unread))
		if err := t.bringTombstones(ctx, mailboxID, folder, seqs); err != nil {
			return err
		}
		i = n
	}
	if err := t.count(ctx, counted); err != nil {
		return err
	}
	_, err := t.dropOrphans(ctx, orgID, seqsOf(us))
	return err
}

// bringTombstones keeps messages from coming back to an OTYS folder through the
// mappings that had them there, as long as these live.
func (t *tx) bringTombstones(ctx context.Context, mailboxID, folderID string, seqs []int64) error {
	var vals [][]any
	if err := each(ctx, t, func(r row) error {
		var mapping, key, messageID string
		err := r.Scan(&mapping, &key, &messageID)
		vals = append(vals, []any{mapping, digest(key), digest(messageID), t.at})
		return err
	}, `SELECT DISTINCT p.mapping_id, m.dedupe_key, m.message_id FROM placements p JOIN mappings a ON a.id = p.mapping_id
		JOIN messages m ON m.seq = p.message_seq
		WHERE p.message_seq IN `+t.s.inNumbers("$1")+` AND p.mailbox_id = $2 AND a.otys_folder_id = $3 AND a.removal = $4`,
		list(seqs), mailboxID, folderID, string(mailroom.RemovalRemove)); err != nil {
		return err
	}
	return t.insert(ctx, `INSERT INTO tombstones(mapping_id, key, message_id_hash, at) VALUES `,
		` ON CONFLICT (mapping_id, key) DO UPDATE SET at = excluded.at`, vals)
}

func (t *tx) hasTombstones(ctx context.Context, mappingID string) (bool, error) {
	return value[bool](ctx, t, `SELECT EXISTS (SELECT 1 FROM tombstones WHERE mapping_id = $1)`, mappingID)
}

// digest is what a tombstone keeps of a text: nothing of a mail that was removed
// can be read there.
func digest(text string) string {
	if text == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// bury finds the mails of the batch that were removed here before: they get a
// placement, so that they are accounted for, and are delivered to nobody.
func (d *delivery) bury(ctx context.Context) error {
	fs := slices.Concat(d.mails, d.revived)
	if len(fs) == 0 {
		return nil
	}
	some, err := d.hasTombstones(ctx, d.batch.Mapping.ID)
	if err != nil || !some {
		return err
	}
	keys := make([]string, len(fs))
	for i, f := range fs {
		keys[i] = digest(f.key)
	}
	dead, err := d.tx.buried(ctx, d.batch.Mapping.ID, keys)
	for i, f := range fs {
		f.buried = dead[keys[i]]
	}
	return err
}

// buried are those of digests that have a tombstone of the mapping.
func (t *tx) buried(ctx context.Context, mappingID string, digests []string) (map[string]bool, error) {
	keys, err := values[string](ctx, t, `SELECT key FROM tombstones WHERE mapping_id = $1 AND key IN `+t.s.in("$2"), mappingID, list(digests))
	out := map[string]bool{}
	for _, k := range keys {
		out[k] = true
	}
	return out, err
}
