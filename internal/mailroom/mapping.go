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
	CreatedAt            time.Time
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
// quarantined + backlog, where only what is still on the server counts and the
// backlog is an explicit set, never a remainder.
type Progress struct {
	MappingID, MailboxID string
	Stage                Stage
	Cursor               Cursor
	Backlog              UIDSet // on the server, not yet stored, skipped or quarantined
	Skipped              UIDSet // older than the mapping's Since
	OnServer             int64
	Stored               int64
	Quarantined          int64
	CheckedAt            time.Time // when a check last proved that no unknown UID was there
	Problem              *Problem
	Failures             int       // in a row
	RetryAt              time.Time // not before
	// For the finish time: what this stretch of backfill began with.
	BackfillTotal   int64
	BackfillStarted time.Time
}

// SyncRun is one reading of one mapping as told to people afterwards.
type SyncRun struct {
	ID, OrgID, MailboxID, MappingID string
	StartedAt, EndedAt              time.Time
	Stored, Quarantined             int64
	Bytes                           int64
	Problem                         *Problem
}
