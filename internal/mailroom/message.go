package mailroom

import "time"

// Address is one address of a header, the address part as written.
type Address struct {
	Name string `json:"name,omitempty"`
	Addr string `json:"addr"`
}

// HeaderRole is the header in which an address stood.
type HeaderRole string

const (
	RoleFrom HeaderRole = "from"
	RoleTo   HeaderRole = "to"
	RoleCc   HeaderRole = "cc"
	RoleBcc  HeaderRole = "bcc"
)

// Attachment describes a part that a person would save. Part is its path in
// the MIME tree ("2", "1.3"), which envelope opens again from the raw mail.
type Attachment struct {
	Part   string `json:"part"`
	Name   string `json:"name"` // safe: no path, no control characters
	Type   string `json:"type"` // media type, lower case
	Size   int64  `json:"size"` // octets, decoded; an estimate from the encoded length
	Inline bool   `json:"inline,omitempty"`
	CID    string `json:"cid,omitempty"` // Content-ID without brackets
}

// Message is one mail as parsed. It is kept once per organization however many
// folders and mailboxes it lies in.
type Message struct {
	ID, OrgID  string
	MessageID  string // without angle brackets, "" when the mail has none
	BodyHash   string // hex SHA-256 of the canonical body (all but the header block)
	RawHash    string // hex SHA-256 of the raw bytes first seen
	Size       int64  // octets of those
	Subject    string
	From       []Address
	To         []Address
	Cc         []Address
	Bcc        []Address
	ReplyTo    []Address
	Date       time.Time // Date header; zero when missing or unreadable
	ReceivedAt time.Time // INTERNALDATE, or Date, or first seen: what lists sort by
	InReplyTo  string
	References []string
	Snippet    string // first ~140 characters of the text, on one line
	Text       string // for the index only: body text without quoted replies; not kept in the row
	HasHTML    bool
	// Attachments without those that HTML shows inline.
	Attachments []Attachment
}

// Key is what makes two copies one message within an organization: equal
// Message-ID and equal body hash; without a Message-ID the raw hash decides.
func (m Message) Key() string {
	if m.MessageID == "" {
		return "raw:" + m.RawHash
	}
	return m.BodyHash + ":" + m.MessageID
}

// Flags are the source's flags that Mailroom follows.
type Flags struct {
	Seen, Flagged, Answered, Deleted, Draft bool
}

// Placement is where a message lies: one UID of one generation of one folder.
type Placement struct {
	ID, MailboxID, MappingID string
	RawName                  string
	UIDValidity, UID         uint32
	Flags                    Flags
	ModSeq                   uint64
	ObjectID                 string    // X-GM-MSGID or EMAILID, "" without
	ReadAt, ParsedAt         time.Time // when its octets had come, and when they were understood
}

// FetchedMail is one message as it came over the wire.
type FetchedMail struct {
	UID          uint32
	Flags        Flags
	InternalDate time.Time
	Size         int64 // octets of Raw
	ModSeq       uint64
	ObjectID     string // X-GM-MSGID or EMAILID, "" without
	// Raw is valid until Release. nil when the server sent none: see Refused.
	Raw []byte
	// Refused says why there is no Raw: "empty" (OK without data), "too_large",
	// "placeholder" (Exchange's note in place of the mail; Raw holds the note).
	Refused string
	Release func()
}

// FlagChange is the source's word on the flags of one UID.
type FlagChange struct {
	UID    uint32
	Flags  Flags
	ModSeq uint64
}

// BlobRef says where raw bytes lie. Pack is "" where the database keeps them.
type BlobRef struct {
	Hash   string // hex SHA-256 of the raw bytes
	Pack   string
	Offset int64
	Length int64 // stored octets
	Size   int64 // raw octets
	Codec  string
}

// Quarantine is a message that could not be filed, with the reason.
type Quarantine struct {
	ID, OrgID, MailboxID, MappingID string
	RawName                         string
	UIDValidity, UID                uint32
	RawHash                         string // "" when there are no raw bytes
	Size                            int64
	Reason                          Problem
	Attempts                        int
	RetryAt                         time.Time
	CreatedAt                       time.Time
	GoneAt                          time.Time // no longer on the server; the raw copy is kept
	DroppedAt                       time.Time // given up by a person
	DroppedBy, DroppedReason        string
	Version                         string // of the program that tried last
}

// Copy is a message on the server that the mailbox is known to have, by its
// object id, without its octets being read once more.
type Copy struct {
	Placement  Placement // with ObjectID
	ReceivedAt time.Time
}

// Mail is one fetched message on its way into the store.
type Mail struct {
	Message   Message
	Placement Placement
	Blob      BlobRef
}

// Batch is what one transaction files: mails and the progress that has passed
// them.
type Batch struct {
	Mapping     Mapping
	Owner       string // the mailbox's address: mail from it is sent mail
	UserID      string // whose OTYS mailbox
	Mails       []Mail
	Copies      []Copy
	Quarantined []Quarantine
	Blobs       []BlobRef // of quarantined raw mails too
	Progress    Progress
}
