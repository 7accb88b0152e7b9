package portal

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"
	"unicode"

	"mailroom/internal/envelope"
	"mailroom/internal/mailroom"
)

// AllFolders is MailQuery.FolderID for mail of every folder.
const AllFolders = "all"

// Mails is a page of the user's OTYS mailbox. Without a folder it is the inbox,
// or, when something is searched for, all folders.
func (p *Portal) Mails(ctx context.Context, u mailroom.User, q MailQuery) (MailList, error) {
	v := MailList{Query: q}
	after, ok := mailroom.ParsePosition(q.Before)
	if !ok {
		return v, notFound()
	}
	if err := p.mailboxHead(ctx, u, &v); err != nil {
		return v, err
	}
	if err := v.choose(q); err != nil {
		return v, err
	}
	if q.Limit <= 0 || q.Limit > 200 {
		q.Limit = 50
	}
	lines, err := p.d.Store.Mails(ctx, mailroom.MailFilter{
		OrgID: u.OrgID, UserID: u.ID, FolderID: v.Current.ID,
		Search: q.Search, Unread: q.Unread, After: after, Limit: q.Limit + 1,
	})
	if err != nil {
		return v, err
	}
	v.Rows, v.Next = mailRows(lines, q.Limit)
	return v, nil
}

// choose finds the folder that the query is about.
func (v *MailList) choose(q MailQuery) error {
	if q.FolderID == AllFolders || q.FolderID == "" && strings.TrimSpace(q.Search) != "" {
		return nil
	}
	i := slices.IndexFunc(v.Folders, func(f mailroom.OTYSFolder) bool {
		if q.FolderID == "" {
			return f.Role == mailroom.RoleInbox
		}
		return f.ID == q.FolderID
	})
	if i < 0 {
		return notFound()
	}
	v.Current = v.Folders[i]
	return nil
}

// mailboxHead fills what stands around the list: folders, and what is going on
// at the source.
func (p *Portal) mailboxHead(ctx context.Context, u mailroom.User, v *MailList) (err error) {
	if v.Folders, err = p.d.Store.OTYSFolders(ctx, u.ID); err != nil {
		return err
	}
	row, err := p.mailboxOf(ctx, u)
	if err != nil {
		return err
	}
	v.Mailbox, v.State = row.Mailbox, mailroom.StateNotSetUp
	if row.Mailbox.ID != "" {
		if v.Mappings, err = p.mappingRows(ctx, row.Mailbox.ID); err != nil {
			return err
		}
		v.State = mailroom.MailboxState(row.Mailbox, row.Ready(), statesOf(v.Mappings))
		v.Mappings = p.under(ctx, row, v.Mappings)
	}
	v.OpenChoices, v.Quarantined, err = p.d.Store.Waiting(ctx, u.OrgID, u.ID)
	return err
}

// mailRows makes a page of at most limit rows, and the position of the next one.
func mailRows(lines []mailroom.MailLine, limit int) (rows []MailRow, next string) {
	if len(lines) > limit {
		lines = lines[:limit]
		next = lines[limit-1].Position().String()
	}
	for _, l := range lines {
		rows = append(rows, MailRow{
			ID: l.Message.ID, FolderID: l.FolderID, Subject: l.Message.Subject, Snippet: l.Message.Snippet,
			From: l.Message.From, To: l.Message.To, Sent: l.Sent, ReceivedAt: l.Message.ReceivedAt, Unread: l.Unread,
			HasAttachments: len(l.Message.Attachments) > 0, People: chips(l.People), Choices: l.Choices,
		})
	}
	return rows, next
}

func chips(links []mailroom.PersonLink) []PersonChip {
	var out []PersonChip
	for _, l := range links {
		out = append(out, PersonChip{
			ID: l.Person.ID, Name: l.Person.Name, Kind: l.Person.Kind, Reason: l.Link.Reason, Address: l.Link.Address,
		})
	}
	return out
}

// mail is a message that the user may read: one's own, or one that is linked to
// a person when the organization shares those.
func (p *Portal) mail(ctx context.Context, u mailroom.User, id string) (mailroom.MailDetail, error) {
	org, err := p.d.Store.Organization(ctx, u.OrgID)
	if err != nil {
		return mailroom.MailDetail{}, err
	}
	return p.d.Store.Mail(ctx, u.OrgID, u.ID, org.ShareLinkedMail, id)
}

