package mailroom

import (
	"strings"
	"time"
)

// Sampled is what a folder tells of one message before anybody reads it.
type Sampled struct {
	UID          uint32
	Size         int64 // octets, RFC822.SIZE: an estimate at Exchange
	InternalDate time.Time
	// Header holds the From, To, Cc, Subject, Date and Message-ID fields as sent;
	// nil when they were not asked for.
	Header []byte
}

// FindTerms are what a mail on the server is looked for by; all that are set
// must hold. MessageID is compared whole, the others by a part of the field.
type FindTerms struct {
	MessageID string // with or without angle brackets
	Subject   string
	From      string
}

// Empty reports whether nothing is looked for.
func (t FindTerms) Empty() bool { return t == FindTerms{} }

// FolderPreview is what mapping a folder would bring, from headers only.
type FolderPreview struct {
	Messages       int64 // in the folder
	Matching       int64 // of them within the date limit
	Oldest, Newest time.Time
	Bytes          int64 // of those that match
	BytesExact     bool  // false: reckoned from a sample
	// Headers of the newest, at most 200, as Sampled.Header.
	Headers [][]byte
}

// FolderFind is what one folder answered to a question for a mail.
type FolderFind struct {
	RawName, Folder string
	UIDValidity     uint32
	UIDs            UIDSet    // that match
	Error           bool      // the folder could not be searched
	At              time.Time // zero: there was no time left for it
}

// CleanMessageID is the id in the value of a Message-ID field, without angle
// brackets; of several ids the first counts, and "" is none.
func CleanMessageID(s string) string {
	var id string
	if i := strings.IndexByte(s, '<'); i >= 0 && strings.IndexByte(s[i:], '>') > 0 {
		id = strings.TrimSpace(s[i+1 : i+strings.IndexByte(s[i:], '>')])
	} else if words := strings.Fields(strings.Trim(strings.TrimSpace(s), "<>")); len(words) > 0 {
		id = words[0]
	}
	return id[:min(len(id), 998)] // RFC 5322 §2.1.1: no line is longer
}

// MailboxLook is what a mailbox shows of itself at one moment, so that two
// sign-ins can be told to be the same mailbox or not.
type MailboxLook struct {
	Inbox FolderMark
	// Newest are the newest mails of the inbox, what each is recognized by, by UID.
	Newest map[uint32]string
	// Folders are the marks of its folders, the inbox left out, by raw name; those
	// beyond the first few have none.
	Folders map[string]FolderMark
}

// FolderMark is how a folder is numbered (RFC 3501 §2.3.1.1).
type FolderMark struct{ UIDValidity, UIDNext uint32 }

const (
	// lookSlack is how many mails may come into a folder between two looks.
	lookSlack = 20
	// lookProof is how many mails must ever have been there: two new mailboxes that
	// hold nothing but the same welcome look alike.
	lookProof = 25
)

// Same reports whether two looks prove that they saw the same mailbox. Exchange
// gives the inboxes of many people the same UIDVALIDITY, so that alone proves
// nothing.
func (l MailboxLook) Same(o MailboxLook) bool {
	if len(l.Folders) != len(o.Folders) || !l.Inbox.like(o.Inbox) {
		return false
	}
	ever := int64(l.Inbox.UIDNext)
	for name, mark := range l.Folders {
		other, there := o.Folders[name]
		if !there || !mark.like(other) {
			return false
		}
		ever += max(int64(mark.UIDNext)-1, 0)
	}
	for uid, id := range l.Newest {
		if other, there := o.Newest[uid]; there && other != id {
			return false
		}
	}
	return ever >= lookProof
}

func (m FolderMark) like(o FolderMark) bool {
	d := int64(m.UIDNext) - int64(o.UIDNext)
	return m.UIDValidity == o.UIDValidity && -lookSlack <= d && d <= lookSlack
}
