package mailroom

import "time"

// TrailQuery asks why a mail is, or is not, in OTYS. Text is a Message-ID, an
// address, or words of a subject, as pasted: see Sought.
type TrailQuery struct {
	OrgID, MailboxID string
	UserID           string // whose OTYS mailbox
	Text             string
	ID               string // of a message, in place of Text
	Limit            int
}

// Trail is what became of one message of a mailbox.
type Trail struct {
	Message    Message // zero ID when nothing of it is stored
	Places     []TrailPlace
	People     []PersonLink
	Waiting    []string // addresses that wait for a person's choice
	Quarantine []Quarantine
	Removed    []TrailRemoval // from folders of which no place is known any more
}

// TrailRemoval says that a message was taken out of OTYS because it had left an
// IMAP folder. It is all that is kept of a message that is nowhere else.
type TrailRemoval struct {
	MappingID string
	Folder    string // decoded
	At        time.Time
}

// TrailPlace is one place of the mailbox where the message lies, or lay. Times
// are zero where they are not known.
type TrailPlace struct {
	MappingID, RawName string // MappingID is "" when that row was taken away: its mail stayed
	Folder             string // decoded
	UIDValidity, UID   uint32
	SeenAt, ReadAt     time.Time
	ParsedAt, StoredAt time.Time
	GoneAt             time.Time
	OTYSFolder         string    // name; "" when it is in none
	RemovedAt          time.Time // taken out of the OTYS folder because it left the IMAP folder
	Flags              Flags
}
