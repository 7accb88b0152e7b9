package store

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"mailroom/internal/mailroom"
)

// The rows that a batch makes of each mail: see Deliver.

// saveMessages finds or makes the message of every mail. Copies with one key
// are one message, whichever mailbox of the organization they came from.
func (d *delivery) saveMessages(ctx context.Context) error {
	byKey := map[string][]*filing{}
	for _, f := range d.mails {
		if !f.copied {
			byKey[f.key] = append(byKey[f.key], f)
		}
	}
	if len(byKey) == 0 {
		return nil
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
	d.sortMails()
	var words [][]any
	for _, f := range d.mails {
		if f.seq == 0 && !f.copied {
			return fmt.Errorf("message has no row after its insert")
		}
		if f.fresh {
			words = append(words, []any{f.seq, f.index.subject, f.index.people, f.index.body})
		}
	}
	return d.saveWords(ctx, words)
}

func (d *delivery) sortMails() {
	slices.SortStableFunc(d.mails, func(a, b *filing) int { return cmp.Compare(a.seq, b.seq) })
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
		vals = append(vals, []any{m.MailboxID, m.RawName, p.UIDValidity, p.UID, m.ID, f.seq, f.raw,
			p.Flags.Seen, p.Flags.Flagged, p.Flags.Answered, int64(p.ModSeq), d.at,
			clean(p.ObjectID), mailroom.Micros(p.ReadAt), mailroom.Micros(p.ParsedAt)})
	}
	return d.insert(ctx, `INSERT INTO placements(mailbox_id, raw_name, uid_validity, uid, mapping_id, message_seq, raw_hash,
		  seen, flagged, answered, modseq, created_at, object_id, read_at, parsed_at) VALUES `, ``, vals)
}

// saveDeliveries puts the messages into the OTYS folder and keeps its counters.
func (d *delivery) saveDeliveries(ctx context.Context) error {
	var order []*filing
	unread := map[int64]bool{}
	var news []int64 // known, and read at the source since
	for _, f := range slices.Concat(d.mails, d.revived) {
		if f.buried {
			continue
		}
		was := d.earlier[f.seq]
		if _, twice := unread[f.seq]; !twice {
			order = append(order, f)
			// Sent mail was written here. A message is read or unread in all of a
			// user's folders.
			unread[f.seq] = !f.sent
			if was.delivered {
				unread[f.seq] = was.unread
			}
		}
		// What a copy of it has told before is no news: the recruiter may have marked
		// it unread since.
		if f.mail.Placement.Flags.Seen && !(was.delivered && was.seen) {
			unread[f.seq] = false
			if was.delivered {
				news = append(news, f.seq)
			}
		}
	}
	if len(order) == 0 {
		return nil
	}
	vals := make([][]any, len(order))
	for i, f := range order {
		vals[i] = []any{d.folderID, f.seq, d.f.orgID, d.f.userID, mailroom.Micros(f.mail.Message.ReceivedAt), unread[f.seq], f.sent, d.at}
	}
	newUnread := 0
	err := d.insertReturning(ctx, `INSERT INTO deliveries(otys_folder_id, message_seq, org_id, user_id, received_at, unread, sent, created_at) VALUES `,
		` ON CONFLICT (otys_folder_id, message_seq) DO NOTHING RETURNING message_seq`, vals, func(r row) error {
			var seq int64
			err := r.Scan(&seq)
			d.delivered++
			if unread[seq] {
				newUnread++
			}
			return err
		})
	if err != nil {
		return err
	}
	if d.delivered > 0 {
		if err := d.count(ctx, map[string]tally{d.folderID: {int64(d.delivered), int64(newUnread)}}); err != nil {
			return err
		}
	}
	return d.markRead(ctx, d.f.userID, news)
}

// earlier is what was known of a message before the batch, to this user.
type earlier struct {
	seen, gone        bool // at a place of this mailbox: read; left it
	delivered, unread bool // in an OTYS folder of the user
}

// recall finds out what was known of the messages that are not new.
func (d *delivery) recall(ctx context.Context) error {
	var known []int64
	for _, f := range slices.Concat(d.mails, d.revived) {
		if !f.fresh {
			known = append(known, f.seq)
		}
	}
	d.earlier = map[int64]earlier{}
	if len(known) == 0 {
		return nil
	}
	seqs := d.s.inNumbers("$1")
	if err := each(ctx, d, func(r row) error {
		var seq int64
		var e earlier
		err := r.Scan(&seq, &e.seen, &e.gone)
		d.earlier[seq] = e
		return err
	}, `SELECT message_seq, MAX(CASE WHEN seen THEN 1 ELSE 0 END) = 1, MAX(CASE WHEN gone_at <> 0 THEN 1 ELSE 0 END) = 1
		FROM placements WHERE message_seq IN `+seqs+` AND mailbox_id = $2 GROUP BY message_seq`, list(known), d.batch.Mapping.MailboxID); err != nil {
		return err
	}
	return each(ctx, d, func(r row) error {
		var seq int64
		var unread bool
		err := r.Scan(&seq, &unread)
		e := d.earlier[seq]
		e.delivered, e.unread = true, unread
		d.earlier[seq] = e
		return err
	}, `SELECT message_seq, MIN(CASE WHEN unread THEN 1 ELSE 0 END) = 1 FROM deliveries
		WHERE message_seq IN `+seqs+` AND user_id = $2 GROUP BY message_seq`, list(known), d.f.userID)
}

// loadRevived reads what saveDeliveries has to know of them: they may have moved
// to another folder since they were taken for gone.
func (d *delivery) loadRevived(ctx context.Context) error {
	if len(d.revived) == 0 {
		return nil
	}
	seqs, bySeq := make([]int64, len(d.revived)), map[int64][]*filing{}
	for i, f := range d.revived {
		seqs[i] = f.seq
		bySeq[f.seq] = append(bySeq[f.seq], f)
	}
	return each(ctx, d, func(r row) error {
		var seq int64
		var key string
		var h headers
		var received time.Time
		err := r.Scan(&seq, &key, asJSON(&h), at(&received))
		for _, f := range bySeq[seq] {
			f.key, f.sent, f.mail.Message.ReceivedAt = key, mailroom.Message{From: h.From}.IsSent(d.batch.Owner), received
		}
		return err
	}, `SELECT seq, dedupe_key, headers, received_at FROM messages WHERE seq IN `+d.s.inNumbers("$1"), list(seqs))
}

// saveLinks matches people within the transaction, so that a person who gets an
// address at this moment is either seen here or finds the message afterwards.
func (d *delivery) saveLinks(ctx context.Context) error {
	if len(d.mails) == 0 {
		return nil
	}
	type at struct {
		seq     int64
		address string
	}
	var vals [][]any
	addresses, done := map[string]bool{}, map[at]bool{}
	for _, f := range d.mails {
		if f.buried { // nobody shall meet it with a person either
			continue
		}
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
		if f.buried {
			continue
		}
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
