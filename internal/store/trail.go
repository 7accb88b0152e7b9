package store

import (
	"context"
	"slices"
	"strings"

	"mailroom/internal/mailroom"
)

// Why a mail is, or is not, in OTYS: all that is known of its way, put together
// from the rows that every step of it left behind.

// mostTrails bounds an answer: whoever gets more asks more exactly.
const mostTrails = 20

// Trails says what became of the messages that q.Text means: the one with that
// Message-ID, or those that a search finds, newest first. Only what lies or lay in
// a mailbox of the user, or in their OTYS mailbox, is looked at, and of its places
// only theirs. With q.ID it is that message and no other. NotFound when the mailbox is not the user's.
func (s *Store) Trails(ctx context.Context, q mailroom.TrailQuery) (out []mailroom.Trail, err error) {
	if q.Limit <= 0 || q.Limit > mostTrails {
		q.Limit = mostTrails
	}
	q.Text = clean(q.Text)
	err = s.view(ctx, func(r runner) error {
		t := trails{Store: s, runner: r, q: q}
		if _, err := value[string](ctx, r, `SELECT id FROM mailboxes WHERE id = $1 AND user_id = $2 AND org_id = $3`, q.MailboxID, q.UserID, q.OrgID); err != nil {
			return err
		}
		if q.ID != "" {
			seqs, err := values[int64](ctx, r, `SELECT m.seq FROM messages m WHERE m.id = $3 AND `+mine, q.UserID, q.OrgID, q.ID)
			if err == nil && len(seqs) > 0 {
				out, err = t.tell(ctx, seqs)
			}
			return err
		}
		id := messageIDIn(q.Text)
		seqs, err := t.withMessageID(ctx, id)
		if err != nil {
			return err
		}
		if len(seqs) == 0 {
			removed, err := t.removedWith(ctx, id)
			if err != nil {
				return err
			}
			if len(removed) > 0 {
				out = []mailroom.Trail{{Message: mailroom.Message{OrgID: q.OrgID, MessageID: id}, Removed: removed}}
				return nil
			}
			if seqs, err = t.search(ctx); err != nil || len(seqs) == 0 {
				return err
			}
		}
		out, err = t.tell(ctx, seqs)
		return err
	})
	return out, err
}

// messageIDIn is the Message-ID that a pasted text may be, "" when it cannot be
// one.
func messageIDIn(text string) string {
	text = strings.TrimSpace(text)
	if name, rest, ok := strings.Cut(text, ":"); ok && strings.EqualFold(strings.TrimSpace(name), "message-id") {
		text = strings.TrimSpace(rest)
	}
	text = strings.TrimSuffix(strings.TrimPrefix(text, "<"), ">")
	if strings.ContainsAny(text, " \t\r\n") {
		return ""
	}
	return text
}

type trails struct {
	*Store
	runner
	q mailroom.TrailQuery
}

func (t trails) dialect() *Store { return t.Store }

// mine is the condition that message m is the user's, as arguments 1 and 2.
const mine = `(EXISTS (SELECT 1 FROM deliveries d WHERE d.message_seq = m.seq AND d.user_id = $1)
	OR EXISTS (SELECT 1 FROM placements p JOIN mailboxes b ON b.id = p.mailbox_id WHERE p.message_seq = m.seq AND b.user_id = $1))
	AND m.org_id = $2`

func (t trails) withMessageID(ctx context.Context, id string) ([]int64, error) {
	if id == "" {
		return nil, nil
	}
	return values[int64](ctx, t, `SELECT m.seq FROM messages m WHERE m.message_id = $3 AND `+mine+`
		ORDER BY m.received_at DESC, m.seq DESC LIMIT $4`, t.q.UserID, t.q.OrgID, id, t.q.Limit)
}

const removalColumns = `t.mapping_id, a.name, t.at`

func scanRemoval(r row) (v mailroom.TrailRemoval, err error) {
	err = r.Scan(&v.MappingID, &v.Folder, at(&v.At))
	return v, err
}

// removedWith are the removals of messages with that Message-ID: the messages may
// be gone.
func (t trails) removedWith(ctx context.Context, id string) ([]mailroom.TrailRemoval, error) {
	if id == "" {
		return nil, nil
	}
	return all(ctx, t, scanRemoval, `SELECT `+removalColumns+` FROM tombstones t JOIN mappings a ON a.id = t.mapping_id
		WHERE t.message_id_hash <> '' AND t.message_id_hash = $1 AND a.mailbox_id = $2 ORDER BY t.at DESC`, digest(id), t.q.MailboxID)
}

