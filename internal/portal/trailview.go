package portal

import (
	"time"

	"mailroom/internal/mailroom"
)

// TrailForm asks why a mail is, or is not, in OTYS.
type TrailForm struct {
	Text string // Message-ID, address or words of the subject, as pasted
	Look bool   // look in the mailbox itself, too
}

// TrailPage is the answer.
type TrailPage struct {
	Mailbox mailroom.Mailbox // zero ID when the user has none yet
	Owner   mailroom.User
	// Blind: somebody else's mailbox is asked about. Rows then say when and where
	// and nothing of what the mail is or whose.
	Blind bool
	Text  string
	Asked bool
	Rows  []TrailRow
	More  bool // there are more than Rows
	// Folders are the mapped ones, and how far each is accounted for.
	Folders []MappingRow
	// Looked: the mailbox itself was asked, with these answers.
	Looked  bool
	Found   []TrailFind
	Search  []mailroom.FolderFind // what was searched, or not, in the order of the server's list
	Problem *mailroom.Problem     // why it could not be looked into
}

// TrailEnd is where a mail's trail has led to, in one word.
type TrailEnd string

const (
	TrailStored     TrailEnd = "stored"      // it is in an OTYS folder
	TrailKept       TrailEnd = "kept"        // it left the mailbox and stays in OTYS
	TrailRemoved    TrailEnd = "removed"     // it left the mailbox, and OTYS with it
	TrailNotFiled   TrailEnd = "not_filed"   // known, but in no OTYS folder
	TrailQuarantine TrailEnd = "quarantined" // set aside
	TrailGivenUp    TrailEnd = "given_up"    // set aside, and given up by a person
)

// TrailRow is what became of one mail.
type TrailRow struct {
	ID         string // of the message, "" when nothing of it is stored, or it is not shown
	Subject    string
	From       []mailroom.Address
	ReceivedAt time.Time
	End        TrailEnd
	Steps      []TrailStep // by time
	Seen       bool        // read in the mailbox
	OnServer   bool        // it lies in the mailbox still, so Seen is known
}

// TrailStepKind says what happened. Steps without a time stand at the end: they
// are how things are now.
type TrailStepKind string

const (
	StepSeen        TrailStepKind = "seen"
	StepRead        TrailStepKind = "read"
	StepParsed      TrailStepKind = "parsed"
	StepStored      TrailStepKind = "stored"
	StepNotFiled    TrailStepKind = "not_filed"
	StepLinked      TrailStepKind = "linked"
	StepHand        TrailStepKind = "linked_by_hand"
	StepLinkedBlind TrailStepKind = "linked_blind"
	StepWaiting     TrailStepKind = "waiting"
	StepWaitBlind   TrailStepKind = "waiting_blind"
	StepMoved       TrailStepKind = "moved"
	StepLeft        TrailStepKind = "left"
	StepRemoved     TrailStepKind = "removed"
	StepRemovedFrom TrailStepKind = "removed_from"
	StepQuarantined TrailStepKind = "quarantined"
	StepRetry       TrailStepKind = "retry"
	StepGivenUp     TrailStepKind = "given_up"
)

// TrailStep is one thing that happened to a mail.
type TrailStep struct {
	Kind    TrailStepKind
	At      time.Time
	Folder  string // in the mailbox, decoded
	To      string // moved: the folder that it lies in since
	OTYS    mailroom.OTYSFolder
	Person  PersonChip
	Role    mailroom.HeaderRole
	Address string
	By      string // name of who did it
	Reason  string // in that person's words
	Problem *mailroom.Problem
	N       int
}

// FindEnd says why a mail that is in the mailbox is not in OTYS.
type FindEnd string

const (
	FindUnmapped    FindEnd = "unmapped"    // its folder is not mapped
	FindPaused      FindEnd = "paused"      // its folder is paused
	FindBacklog     FindEnd = "backlog"     // it is still to be read: TrailFind.Position
	FindTooOld      FindEnd = "too_old"     // older than its folder's date limit
	FindQuarantined FindEnd = "quarantined" // set aside: TrailFind.Reason
	FindGivenUp     FindEnd = "given_up"
	FindStored      FindEnd = "stored"  // it is here
	FindNew         FindEnd = "new"     // it came after the last check
	FindUnknown     FindEnd = "unknown" // Mailroom should know it and does not: a comparison is asked for
)

// TrailFind is one mail that the mailbox itself has.
type TrailFind struct {
	Folder   string // decoded
	RawName  string
	End      FindEnd
	Since    time.Time // date limit of the folder
	Position int64     // in the backlog, 1 is read next
	Backlog  int64
	Reason   *mailroom.Problem
	Words    string // the reason of who gave it up
	N        int    // mails of the folder for which all of this holds
}
