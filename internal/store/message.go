package store

import (
	"context"
	"strings"

	"mailroom/internal/mailroom"
)

// Mails returns a page of a user's mail, newest first, beginning below f.After.
func (s *Store) Mails(ctx context.Context, f mailroom.MailFilter) (lines []mailroom.MailLine, err error) {
	q := s.read()
	text, args, err := s.mailsQuery(ctx, q, f)
	if err != nil || text == "" {
		return nil, err
	}
	if lines, err = all(ctx, q, scanDelivered, text, args...); err != nil {
		return nil, err
	}
	return lines, addPeople(ctx, q, lines)
}

// fewMatches is up to how many matches of a search are fetched one by one and
// sorted; beyond it the list is walked newest first until the page is full.
const fewMatches = 2000

// mailsQuery is the text of a list; "" when nothing can match.
func (s *Store) mailsQuery(ctx context.Context, q runner, f mailroom.MailFilter) (text string, args []any, err error) {
	arg := func(v any) string {
		args = append(args, v)
		return argument(len(args))
	}
	where := []string{`m.seq = d.message_seq`, `d.user_id = ` + arg(f.UserID)}
	index := "deliveries_by_user"
	if f.FolderID == "" {
		// A message that lies in several folders is shown once.
		where = append(where, `NOT EXISTS (SELECT 1 FROM deliveries e WHERE e.message_seq = d.message_seq AND e.user_id = d.user_id
			AND e.otys_folder_id < d.otys_folder_id)`)
	} else {
		where, index = append(where, `d.otys_folder_id = `+arg(f.FolderID)), "deliveries_newest"
	}
	if f.Unread {
		where, index = append(where, `d.unread`), "deliveries_unread"
	}
	if !f.After.IsZero() {
		where = append(where, `(d.received_at, d.message_seq) < (`+arg(mailroom.Micros(f.After.At))+`, `+arg(f.After.Seq)+`)`)
	}
	if strings.TrimSpace(f.Search) != "" {
		cond, match, ok := s.searchCond("d.message_seq", argument(len(args)+1), f.Search)
		if !ok {
			return "", nil, nil
		}
		hits, err := s.searchHits(ctx, q, match)
		if err != nil || len(hits) == 0 {
			return "", nil, err
		}
		if len(hits) <= fewMatches {
			where, index = append(where, `d.message_seq IN `+s.inNumbers(arg(list(hits)))), "deliveries_by_message"
		} else {
			where = append(where, cond)
			arg(match)
		}
	}
	return `SELECT d.otys_folder_id, d.message_seq, d.received_at, d.unread, d.sent, ` + prefixed("m", messageColumns) + `
		FROM deliveries d` + s.indexedBy(index) + ` CROSS JOIN messages m WHERE ` + strings.Join(where, " AND ") + `
		ORDER BY d.received_at DESC, d.message_seq DESC LIMIT ` + arg(f.Limit), args, nil
}

// searchHits are the messages that match a search, as searchCond wrote it, but
// not more than fewMatches and one. No planner can tell a word that is in every
// mail from one that is in none, so they are counted.
func (s *Store) searchHits(ctx context.Context, q runner, match string) ([]int64, error) {
	cond := `message_fts MATCH $1`
	if s.pg {
		cond = `vector @@ to_tsquery('simple', $1)`
	}
	return values[int64](ctx, q, `SELECT rowid FROM message_fts WHERE `+cond+` LIMIT $2`, match, fewMatches+1)
}

// scanDelivered reads a delivery's folder, seq, time and marks, then
// messageColumns. A list goes by the time of the delivery.
func scanDelivered(r row) (l mailroom.MailLine, err error) {
	cells := splitRow(r, 5, columnCount(messageColumns))
	if l.Message, err = scanMessage(cells[1]); err != nil {
		return l, err
	}
	err = cells[0].Scan(&l.FolderID, &l.Seq, at(&l.Message.ReceivedAt), &l.Unread, &l.Sent)
	return l, err
}