// search finds messages by words, as the list of mail does.
func (t trails) search(ctx context.Context) ([]int64, error) {
	cond, match, ok := t.searchCond("d.message_seq", "$3", t.q.Text)
	if !ok {
		return nil, nil
	}
	hits, err := t.searchHits(ctx, t, match)
	if err != nil || len(hits) == 0 {
		return nil, err
	}
	if len(hits) <= fewMatches {
		return values[int64](ctx, t, `SELECT m.seq FROM messages m WHERE m.seq IN `+t.inNumbers("$3")+` AND `+mine+`
			ORDER BY m.received_at DESC, m.seq DESC LIMIT $4`, t.q.UserID, t.q.OrgID, list(hits), t.q.Limit)
	}
	// The list of the user's mail is walked until there are enough; then what they
	// have in no list.
	seqs, err := values[int64](ctx, t, `SELECT d.message_seq FROM deliveries d`+t.indexedBy("deliveries_by_user")+` WHERE d.user_id = $1 AND d.org_id = $2 AND `+cond+`
		AND NOT EXISTS (SELECT 1 FROM deliveries e WHERE e.message_seq = d.message_seq AND e.user_id = d.user_id AND e.otys_folder_id < d.otys_folder_id)
		ORDER BY d.received_at DESC, d.message_seq DESC LIMIT $4`, t.q.UserID, t.q.OrgID, match, t.q.Limit)
	if err != nil {
		return nil, err
	}
	hidden, err := values[int64](ctx, t, `SELECT DISTINCT d.message_seq FROM placements d WHERE d.mailbox_id = $2 AND `+cond+`
		AND NOT EXISTS (SELECT 1 FROM deliveries e WHERE e.message_seq = d.message_seq AND e.user_id = $1) LIMIT $4`,
		t.q.UserID, t.q.MailboxID, match, t.q.Limit)
	return append(seqs, hidden...), err
}

// tell puts the trails of messages together, newest first.
func (t trails) tell(ctx context.Context, seqs []int64) ([]mailroom.Trail, error) {
	var lines []mailroom.MailLine
	keys := map[string]int{} // digests of dedupe keys
	if err := each(ctx, t, func(r row) error {
		cells := splitRow(r, 2, columnCount(messageColumns))
		m, err := scanMessage(cells[1])
		if err != nil {
			return err
		}
		l := mailroom.MailLine{Message: m}
		var key string
		err = cells[0].Scan(&l.Seq, &key)
		keys[digest(key)] = len(lines)
		lines = append(lines, l)
		return err
	}, `SELECT seq, dedupe_key, `+messageColumns+` FROM messages WHERE seq IN `+t.inNumbers("$1")+`
		ORDER BY received_at DESC, seq DESC LIMIT $2`, list(seqs), t.q.Limit); err != nil {
		return nil, err
	}
	if err := addPeople(ctx, t, lines); err != nil {
		return nil, err
	}
	out, bySeq := make([]mailroom.Trail, len(lines)), map[int64]int{}
	for i, l := range lines {
		out[i] = mailroom.Trail{Message: l.Message, People: l.People}
		bySeq[l.Seq] = i
	}
	for _, add := range []func(context.Context, []mailroom.Trail, map[int64]int) error{t.addPlaces, t.addWaiting} {
		if err := add(ctx, out, bySeq); err != nil {
			return nil, err
		}
	}
	return out, t.addRemovals(ctx, out, keys)
}

func seqList(bySeq map[int64]int) string {
	seqs := make([]int64, 0, len(bySeq))
	for seq := range bySeq {
		seqs = append(seqs, seq)
	}
	return list(seqs)
}

