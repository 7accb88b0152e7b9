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