// addPeople adds to a page who its messages are linked to, and how many
// addresses of each wait for a choice.
func addPeople(ctx context.Context, q runner, lines []mailroom.MailLine) error {
	if len(lines) == 0 {
		return nil
	}
	seqs, bySeq := make([]int64, len(lines)), map[int64][]int{}
	for i, l := range lines {
		seqs[i] = l.Seq
		bySeq[l.Seq] = append(bySeq[l.Seq], i)
	}
	in := q.dialect().inNumbers("$1")
	err := each(ctx, q, func(r row) error {
		var seq int64
		var l mailroom.PersonLink
		err := r.Scan(&seq, &l.Person.ID, &l.Person.OrgID, &l.Person.Kind, &l.Person.Name, &l.Person.Company, &l.Person.Reference,
			&l.Link.Address, &l.Link.Role, &l.Link.Reason, &l.Link.MadeBy, at(&l.Link.CreatedAt))
		for _, i := range bySeq[seq] {
			l.Link.MessageID, l.Link.PersonID = lines[i].Message.ID, l.Person.ID
			lines[i].People = append(lines[i].People, l)
		}
		return err
	}, `SELECT l.message_seq, p.id, p.org_id, p.kind, p.name, p.company, p.reference, l.address, l.role, l.reason, l.made_by, l.created_at
		FROM links l JOIN persons p ON p.id = l.person_id WHERE l.message_seq IN `+in+` AND l.removed_at = 0 ORDER BY p.search, p.id`, list(seqs))
	if err != nil {
		return err
	}
	return each(ctx, q, func(r row) error {
		var seq int64
		var n int
		err := r.Scan(&seq, &n)
		for _, i := range bySeq[seq] {
			lines[i].Choices = n
		}
		return err
	}, `SELECT message_seq, COUNT(*) FROM choices WHERE message_seq IN `+in+` AND decided_at = 0 GROUP BY message_seq`, list(seqs))
}

// Mail returns one message with everything around it: one that the user has in
// a folder, or, if shared, one that is linked to anybody. It is looked for
// nowhere else.
func (s *Store) Mail(ctx context.Context, orgID, userID string, shared bool, id string) (d mailroom.MailDetail, err error) {
	err = s.view(ctx, func(q runner) error {
		if d, err = findMail(ctx, q, orgID, userID, shared, id); err != nil {
			return err
		}
		lines := []mailroom.MailLine{d.MailLine}
		if err := addPeople(ctx, q, lines); err != nil {
			return err
		}
		d.MailLine = lines[0]
		owner := userID
		if d.FolderID == "" {
			owner = "" // a colleague's
		}
		if d.Places, err = mailPlaces(ctx, q, orgID, owner, d.Seq); err != nil {
			return err
		}
		if owner != "" {
			d.Waiting, err = waitingChoices(ctx, q, orgID, userID, id, 100)
		}
		return err
	})
	return d, err
}

func findMail(ctx context.Context, q runner, orgID, userID string, shared bool, id string) (d mailroom.MailDetail, err error) {
	d, err = one(ctx, q, func(r row) (v mailroom.MailDetail, err error) {
		cells := splitRow(r, 5, columnCount(messageColumns), columnCount(otysFolderColumns))
		if v.Message, err = scanMessage(cells[1]); err != nil {
			return v, err
		}
		if v.Folder, err = scanOTYSFolder(cells[2]); err != nil {
			return v, err
		}
		err = cells[0].Scan(&v.FolderID, &v.Seq, at(&v.Message.ReceivedAt), &v.Unread, &v.Sent)
		return v, err
	}, `SELECT d.otys_folder_id, d.message_seq, d.received_at, d.unread, d.sent, `+prefixed("m", messageColumns)+`, `+prefixed("f", otysFolderColumns)+`
		FROM messages m JOIN deliveries d ON d.message_seq = m.seq AND d.user_id = $3 JOIN otys_folders f ON f.id = d.otys_folder_id
		WHERE m.id = $1 AND m.org_id = $2 ORDER BY d.otys_folder_id LIMIT 1`, id, orgID, userID)
	if !shared || mailroom.KindOf(err) != mailroom.NotFound {
		return d, err
	}
	return one(ctx, q, func(r row) (v mailroom.MailDetail, err error) {
		cells := splitRow(r, 1, columnCount(messageColumns))
		if v.Message, err = scanMessage(cells[1]); err != nil {
			return v, err
		}
		err = cells[0].Scan(&v.Seq)
		return v, err
	}, `SELECT m.seq, `+prefixed("m", messageColumns)+` FROM messages m WHERE m.id = $1 AND m.org_id = $2
		AND EXISTS (SELECT 1 FROM links l WHERE l.message_seq = m.seq AND l.removed_at = 0)`, id, orgID)
}

