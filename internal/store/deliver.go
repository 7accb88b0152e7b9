package store

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"mailroom/internal/mailroom"
)

// Deliver files a batch in one transaction: messages, placements, deliveries
// with their folder's counters, links, text index, quarantine, and the progress
// that has passed them all. It returns how many messages are new in the OTYS
// folder.
//
// The transaction holds only while the claim does (mailroom.ErrFenced), and an
// error leaves nothing behind. A batch may be delivered again: a UID that is
// filed already is passed over, its flags apart (see ApplyFlags).
//
// Rows of raw mail are taken from b.Blobs; a mail whose raw bytes the
// organization is said to have must really have them (Conflict
// "error.blob_gone" else: read it again).
func (s *Store) Deliver(ctx context.Context, c mailroom.Claim, b mailroom.Batch) (delivered int, err error) {
	// All that needs no database is done before the one writer is asked for.
	prepared := s.prepare(b)
	err = s.tx(ctx, func(t *tx) error {
		d := delivery{tx: t, batch: b, mails: slices.Clone(prepared)}
		for i := range d.mails {
			m := *d.mails[i]
			d.mails[i] = &m
		}
		if err := d.run(ctx, c); err != nil {
			return err
		}
		delivered = d.delivered
		return nil
	})
	if err != nil {
		return 0, err
	}
	return delivered, nil
}

// filing is one mail on its way through the transaction.
type filing struct {
	mail      *mailroom.Mail
	key       string
	row       []any // of messages
	index     indexed
	sent      bool
	addresses []mailroom.Link

	seq   int64
	fresh bool // its message row was made in this transaction
}

// delivery is the state of one batch transaction.
type delivery struct {
	*tx
	batch     mailroom.Batch
	f         fenced
	folderID  string // OTYS folder, as mapped now
	mails     []*filing
	delivered int
}

func (s *Store) prepare(b mailroom.Batch) []*filing {
	out := make([]*filing, len(b.Mails))
	for i := range b.Mails {
		m := &b.Mails[i]
		msg := m.Message
		hash := rawHash(m)
		msg.RawHash = hash
		f := &filing{mail: m, key: clean(msg.Key()), sent: msg.IsSent(b.Owner), addresses: msg.LinkAddresses(b.Owner), index: s.indexed(msg)}
		h := headers{From: msg.From, To: msg.To, Cc: msg.Cc, Bcc: msg.Bcc, ReplyTo: msg.ReplyTo, InReplyTo: msg.InReplyTo, References: msg.References}
		head, err := asJSON(h).Value()
		if err != nil {
			panic(err) // strings always marshal
		}
		// org_id and created_at are known within the transaction only.
		f.row = []any{mailroom.NewID(mailroom.PrefixMessage), nil, f.key, clean(msg.MessageID), hash, msg.Size, clean(msg.Subject), head,
			mailroom.Micros(msg.Date), mailroom.Micros(msg.ReceivedAt), clean(msg.Snippet), msg.HasHTML, asText(msg.Attachments), nil}
		for i := range f.addresses {
			f.addresses[i].Address = clean(f.addresses[i].Address)
		}
		out[i] = f
	}
	return out
}

// rawHash is the hash of the very bytes that lay at this placement.
func rawHash(m *mailroom.Mail) string {
	if m.Blob.Hash != "" {
		return m.Blob.Hash
	}
	return m.Message.RawHash
}

