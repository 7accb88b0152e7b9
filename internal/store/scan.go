package store

import "mailroom/internal/mailroom"

// Columns and scan functions of rows that both the person's and the machine's
// queries read. Where tables are joined: prefixed("m", mailboxColumns).

const mailboxColumns = `id, org_id, user_id, address, account, provider_id, host, port, tls, password_key <> '',
	paused, problem, mappings_version, folders_listed_at, wanted, done, created_at, retired_at`

func scanMailbox(r row) (m mailroom.Mailbox, err error) {
	err = r.Scan(&m.ID, &m.OrgID, &m.UserID, &m.Address, &m.Account, &m.ProviderID, &m.IMAP.Host, &m.IMAP.Port, &m.IMAP.TLS,
		&m.PasswordSet, &m.Paused, asJSON(&m.Problem), &m.MappingsVersion, at(&m.FoldersListedAt), &m.Wanted, &m.Done,
		at(&m.CreatedAt), at(&m.RetiredAt))
	return m, err
}

const mappingColumns = `id, org_id, mailbox_id, raw_name, name, otys_folder_id, since, paused, removal,
	subfolders, parent_id, object_id, followed_from, followed_at, created_at`

func scanMapping(r row) (m mailroom.Mapping, err error) {
	err = r.Scan(&m.ID, &m.OrgID, &m.MailboxID, &m.RawName, &m.Name, &m.OTYSFolderID, at(&m.Since), &m.Paused, &m.Removal,
		&m.Subfolders, &m.ParentID, &m.ObjectID, &m.FollowedFrom, at(&m.FollowedAt), at(&m.CreatedAt))
	return m, err
}

const progressColumns = `mapping_id, mailbox_id, stage, uid_validity, uid_next, highest_modseq, backlog, skipped,
	on_server, stored, quarantined, checked_at, problem, failures, retry_at, backfill_total, backfill_started, dropped,
	compared_at, flags_edge, flags_at, backfill_bytes, backfill_edge, rate_mails, rate_bytes`

func scanProgress(r row) (p mailroom.Progress, err error) {
	err = r.Scan(&p.MappingID, &p.MailboxID, &p.Stage, &p.Cursor.UIDValidity, &p.Cursor.UIDNext, &p.Cursor.HighestModSeq,
		uidSet{&p.Backlog}, uidSet{&p.Skipped}, &p.OnServer, &p.Stored, &p.Quarantined, at(&p.CheckedAt), asJSON(&p.Problem),
		&p.Failures, at(&p.RetryAt), &p.BackfillTotal, at(&p.BackfillStarted), &p.Dropped,
		at(&p.ComparedAt), &p.FlagsEdge, at(&p.FlagsAt), &p.BackfillBytes, at(&p.BackfillEdge), &p.RateMails, &p.RateBytes)
	return p, err
}

const folderColumns = `mailbox_id, raw_name, name, path, delimiter, role, selectable, messages, unseen, size,
	uid_validity, uid_next, object_id, listed_at, gone_at`

func scanFolder(r row) (f mailroom.Folder, err error) {
	err = r.Scan(&f.MailboxID, &f.RawName, &f.Name, asJSON(&f.Path), &f.Delimiter, &f.Role, &f.Selectable, &f.Messages,
		&f.Unseen, &f.Size, &f.UIDValidity, &f.UIDNext, &f.ObjectID, at(&f.ListedAt), at(&f.GoneAt))
	return f, err
}

const userColumns = `id, org_id, email, name, role, password_hash, language, disabled_at, session_epoch, created_at`

func scanUser(r row) (u mailroom.User, err error) {
	err = r.Scan(&u.ID, &u.OrgID, &u.Email, &u.Name, &u.Role, &u.PasswordHash, &u.Language, at(&u.DisabledAt),
		&u.SessionEpoch, at(&u.CreatedAt))
	return u, err
}

const runColumns = `id, org_id, mailbox_id, mapping_id, started_at, ended_at, stored, quarantined, bytes, problem`

func scanRun(r row) (v mailroom.SyncRun, err error) {
	err = r.Scan(&v.ID, &v.OrgID, &v.MailboxID, &v.MappingID, at(&v.StartedAt), at(&v.EndedAt), &v.Stored, &v.Quarantined,
		&v.Bytes, asJSON(&v.Problem))
	return v, err
}

const quarantineColumns = `id, org_id, mailbox_id, mapping_id, raw_name, uid_validity, uid, raw_hash, size, reason,
	attempts, retry_at, created_at, gone_at, dropped_at, dropped_by, dropped_reason, version`

func scanQuarantine(r row) (v mailroom.Quarantine, err error) {
	err = r.Scan(&v.ID, &v.OrgID, &v.MailboxID, &v.MappingID, &v.RawName, &v.UIDValidity, &v.UID, &v.RawHash, &v.Size,
		asJSON(&v.Reason), &v.Attempts, at(&v.RetryAt), at(&v.CreatedAt), at(&v.GoneAt), at(&v.DroppedAt), &v.DroppedBy,
		&v.DroppedReason, &v.Version)
	return v, err
}

// headers is the JSON of messages.headers.
type headers struct {
	From       []mailroom.Address `json:"from,omitempty"`
	To         []mailroom.Address `json:"to,omitempty"`
	Cc         []mailroom.Address `json:"cc,omitempty"`
	Bcc        []mailroom.Address `json:"bcc,omitempty"`
	ReplyTo    []mailroom.Address `json:"reply_to,omitempty"`
	InReplyTo  string             `json:"in_reply_to,omitempty"`
	References []string           `json:"references,omitempty"`
}

const messageColumns = `id, org_id, message_id, raw_hash, size, subject, headers, date, received_at, snippet,
	has_html, attachments`

// scanMessage reads messageColumns. BodyHash and Text are not kept.
func scanMessage(r row) (m mailroom.Message, err error) {
	var h headers
	err = r.Scan(&m.ID, &m.OrgID, &m.MessageID, &m.RawHash, &m.Size, &m.Subject, asJSON(&h), at(&m.Date), at(&m.ReceivedAt),
		&m.Snippet, &m.HasHTML, asJSON(&m.Attachments))
	m.From, m.To, m.Cc, m.Bcc, m.ReplyTo, m.InReplyTo, m.References = h.From, h.To, h.Cc, h.Bcc, h.ReplyTo, h.InReplyTo, h.References
	return m, err
}

// uidSet is a TEXT column that holds a set of UIDs.
type uidSet struct{ set *mailroom.UIDSet }

func (u uidSet) Scan(v any) (err error) {
	text, ok := v.(string)
	if !ok {
		return errColumn("uid set", v)
	}
	*u.set, err = mailroom.ParseUIDSet(text)
	return err
}