// mailPlaces are the folders in which a message lies or lay: those of one
// owner's mailboxes, or of the whole organization's for owner "".
func mailPlaces(ctx context.Context, q runner, orgID, owner string, seq int64) ([]mailroom.MailPlace, error) {
	return all(ctx, q, func(r row) (p mailroom.MailPlace, err error) {
		err = r.Scan(&p.MailboxID, &p.Address, &p.Folder, &p.Gone)
		return p, err
	}, `SELECT b.id, b.address, COALESCE(f.name, p.raw_name), MIN(CASE WHEN p.gone_at <> 0 THEN 1 ELSE 0 END) = 1
		FROM placements p JOIN mailboxes b ON b.id = p.mailbox_id
		LEFT JOIN folders f ON f.mailbox_id = p.mailbox_id AND f.raw_name = p.raw_name
		WHERE p.message_seq = $1 AND b.org_id = $2 AND ($3 = '' OR b.user_id = $3)
		GROUP BY b.id, b.address, COALESCE(f.name, p.raw_name) ORDER BY 2, 3`, seq, orgID, owner)
}

// MarkRead marks a message read or unread in all folders of a user. NotFound
// when they have it in none.
func (s *Store) MarkRead(ctx context.Context, userID, id string, read bool) error {
	return s.tx(ctx, func(t *tx) error {
		seq, err := value[int64](ctx, t, `SELECT m.seq FROM messages m WHERE m.id = $1
			AND EXISTS (SELECT 1 FROM deliveries d WHERE d.message_seq = m.seq AND d.user_id = $2)`, id, userID)
		if err != nil {
			return err
		}
		t.notify(TopicUser(userID))
		return t.setUnread(ctx, userID, []int64{seq}, !read)
	})
}

// PersonMails returns a page of the mail that is linked to a person, newest
// first: the user's own, or, if shared, everybody's.
func (s *Store) PersonMails(ctx context.Context, orgID, userID, personID string, shared bool, after mailroom.Position, limit int) ([]mailroom.MailLine, error) {
	args := []any{personID, orgID, userID, limit}
	where := ""
	if !shared {
		where = ` AND d.user_id IS NOT NULL`
	}
	if !after.IsZero() {
		where += ` AND (l.received_at, l.message_seq) < ($5, $6)`
		args = append(args, mailroom.Micros(after.At), after.Seq)
	}
	q := s.read()
	lines, err := all(ctx, q, scanDelivered, `SELECT COALESCE(d.otys_folder_id, ''), l.message_seq, l.received_at,
		  COALESCE(d.unread, FALSE), COALESCE(d.sent, l.role <> 'from'), `+prefixed("m", messageColumns)+`
		FROM links l JOIN messages m ON m.seq = l.message_seq
		LEFT JOIN deliveries d ON d.message_seq = l.message_seq AND d.user_id = $3
		  AND NOT EXISTS (SELECT 1 FROM deliveries e WHERE e.message_seq = d.message_seq AND e.user_id = d.user_id AND e.otys_folder_id < d.otys_folder_id)
		WHERE l.person_id = $1 AND l.org_id = $2 AND l.removed_at = 0`+where+`
		ORDER BY l.received_at DESC, l.message_seq DESC LIMIT $4`, args...)
	if err != nil {
		return nil, err
	}
	return lines, addPeople(ctx, q, lines)
}
