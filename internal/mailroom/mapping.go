package mailroom

import "time"

// Mapping is one row of Mail - IMAP Folders Mapping: IMAP folder → OTYS
// folder. It is the person's; the machine's side is Progress.
type Mapping struct {
	ID, OrgID, MailboxID string
	RawName              string // IMAP folder, as in Folder.RawName
	Name                 string // decoded, kept so that a vanished folder can still be named
	OTYSFolderID         string
	Since                time.Time // mails received earlier are skipped; zero for no limit
	Paused               bool
	Removal              Removal
	Subfolders           bool   // and its subfolders, also future ones: each gets a row that follows this one
	ParentID             string // the mapping that this row follows, "" for one that a person made
	ObjectID             string // MAILBOXID (RFC 8474) of the folder as last listed, "" without
	// FollowedFrom is the folder's readable name before it was renamed or moved on
	// the server and found again; "" when it was not, or the person has seen it.
	FollowedFrom string
	FollowedAt   time.Time
	CreatedAt    time.Time
}

// MaxSubfolders bounds the rows of a mailbox that follow others. What is left out
// is told with the row that asks for it: see MappingRow.LeftOut.
const MaxSubfolders = 1000

// Removal is what becomes of a mail in OTYS that is removed from its IMAP folder.
type Removal string

const (
	RemovalKeep   Removal = "keep"   // it stays: the default
	RemovalRemove Removal = "remove" // it goes, and does not come back through this mapping
)

// Undo is a mapping that is being taken back: what it alone brought in leaves.
type Undo struct {
	MappingID, OrgID, MailboxID, UserID string
	OTYSFolderID                        string
	Name                                string // of the IMAP folder
	Total, Done                         int64  // placements
	Kept                                int64  // messages that stay, since something else brings them too
	StartedAt, FinishedAt               time.Time
}

// OTYSFolder is a folder of a user's OTYS mailbox.
type OTYSFolder struct {
	ID, OrgID, UserID string
	Name              string
	Role              FolderRole // inbox and sent are always there; "" for added ones
	Total, Unread     int64
	CreatedAt         time.Time
}

// Stage is where the machine is with a mapping.
type Stage string

const (
	StageIdle     Stage = "idle"     // nothing known to do
	StageListing  Stage = "listing"  // finding out what is there
	StageBackfill Stage = "backfill" // working through the backlog
)

// Progress is the machine's side of a mapping. On server = stored + skipped +
// dropped + quarantined + backlog, where only what is still on the server counts
// and the backlog is an explicit set, never a remainder.
type Progress struct {
	MappingID, MailboxID string
	Stage                Stage
	Cursor               Cursor
	Backlog              UIDSet // on the server, not yet stored, skipped or quarantined
	Skipped              UIDSet // older than the mapping's Since
	OnServer             int64
	Stored               int64
	Quarantined          int64
	Dropped              int64     // skipped because a person gave them up in quarantine
	CheckedAt            time.Time // when a check last proved that no unknown UID was there
	Problem              *Problem
	Failures             int       // in a row
	RetryAt              time.Time // not before
	// For the finish time: what this stretch of backfill began with.
	BackfillTotal   int64
	BackfillStarted time.Time
	BackfillBytes   int64     // octets read in this stretch
	BackfillEdge    time.Time // all mail received later than this is here; zero before the first
	RateMails       int64     // mails an hour, of late, pauses included; 0 when not known
	RateBytes       int64     // octets a second, of late
	ComparedAt      time.Time // when all UIDs were last compared
	FlagsEdge       uint32    // the slow scan of flags goes on below this UID; 0: at the top
	FlagsAt         time.Time // when that scan last came to the end
	// Sighted are UIDs that were seen for the first time since the row was last
	// written: written with it, never read.
	Sighted []Sighting
}

// Balanced reports whether the sum holds: every message on the server is
// accounted for.
func (p Progress) Balanced() bool { return p.OnServer == p.Accounted() }

// Accounted is how many messages on the server something is known of.
func (p Progress) Accounted() int64 {
	return p.Stored + p.Skipped.Len() + p.Dropped + p.Quarantined + p.Backlog.Len()
}

// Sighting says when a listing first showed UIDs. Those between First and Last
// that the listing lacked are not there.
type Sighting struct {
	UIDValidity uint32
	First, Last uint32
	At          time.Time
}

// FindingKind is what a comparison of server and ledger found.
type FindingKind string

const (
	// FoundMissed: UIDs below the cursor of which the ledger knew nothing. They
	// are backlog from then on; repaired when they are accounted for.
	FoundMissed FindingKind = "missed"
	// FoundBack: UIDs that two looks had shown to be gone are there again.
	FoundBack FindingKind = "back"
	// FoundShort: the folder counts more messages than it lists; repaired when
	// it does not any more.
	FoundShort FindingKind = "short"
)

// Finding is a difference between the server and the ledger.
type Finding struct {
	ID, OrgID, MailboxID, MappingID string
	Kind                            FindingKind
	At                              time.Time
	Count                           int64
	UIDs                            UIDSet
	RepairedAt                      time.Time // zero while it is not
}

// Held is what the store has of one generation of a folder, as UID sets that
// are still on the server.
type Held struct {
	Placed      UIDSet
	Quarantined UIDSet
	Dropped     UIDSet // given up by a person
}

// SyncRun is one reading of one mapping as told to people afterwards.
type SyncRun struct {
	ID, OrgID, MailboxID, MappingID string
	StartedAt, EndedAt              time.Time
	Stored, Quarantined             int64
	Bytes                           int64
	Problem                         *Problem
}
