package store

import (
	"context"

	"mailroom/internal/mailroom"
)

// HeldUIDs are the UIDs of one generation of a folder that are filed, in
// quarantine or dropped, and still on the server.
func (s *Store) HeldUIDs(ctx context.Context, mailboxID, rawName string, uidValidity uint32) (h mailroom.Held, err error) {
	err = s.view(ctx, func(q runner) error {
		for _, part := range []struct {
			set  *mailroom.UIDSet
			from string
		}{
			{&h.Placed, `placements WHERE`},
			{&h.Quarantined, `quarantine WHERE dropped_at = 0 AND`},
			{&h.Dropped, `quarantine WHERE dropped_at <> 0 AND`},
		} {
			if *part.set, err = uidRanges(ctx, q, `SELECT uid FROM `+part.from+`
				mailbox_id = $1 AND raw_name = $2 AND uid_validity = $3 AND gone_at = 0`, mailboxID, rawName, uidValidity); err != nil {
				return err
			}
		}
		return nil
	})
	return h, err
}

// uidRanges folds the column uid of a query into ranges inside the database:
// 200,000 UIDs come over as a handful of rows.
func uidRanges(ctx context.Context, q runner, text string, args ...any) (mailroom.UIDSet, error) {
	rs, err := all(ctx, q, func(r row) (v mailroom.UIDRange, err error) {
		err = r.Scan(&v.From, &v.To)
		return v, err
	}, `SELECT MIN(uid), MAX(uid) FROM (SELECT uid, uid - ROW_NUMBER() OVER (ORDER BY uid) AS run FROM (`+text+`) u) g GROUP BY run`, args...)
	if err != nil {
		return mailroom.UIDSet{}, err
	}
	return mailroom.UIDRanges(rs...), nil
}

// ApplyFlags follows the source's flags. \Seen appearing marks the message read
// in the user's OTYS mailbox; nothing ever marks it unread here, so that a
// recruiter's own "unread" stands.
func (s *Store) ApplyFlags(ctx context.Context, c mailroom.Claim, m mailroom.Mapping, uidValidity uint32, changes []mailroom.FlagChange) error {
	return s.tx(ctx, func(t *tx) error {
		f, err := t.fence(ctx, c)
		if err != nil {
			return err
		}
		known, err := t.flags(ctx, c.MailboxID, m.RawName, uidValidity, changes)
		if err != nil {
			return err
		}
		var seen []int64
		for _, ch := range changes {
			was, ok := known[ch.UID]
			if !ok || was.flags == plainFlags(ch.Flags) && was.modSeq >= ch.ModSeq {
				continue
			}
			if _, err := t.exec(ctx, `UPDATE placements SET seen = $1, flagged = $2, answered = $3, modseq = $4
				WHERE mailbox_id = $5 AND raw_name = $6 AND uid_validity = $7 AND uid = $8`,
				ch.Flags.Seen, ch.Flags.Flagged, ch.Flags.Answered, int64(ch.ModSeq), c.MailboxID, m.RawName, uidValidity, ch.UID); err != nil {
				return err
			}
			if ch.Flags.Seen && !was.flags.Seen {
				seen = append(seen, was.seq)
			}
		}
		return t.markRead(ctx, f.userID, seen)
	})
}

// placed is a placement as flags see it.
type placed struct {
	uid    uint32
	seq    int64
	flags  mailroom.Flags
	modSeq uint64
}

// plainFlags are the flags that placements keep.
func plainFlags(f mailroom.Flags) mailroom.Flags {
	return mailroom.Flags{Seen: f.Seen, Flagged: f.Flagged, Answered: f.Answered}
}

func (t *tx) flags(ctx context.Context, mailboxID, rawName string, uidValidity uint32, changes []mailroom.FlagChange) (map[uint32]placed, error) {
	uids := make([]uint32, len(changes))
	for i, ch := range changes {
		uids[i] = ch.UID
	}
	out := map[uint32]placed{}
	err := each(ctx, t, func(r row) error {
		var p placed
		err := r.Scan(&p.uid, &p.seq, &p.flags.Seen, &p.flags.Flagged, &p.flags.Answered, &p.modSeq)
		out[p.uid] = p
		return err
	}, `SELECT uid, message_seq, seen, flagged, answered, modseq FROM placements
		WHERE mailbox_id = $1 AND raw_name = $2 AND uid_validity = $3 AND uid IN `+t.s.inNumbers("$4"),
		mailboxID, rawName, uidValidity, list(uids))
	return out, err
}

// markRead marks messages read in all OTYS folders of a user.
func (t *tx) markRead(ctx context.Context, userID string, seqs []int64) error {
	return t.setUnread(ctx, userID, seqs, false)
}

// setUnread marks messages of a user read or unread, in all folders they lie in,
// and keeps the folders' counters.
func (t *tx) setUnread(ctx context.Context, userID string, seqs []int64, unread bool) error {
	if len(seqs) == 0 {
		return nil
	}
	folders, err := values[string](ctx, t, `UPDATE deliveries SET unread = $1 WHERE message_seq IN `+t.s.inNumbers("$2")+`
		AND user_id = $3 AND unread <> $1 RETURNING otys_folder_id`, unread, list(seqs), userID)
	if err != nil {
		return err
	}
	one := tally{unread: 1}
	if !unread {
		one.unread = -1
	}
	changed := map[string]tally{}
	for _, f := range folders {
		changed[f] = changed[f].plus(one)
	}
	return t.count(ctx, changed)
}