// Mail is the page of one message. It does not mark it read.
func (p *Portal) Mail(ctx context.Context, u mailroom.User, id string) (MailPage, error) {
	d, err := p.mail(ctx, u, id)
	if err != nil {
		return MailPage{}, err
	}
	v := MailPage{
		Message: d.Message, Folder: d.Folder, Unread: d.Unread, Sent: d.Sent, People: chips(d.People),
		Shared: d.Folder.ID == "", HasHTML: d.Message.HasHTML,
	}
	for _, pl := range d.Places {
		v.Places = append(v.Places, Place{Mailbox: pl.Address, Folder: pl.Folder, Gone: pl.Gone})
	}
	for _, w := range d.Waiting {
		v.Choices = append(v.Choices, choice(w))
	}
	if !v.Shared {
		if v.Trail, err = p.trailOf(ctx, u, id); err != nil {
			return v, err
		}
	}
	raw, err := p.d.RawMail(ctx, u.OrgID, d.Message.RawHash)
	if err == nil {
		v.Text, err = envelope.Text(raw)
	}
	if err == nil && v.HasHTML {
		_, v.HasRemote, err = envelope.HTML(raw, envelope.HTMLOptions{})
	}
	if err != nil {
		if ctx.Err() != nil {
			return v, mailroom.AsError(err)
		}
		// What is in the database is still worth a page.
		p.d.Log.Error("raw mail cannot be shown", "message", id, "error", err)
		v.Unreadable, v.HasHTML = true, false
	}
	return v, nil
}

// MarkRead sets whether the user has read a message of their own. It changes
// nothing at the source.
func (p *Portal) MarkRead(ctx context.Context, u mailroom.User, id string, read bool) error {
	return p.d.Store.MarkRead(ctx, u.ID, id, read)
}

// MailHTML is the message's HTML as a document of its own, safe to show in a
// sandboxed frame. NotFound when it has none.
func (p *Portal) MailHTML(ctx context.Context, u mailroom.User, id string, remoteImages bool) ([]byte, error) {
	_, raw, err := p.raw(ctx, u, id)
	if err != nil {
		return nil, err
	}
	doc, _, err := envelope.HTML(raw, envelope.HTMLOptions{RemoteImages: remoteImages})
	if err == nil && doc == nil {
		err = notFound()
	}
	if err != nil {
		return nil, mailroom.AsError(err)
	}
	return doc, nil
}

// RawMail is the message as it came.
func (p *Portal) RawMail(ctx context.Context, u mailroom.User, id string) (Download, error) {
	d, raw, err := p.raw(ctx, u, id)
	if err != nil {
		return Download{}, err
	}
	return download(fileName(d.Message.Subject)+".eml", "message/rfc822", raw), nil
}

// Attachment is one attachment of the message, decoded.
func (p *Portal) Attachment(ctx context.Context, u mailroom.User, id string, part string) (Download, error) {
	_, raw, err := p.raw(ctx, u, id)
	if err != nil {
		return Download{}, err
	}
	a, data, err := envelope.OpenPart(raw, part)
	if err != nil {
		return Download{}, mailroom.AsError(err)
	}
	return download(a.Name, a.Type, data), nil
}

func (p *Portal) raw(ctx context.Context, u mailroom.User, id string) (mailroom.MailDetail, []byte, error) {
	d, err := p.mail(ctx, u, id)
	if err != nil {
		return d, nil, err
	}
	raw, err := p.d.RawMail(ctx, u.OrgID, d.Message.RawHash)
	if err != nil {
		return d, nil, mailroom.AsError(err)
	}
	return d, raw, nil
}

func download(name, mediaType string, data []byte) Download {
	return Download{Name: name, Type: mediaType, Size: int64(len(data)), Body: io.NopCloser(bytes.NewReader(data))}
}

// fileName makes a subject fit for a file name on every system.
func fileName(subject string) string {
	name := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune(" -_.,()", r) {
			return r
		}
		return '_'
	}, subject)
	name = strings.Trim(strings.Join(strings.Fields(name), " "), " .")
	if runes := []rune(name); len(runes) > 80 {
		name = strings.Trim(string(runes[:80]), " .")
	}
	if name == "" {
		return "mail"
	}
	return name
}
