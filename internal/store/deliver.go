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
// organization is said to have must really have them, and a copy its message
// (Conflict "error.blob_gone" else: read it again).
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
	raw       string // hash of the very bytes that lay at this placement
	row       []any  // of messages
	index     indexed
	sent      bool
	addresses []mailroom.Link
	copied    bool // a copy of a message that is here: mail has a placement and a time only

	seq    int64
	fresh  bool // its message row was made in this transaction
	buried bool // removed here before, and not to come back through this mapping
}

// delivery is the state of one batch transaction.
type delivery struct {
	*tx
	batch     mailroom.Batch
	f         fenced
	folderID  string // OTYS folder, as mapped now
	mails     []*filing
	revived   []*filing // were taken for gone, and are there after all
	earlier   map[int64]earlier
	delivered int
}

func (s *Store) prepare(b mailroom.Batch) []*filing {
	out := make([]*filing, len(b.Mails), len(b.Mails)+len(b.Copies))
	for i := range b.Mails {
		m := &b.Mails[i]
		msg := m.Message
		hash := rawHash(m)
		msg.RawHash = hash
		f := &filing{mail: m, key: clean(msg.Key()), raw: hash, sent: msg.IsSent(b.Owner), addresses: msg.LinkAddresses(b.Owner), index: s.indexed(msg)}
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
	for _, c := range b.Copies {
		out = append(out, &filing{copied: true,
			mail: &mailroom.Mail{Message: mailroom.Message{ReceivedAt: c.ReceivedAt}, Placement: c.Placement}})
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
	// away, since the run began; or it has followed its folder to another name, and
	// what is filed under the old one would be lost.
	folders, err := values[string](ctx, d, `SELECT otys_folder_id FROM mappings WHERE id = $1 AND mailbox_id = $2 AND raw_name = $3`,
		b.Mapping.ID, c.MailboxID, b.Mapping.RawName)
	if err != nil {
		return err
	}
	if len(folders) == 0 {
		return mailroom.E(mailroom.NotFound, "mapping.error.removed")
	}
	d.folderID = folders[0]
	if err := d.shareFiling(ctx, d.f.orgID, c.MailboxID); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{
		d.dropPlaced, d.saveBlobs, d.saveMessages, d.findCopies, d.loadRevived, d.bury, d.recall,
		d.savePlacements, d.followMoves, d.saveDeliveries, d.saveLinks, d.saveQuarantine,
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
			err = each(ctx, d, func(r row) error {
				f := &filing{mail: &mailroom.Mail{}}
				d.revived = append(d.revived, f)
				return r.Scan(&f.seq, &f.mail.Placement.Flags.Seen)
			}, `UPDATE placements SET gone_at = 0 WHERE mailbox_id = $1 AND raw_name = $2 AND uid_validity = $3
				AND uid IN `+d.s.inNumbers("$4")+` RETURNING message_seq, seen`, m.MailboxID, m.RawName, v, list(back))
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
		if f.mail.Blob.Codec != "" && !f.copied {
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
		if !f.copied { // what is copied lies at a placement, which names its raw copy
			need(f.raw)
		}
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
	// The sweeper cannot take them away under our hands: see shareFiling.
	have, err := d.s.knownBlobs(ctx, d, d.f.orgID, slices.Collect(maps.Keys(wanted)))
	if err != nil {
		return err
	}
	if len(have) < len(wanted) {
		return mailroom.E(mailroom.Conflict, "error.blob_gone", fmt.Errorf("%d raw mails are not there", len(wanted)-len(have)))
	}
	return nil
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
			q.RawHash, q.Size, asJSON(q.Reason), max(q.Attempts, 1), mailroom.Micros(q.RetryAt), d.at, mailroom.Micros(q.GoneAt), clean(q.Version)})
	}
	// One that a person has given up meanwhile stays given up.
	return d.insert(ctx, `INSERT INTO quarantine(id, org_id, mailbox_id, mapping_id, raw_name, uid_validity, uid, raw_hash, size,
		  reason, attempts, retry_at, created_at, gone_at, version) VALUES `, ` ON CONFLICT (mailbox_id, raw_name, uid_validity, uid) DO UPDATE SET
		  mapping_id = excluded.mapping_id, raw_hash = excluded.raw_hash, size = excluded.size, reason = excluded.reason,
		  attempts = CASE WHEN excluded.attempts > quarantine.attempts THEN excluded.attempts ELSE quarantine.attempts END,
		  retry_at = excluded.retry_at, gone_at = excluded.gone_at, version = excluded.version`, vals)
}
