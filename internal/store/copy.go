package store

import (
	"context"
	"fmt"

	"mailroom/internal/mailroom"
)

// Messages that are known by what the server says of them, without their octets.

// KnownObjects says of which object ids (X-GM-MSGID, EMAILID) a mailbox's
// messages are here: those can be filed as copies.
func (s *Store) KnownObjects(ctx context.Context, mailboxID string, ids []string) (map[string]bool, error) {
	have, err := values[string](ctx, s.read(), `SELECT DISTINCT object_id FROM placements
		WHERE mailbox_id = $1 AND object_id <> '' AND object_id IN `+s.in("$2"), mailboxID, list(ids))
	out := map[string]bool{}
	for _, id := range have {
		out[id] = true
	}
	return out, err
}

// SampleMessageIDs are the Message-IDs of the newest n messages that one
// generation of a folder is known to hold and that have one, by UID: whether
// another folder is this one under a new name is told by them.
func (s *Store) SampleMessageIDs(ctx context.Context, mailboxID, rawName string, uidValidity uint32, n int) (map[uint32]string, error) {
	out := map[uint32]string{}
	err := each(ctx, s.read(), func(r row) error {
		var uid uint32
		var id string
		err := r.Scan(&uid, &id)
		out[uid] = id
		return err
	}, `SELECT p.uid, m.message_id FROM placements p JOIN messages m ON m.seq = p.message_seq
		WHERE p.mailbox_id = $1 AND p.raw_name = $2 AND p.uid_validity = $3 AND p.gone_at = 0 AND m.message_id <> ''
		ORDER BY p.uid DESC LIMIT $4`, mailboxID, rawName, uidValidity, n)
	return out, err
}

// findCopies finds the messages of the batch's copies. Conflict when one is not
// there any more, since its last copy was removed: it is to be read in full.
func (d *delivery) findCopies(ctx context.Context) error {
	byObject := map[string][]*filing{}
	var ids []string
	for _, f := range d.mails {
		if !f.copied {
			continue
		}
		id := clean(f.mail.Placement.ObjectID)
		if byObject[id] == nil {
			ids = append(ids, id)
		}
		byObject[id] = append(byObject[id], f)
	}
	if len(ids) == 0 {
		return nil
	}
	if err := each(ctx, d, func(r row) error {
		var id, raw, key string
		var seq int64
		var h headers
		if err := r.Scan(&id, &seq, &raw, &key, asJSON(&h)); err != nil {
			return err
		}
		for _, f := range byObject[id] {
			f.seq, f.raw, f.key, f.sent = seq, raw, key, mailroom.Message{From: h.From}.IsSent(d.batch.Owner)
		}
		return nil
	}, `SELECT p.object_id, p.message_seq, p.raw_hash, m.dedupe_key, m.headers FROM placements p JOIN messages m ON m.seq = p.message_seq
		WHERE p.mailbox_id = $1 AND p.object_id <> '' AND p.object_id IN `+d.s.in("$2"), d.batch.Mapping.MailboxID, list(ids)); err != nil {
		return err
	}
	missing := 0
	for _, f := range d.mails {
		if f.copied && f.seq == 0 {
			missing++
		}
	}
	if missing > 0 {
		return mailroom.E(mailroom.Conflict, "error.blob_gone", fmt.Errorf("the messages of %d copies are not there", missing))
	}
	d.sortMails()
	return nil
}