func (d *delivery) run(ctx context.Context, c mailroom.Claim) (err error) {
	if d.f, err = d.fence(ctx, c); err != nil {
		return err
	}
	b := &d.batch
	// The mapping as it is now: a person may have aimed it elsewhere, or taken it
	// away, since the run began.
	folders, err := values[string](ctx, d, `SELECT otys_folder_id FROM mappings WHERE id = $1 AND mailbox_id = $2`, b.Mapping.ID, c.MailboxID)
	if err != nil {
		return err
	}
	if len(folders) == 0 {
		return mailroom.E(mailroom.NotFound, "mapping.error.removed")
	}
	d.folderID = folders[0]
	for _, step := range []func(context.Context) error{
		d.dropPlaced, d.saveBlobs, d.saveMessages, d.savePlacements, d.saveDeliveries, d.saveLinks, d.saveQuarantine,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	p := b.Progress
	p.MappingID = b.Mapping.ID
	return d.saveProgress(ctx, c.MailboxID, p)
}

// dropPlaced passes over the UIDs that are filed already, and those that the
// batch names twice. One that was taken for gone is there after all.
func (d *delivery) dropPlaced(ctx context.Context) error {
	taken := map[uint64]bool{}
	m := d.batch.Mapping
	for v, uids := range d.uidsByValidity() {
		var back []uint32
		err := each(ctx, d, func(r row) error {
			var uid uint32
			var gone int64
			err := r.Scan(&uid, &gone)
			taken[generationUID(v, uid)] = true
			if gone != 0 {
				back = append(back, uid)
			}
			return err
		}, `SELECT uid, gone_at FROM placements WHERE mailbox_id = $1 AND raw_name = $2 AND uid_validity = $3
			AND uid IN `+d.s.inNumbers("$4"), m.MailboxID, m.RawName, v, list(uids))
		if err == nil && len(back) > 0 {
			_, err = d.exec(ctx, `UPDATE placements SET gone_at = 0 WHERE mailbox_id = $1 AND raw_name = $2 AND uid_validity = $3
				AND uid IN `+d.s.inNumbers("$4"), m.MailboxID, m.RawName, v, list(back))
		}
		if err != nil {
			return err
		}
	}
	d.mails = slices.DeleteFunc(d.mails, func(f *filing) bool {
		k := generationUID(f.mail.Placement.UIDValidity, f.mail.Placement.UID)
		drop := taken[k]
		taken[k] = true
		return drop
	})
	d.batch.Quarantined = slices.DeleteFunc(slices.Clone(d.batch.Quarantined), func(q mailroom.Quarantine) bool {
		k := generationUID(q.UIDValidity, q.UID)
		drop := taken[k]
		taken[k] = true
		return drop
	})
	return nil
}

func generationUID(validity, uid uint32) uint64 { return uint64(validity)<<32 | uint64(uid) }

// uidsByValidity are all UIDs that the batch speaks of, one generation as a rule.
func (d *delivery) uidsByValidity() map[uint32][]uint32 {
	out := map[uint32][]uint32{}
	for _, f := range d.mails {
		out[f.mail.Placement.UIDValidity] = append(out[f.mail.Placement.UIDValidity], f.mail.Placement.UID)
	}
	for _, q := range d.batch.Quarantined {
		out[q.UIDValidity] = append(out[q.UIDValidity], q.UID)
	}
	return out
}

// saveBlobs writes where the raw mails lie, and makes sure of those that the
// organization is said to have.
func (d *delivery) saveBlobs(ctx context.Context) error {
	given := map[string]mailroom.BlobRef{}
	for _, r := range d.batch.Blobs {
		given[r.Hash] = r
	}
	for _, f := range d.mails {
		if f.mail.Blob.Codec != "" {
			given[f.mail.Blob.Hash] = f.mail.Blob
		}
	}
	// Only what is named below gets a row, or nobody would ever take it away.
	var vals [][]any
	named, wanted := map[string]bool{}, map[string]bool{}
	need := func(hash string) {
		r, ok := given[hash]
		switch {
		case !ok:
			wanted[hash] = true
		case !named[hash]:
			named[hash] = true
			vals = append(vals, []any{d.f.orgID, r.Hash, r.Pack, r.Offset, r.Length, r.Size, r.Codec})
		}
	}
	for _, f := range d.mails {
		need(rawHash(f.mail))
	}
	for _, q := range d.batch.Quarantined {
		if q.RawHash != "" {
			need(q.RawHash)
		}
	}
	// Here and below rows are written in one order by everybody, so that two nodes
	// that file the same mails wait for each other instead of dead-locking.
	slices.SortFunc(vals, func(a, b []any) int { return cmp.Compare(a[1].(string), b[1].(string)) })
	if err := d.insert(ctx, `INSERT INTO blobs(org_id, hash, pack, pos, length, size, codec) VALUES `,
		` ON CONFLICT (org_id, hash) DO NOTHING`, vals); err != nil {
		return err
	}
	if len(wanted) == 0 {
		return nil
	}
	// Held until the commit: the sweeper must not take them away under our hands.
	if err := d.sharePeople(ctx, d.f.orgID); err != nil {
		return err
	}
	have, err := d.s.knownBlobs(ctx, d, d.f.orgID, slices.Collect(maps.Keys(wanted)))
	if err != nil {
		return err
	}
	if len(have) < len(wanted) {
		return mailroom.E(mailroom.Conflict, "error.blob_gone", fmt.Errorf("%d raw mails are not there", len(wanted)-len(have)))
	}
	return nil
}

// saveMessages finds or makes the message of every mail. Copies with one key
// are one message, whichever mailbox of the organization they came from.
func (d *delivery) saveMessages(ctx context.Context) error {
	if len(d.mails) == 0 {
		return nil
	}
	byKey := map[string][]*filing{}
	for _, f := range d.mails {
		byKey[f.key] = append(byKey[f.key], f)
	}
	if err := d.findMessages(ctx, byKey, slices.Collect(maps.Keys(byKey))); err != nil {
		return err
	}
	var vals [][]any
	for _, k := range slices.Sorted(maps.Keys(byKey)) {
		if f := byKey[k][0]; f.seq == 0 {
			row := slices.Clone(f.row)
			row[1], row[13] = d.f.orgID, d.at
			vals = append(vals, row)
		}
	}
	made := 0
	err := d.insertReturning(ctx, `INSERT INTO messages(id, org_id, dedupe_key, message_id, raw_hash, size, subject, headers, date,
		  received_at, snippet, has_html, attachments, created_at) VALUES `,
		` ON CONFLICT (org_id, dedupe_key) DO NOTHING RETURNING seq, dedupe_key`, vals, func(r row) error {
			var seq int64
			var key string
			if err := r.Scan(&seq, &key); err != nil {
				return err
			}
			made++
			for i, f := range byKey[key] {
				f.seq, f.fresh = seq, i == 0
			}
			return nil
		})
	if err != nil {
		return err
	}
	if made < len(vals) { // another node was faster with some: they are there now
		var missing []string
		for k, fs := range byKey {
			if fs[0].seq == 0 {
				missing = append(missing, k)
			}
		}
		if err := d.findMessages(ctx, byKey, missing); err != nil {
			return err
		}
	}
	// By rising rowid: FTS5 writes out what it has gathered at every step back.
	slices.SortStableFunc(d.mails, func(a, b *filing) int { return cmp.Compare(a.seq, b.seq) })
	var words [][]any
	for _, f := range d.mails {
		if f.seq == 0 {
			return fmt.Errorf("message has no row after its insert")
		}
		if f.fresh {
			words = append(words, []any{f.seq, f.index.subject, f.index.people, f.index.body})
		}
	}
	return d.saveWords(ctx, words)
}

func (d *delivery) findMessages(ctx context.Context, byKey map[string][]*filing, ks []string) error {
	return each(ctx, d, func(r row) error {
		var seq int64
		var key string
		if err := r.Scan(&seq, &key); err != nil {
			return err
		}
		for _, f := range byKey[key] {
			f.seq = seq
		}
		return nil
	}, `SELECT seq, dedupe_key FROM messages WHERE org_id = $1 AND dedupe_key IN `+d.s.in("$2"), d.f.orgID, list(ks))
}

func (d *delivery) savePlacements(ctx context.Context) error {
	m := d.batch.Mapping
	vals := make([][]any, 0, len(d.mails))
	for _, f := range d.mails {
		p := f.mail.Placement
		vals = append(vals, []any{m.MailboxID, m.RawName, p.UIDValidity, p.UID, m.ID, f.seq, rawHash(f.mail),
			p.Flags.Seen, p.Flags.Flagged, p.Flags.Answered, int64(p.ModSeq), d.at})
	}
	return d.insert(ctx, `INSERT INTO placements(mailbox_id, raw_name, uid_validity, uid, mapping_id, message_seq, raw_hash,
		  seen, flagged, answered, modseq, created_at) VALUES `, ``, vals)
}

// saveDeliveries puts the messages into the OTYS folder and keeps its counters.
func (d *delivery) saveDeliveries(ctx context.Context) error {
	if len(d.mails) == 0 {
		return nil
	}
	read, err := d.alreadyRead(ctx)
	if err != nil {
		return err
	}
	var order []*filing
	unread := map[int64]bool{}
	for _, f := range d.mails {
		if _, twice := unread[f.seq]; !twice {
			order = append(order, f)
			unread[f.seq] = true
		}
		// Sent mail was written here, and what was read at the source, or in
		// another folder here, is not news.
		if f.sent || f.mail.Placement.Flags.Seen || read[f.seq] {
			unread[f.seq] = false
		}
	}
	vals := make([][]any, len(order))
	for i, f := range order {
		vals[i] = []any{d.folderID, f.seq, d.f.orgID, d.f.userID, mailroom.Micros(f.mail.Message.ReceivedAt), unread[f.seq], f.sent, d.at}
	}
	isNew := map[int64]bool{}
	newUnread := 0
	err = d.insertReturning(ctx, `INSERT INTO deliveries(otys_folder_id, message_seq, org_id, user_id, received_at, unread, sent, created_at) VALUES `,
		` ON CONFLICT (otys_folder_id, message_seq) DO NOTHING RETURNING message_seq`, vals, func(r row) error {
			var seq int64
			err := r.Scan(&seq)
			isNew[seq] = true
			if unread[seq] {
				newUnread++
			}
			return err
		})
	if err != nil {
		return err
	}
	d.delivered = len(isNew)
	if len(isNew) > 0 {
		if _, err := d.exec(ctx, `UPDATE otys_folders SET total = total + $1, unread = unread + $2 WHERE id = $3`,
			len(isNew), newUnread, d.folderID); err != nil {
			return err
		}
	}
	// A copy of a known message that was read at the source.
	var seen []int64
	for _, f := range order {
		if f.mail.Placement.Flags.Seen && !f.fresh {
			seen = append(seen, f.seq)
		}
	}
	return d.markRead(ctx, d.f.userID, seen)
}

// alreadyRead says which of the known messages this user has read in a folder.
func (d *delivery) alreadyRead(ctx context.Context) (map[int64]bool, error) {
	var known []int64
	for _, f := range d.mails {
		if !f.fresh {
			known = append(known, f.seq)
		}
	}
	out := map[int64]bool{}
	if len(known) == 0 {
		return out, nil
	}
	seqs, err := values[int64](ctx, d, `SELECT message_seq FROM deliveries WHERE message_seq IN `+d.s.inNumbers("$1")+`
		AND user_id = $2 AND NOT unread`, list(known), d.f.userID)
	for _, seq := range seqs {
		out[seq] = true
	}
	return out, err
}

// saveLinks matches people within the transaction, so that a person who gets an
// address at this moment is either seen here or finds the message afterwards.
func (d *delivery) saveLinks(ctx context.Context) error {
	if len(d.mails) == 0 {
		return nil
	}
	if err := d.sharePeople(ctx, d.f.orgID); err != nil {
		return err
	}
	type at struct {
		seq     int64
		address string
	}
	var vals [][]any
	addresses, done := map[string]bool{}, map[at]bool{}
	for _, f := range d.mails {
		for _, l := range f.addresses {
			addresses[l.Address] = true
			if k := (at{f.seq, l.Address}); !done[k] {
				done[k] = true
				vals = append(vals, []any{d.f.orgID, l.Address, f.seq, string(l.Role)})
			}
		}
	}
	slices.SortFunc(vals, func(a, b []any) int {
		return cmp.Or(cmp.Compare(a[2].(int64), b[2].(int64)), cmp.Compare(a[1].(string), b[1].(string)))
	})
	if err := d.insert(ctx, `INSERT INTO message_addresses(org_id, address, message_seq, role) VALUES `,
		` ON CONFLICT (org_id, address, message_seq) DO NOTHING`, vals); err != nil {
		return err
	}
	holders, err := d.holders(ctx, d.f.orgID, slices.Collect(maps.Keys(addresses)))
	if err != nil || len(holders) == 0 {
		return err
	}
	var found matching
	for _, f := range d.mails {
		var mine []mailroom.Holder
		for _, l := range f.addresses {
			mine = append(mine, holders[l.Address]...)
		}
		if len(mine) > 0 {
			found.add(f.seq, f.fresh, mailroom.Micros(f.mail.Message.ReceivedAt), mailroom.Match(f.mail.Message, d.batch.Owner, mine))
		}
	}
	return d.saveMatched(ctx, d.f.orgID, &found)
}

// saveQuarantine keeps what could not be filed, and forgets what now could.
func (d *delivery) saveQuarantine(ctx context.Context) error {
	m := d.batch.Mapping
	filed := map[uint32][]uint32{}
	for _, f := range d.mails {
		filed[f.mail.Placement.UIDValidity] = append(filed[f.mail.Placement.UIDValidity], f.mail.Placement.UID)
	}
	for v, uids := range filed {
		if _, err := d.exec(ctx, `DELETE FROM quarantine WHERE mailbox_id = $1 AND raw_name = $2 AND uid_validity = $3 AND uid IN `+
			d.s.inNumbers("$4"), m.MailboxID, m.RawName, v, list(uids)); err != nil {
			return err
		}
	}
	var vals [][]any
	for _, q := range d.batch.Quarantined {
		vals = append(vals, []any{mailroom.NewID(mailroom.PrefixQuarantine), d.f.orgID, m.MailboxID, m.ID, m.RawName, q.UIDValidity, q.UID,
			q.RawHash, q.Size, asJSON(q.Reason), max(q.Attempts, 1), mailroom.Micros(q.RetryAt), d.at})
	}
	return d.insert(ctx, `INSERT INTO quarantine(id, org_id, mailbox_id, mapping_id, raw_name, uid_validity, uid, raw_hash, size,
		  reason, attempts, retry_at, created_at) VALUES `, ` ON CONFLICT (mailbox_id, raw_name, uid_validity, uid) DO UPDATE SET
		  mapping_id = excluded.mapping_id, raw_hash = excluded.raw_hash, size = excluded.size, reason = excluded.reason,
		  attempts = CASE WHEN excluded.attempts > quarantine.attempts THEN excluded.attempts ELSE quarantine.attempts END,
		  retry_at = excluded.retry_at`, vals)
}