// addPlaces adds where the messages lie or lay, and what is in quarantine of the
// same octets.
func (t trails) addPlaces(ctx context.Context, out []mailroom.Trail, bySeq map[int64]int) error {
	raws := map[string]int{}
	unmapped := false
	if err := each(ctx, t, func(r row) error {
		var seq int64
		var raw string
		var p mailroom.TrailPlace
		var mapped bool
		err := r.Scan(&seq, &raw, &p.MappingID, &p.RawName, &p.Folder, &p.UIDValidity, &p.UID, &p.Flags.Seen, &p.Flags.Flagged, &p.Flags.Answered,
			at(&p.SeenAt), at(&p.ReadAt), at(&p.ParsedAt), at(&p.StoredAt), at(&p.GoneAt), &p.OTYSFolder, &mapped)
		i := bySeq[seq]
		raws[raw] = i
		if !mapped {
			p.MappingID, unmapped = "", true
		}
		out[i].Places = append(out[i].Places, p)
		return err
	}, `SELECT p.message_seq, p.raw_hash, p.mapping_id, p.raw_name, COALESCE(a.name, f.name, p.raw_name), p.uid_validity, p.uid, p.seen, p.flagged, p.answered,
		  COALESCE((SELECT MIN(s.at) FROM sightings s WHERE s.mapping_id = p.mapping_id AND s.uid_validity = p.uid_validity
		    AND s.first_uid <= p.uid AND s.last_uid >= p.uid), 0),
		  p.read_at, p.parsed_at, p.created_at, p.gone_at, COALESCE(o.name, ''), a.id IS NOT NULL
		FROM placements p JOIN mailboxes b ON b.id = p.mailbox_id
		LEFT JOIN mappings a ON a.id = p.mapping_id
		LEFT JOIN folders f ON f.mailbox_id = p.mailbox_id AND f.raw_name = p.raw_name
		LEFT JOIN deliveries d ON d.otys_folder_id = a.otys_folder_id AND d.message_seq = p.message_seq
		LEFT JOIN otys_folders o ON o.id = d.otys_folder_id
		WHERE p.message_seq IN `+t.inNumbers("$1")+` AND b.user_id = $2 ORDER BY p.created_at, p.raw_name, p.uid_validity, p.uid`,
		seqList(bySeq), t.q.UserID); err != nil {
		return err
	}
	if unmapped {
		if err := t.addKept(ctx, out, bySeq); err != nil {
			return err
		}
	}
	hashes := make([]string, 0, len(raws))
	for raw := range raws {
		hashes = append(hashes, raw)
	}
	qs, err := all(ctx, t, scanQuarantine, `SELECT `+quarantineColumns+` FROM quarantine
		WHERE mailbox_id = $1 AND raw_hash <> '' AND raw_hash IN `+t.in("$2")+` ORDER BY created_at, id`, t.q.MailboxID, list(hashes))
	for _, q := range qs {
		i := raws[q.RawHash]
		out[i].Quarantine = append(out[i].Quarantine, q)
	}
	return err
}

// addKept names the OTYS folders of places whose mapping was taken away: its mail
// stayed, where no other place accounts for it.
func (t trails) addKept(ctx context.Context, out []mailroom.Trail, bySeq map[int64]int) error {
	names := map[int][]string{}
	if err := each(ctx, t, func(r row) error {
		var seq int64
		var name string
		err := r.Scan(&seq, &name)
		names[bySeq[seq]] = append(names[bySeq[seq]], name)
		return err
	}, `SELECT d.message_seq, o.name FROM deliveries d JOIN otys_folders o ON o.id = d.otys_folder_id
		WHERE d.message_seq IN `+t.inNumbers("$1")+` AND d.user_id = $2 ORDER BY o.name`, seqList(bySeq), t.q.UserID); err != nil {
		return err
	}
	for i, some := range names {
		others := slices.DeleteFunc(slices.Clone(some), func(name string) bool {
			return slices.ContainsFunc(out[i].Places, func(p mailroom.TrailPlace) bool { return p.OTYSFolder == name })
		})
		for k := range out[i].Places {
			if p := &out[i].Places[k]; p.MappingID == "" {
				p.OTYSFolder = append(others, some...)[0]
			}
		}
	}
	return nil
}

func (t trails) addWaiting(ctx context.Context, out []mailroom.Trail, bySeq map[int64]int) error {
	return each(ctx, t, func(r row) error {
		var seq int64
		var address string
		err := r.Scan(&seq, &address)
		out[bySeq[seq]].Waiting = append(out[bySeq[seq]].Waiting, address)
		return err
	}, `SELECT message_seq, address FROM choices WHERE message_seq IN `+t.inNumbers("$1")+` AND decided_at = 0 ORDER BY address`, seqList(bySeq))
}

// addRemovals tells from which folders the messages were taken out.
func (t trails) addRemovals(ctx context.Context, out []mailroom.Trail, keys map[string]int) error {
	digests := make([]string, 0, len(keys))
	for k := range keys {
		digests = append(digests, k)
	}
	return each(ctx, t, func(r row) error {
		cells := splitRow(r, 1, columnCount(removalColumns))
		v, err := scanRemoval(cells[1])
		if err != nil {
			return err
		}
		var key string
		if err := cells[0].Scan(&key); err != nil {
			return err
		}
		told, tr := false, &out[keys[key]]
		for i := range tr.Places {
			if p := &tr.Places[i]; p.MappingID == v.MappingID && p.OTYSFolder == "" {
				p.RemovedAt, told = v.At, true
			}
		}
		if !told {
			tr.Removed = append(tr.Removed, v)
		}
		return nil
	}, `SELECT t.key, `+removalColumns+` FROM mappings a JOIN tombstones t ON t.mapping_id = a.id AND t.key IN `+t.in("$1")+`
		WHERE a.mailbox_id = $2 ORDER BY t.at DESC`, list(digests), t.q.MailboxID)
}
