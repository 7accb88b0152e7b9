package mailroom

import (
	"strconv"
	"strings"
	"time"
)

// What the store is asked for pages, and what it answers. These carry stored
// facts only; the portal makes views of them.

// Position is a place in a list sorted newest first: the row that has been
// shown last. The zero value is the top.
type Position struct {
	At  time.Time
	Seq int64
}

// IsZero reports whether the position is the top of the list.
func (p Position) IsZero() bool { return p.At.IsZero() && p.Seq == 0 }

// String is the position as a link carries it; "" for the top.
func (p Position) String() string {
	if p.IsZero() {
		return ""
	}
	return strconv.FormatInt(Micros(p.At), 36) + "." + strconv.FormatInt(p.Seq, 36)
}

// ParsePosition reads the form that String writes.
func ParsePosition(s string) (Position, bool) {
	if s == "" {
		return Position{}, true
	}
	at, seq, ok := strings.Cut(s, ".")
	us, err := strconv.ParseInt(at, 36, 64)
	n, err2 := strconv.ParseInt(seq, 36, 64)
	if !ok || err != nil || err2 != nil || n < 0 {
		return Position{}, false
	}
	return Position{At: FromMicros(us), Seq: n}, true
}

// MailboxRow is a mailbox with its owner and whether consent is there.
type MailboxRow struct {
	Mailbox  Mailbox
	Owner    User
	HasGrant bool
}

// Ready reports whether there is something to sign in with.
func (r MailboxRow) Ready() bool {
	return r.HasGrant || r.Mailbox.UsesPassword() && r.Mailbox.PasswordSet
}

// MappingRow is a mapping with all that is known of it.
type MappingRow struct {
	Mapping    Mapping
	Progress   Progress
	OTYSFolder OTYSFolder
	Gone       bool     // the folder is no longer listed by the server
	LeftOut    int      // subfolders that should follow it and do not, since there are too many
	LastRun    *SyncRun // nil when it has never been read
}

// MappingChange is the whole set of rows that a mailbox shall have.
type MappingChange struct {
	MailboxID, UserID string
	Version           int64 // Mailbox.MappingsVersion that the person saw
	Rows              []Mapping
}

// MailFilter picks a page of one user's mail.
type MailFilter struct {
	OrgID, UserID string
	FolderID      string // "" for every folder: each message once
	Search        string // words as typed; "" for none
	Unread        bool
	After         Position
	Limit         int
}

// MailLine is one message in a list.
type MailLine struct {
	Message  Message // without text
	Seq      int64
	FolderID string // "" when the viewer has it in no folder
	Unread   bool
	Sent     bool
	People   []PersonLink
	Choices  int // addresses that wait for a person's choice
}

// Position is where the line stands in its list.
func (l MailLine) Position() Position { return Position{At: l.Message.ReceivedAt, Seq: l.Seq} }

// PersonLink is a person to whom a message is linked.
type PersonLink struct {
	Person Person // without addresses
	Link   Link
}

// MailDetail is one message with everything around it.
type MailDetail struct {
	MailLine
	Folder  OTYSFolder // the viewer's; zero ID when the viewer has it in none
	Places  []MailPlace
	Waiting []WaitingChoice
}

// MailPlace is where a message came from.
type MailPlace struct {
	MailboxID, Address string
	Folder             string // decoded IMAP folder
	Gone               bool   // it no longer lies there
}

// WaitingChoice is an address of a message that belongs to several persons.
type WaitingChoice struct {
	Message    Message // ID, Subject, From, ReceivedAt
	Address    string
	Role       HeaderRole
	Candidates []Person // by name
	Others     int      // further messages of the viewer that wait for the same address
}

// ChoiceDecision is a person's answer to a WaitingChoice.
type ChoiceDecision struct {
	OrgID, UserID string
	MessageID     string
	Address       string
	PersonID      string // "" for none of them
	All           bool   // every message of the user that waits for the address
}

// PersonFilter picks a page of people.
type PersonFilter struct {
	OrgID         string
	Kind          PersonKind // "" for both
	Search        string     // part of name, company, reference or address
	Offset, Limit int
}

// PersonRow is one row of an import: a person as the file has them.
type PersonRow struct {
	Line   int // of the file
	Person Person
}

// PeopleImported is what one stretch of an import did.
type PeopleImported struct {
	Added, Updated, Unchanged int
	Linked                    int64
}
