package syncer

import (
	"context"
	"time"

	"mailroom/internal/mailroom"
)

// Conn is one signed-in connection to a mailbox. It is used by one goroutine at
// a time. Errors are *mailroom.Error; a folder that is not there is NotFound.
type Conn interface {
	Folders(ctx context.Context) ([]mailroom.Folder, error)
	// Statuses asks for many folders in one flight. A folder that did not answer
	// is left out. Never asked for the examined one (RFC 3501 §6.3.10).
	Statuses(ctx context.Context, rawNames []string) (map[string]mailroom.FolderStatus, error)
	// Examine opens a folder for reading only; what follows is about that folder.
	Examine(ctx context.Context, rawName string) (mailroom.FolderStatus, error)
	// UIDs lists the UIDs from and above, without the last message that "n:*"
	// always returns.
	UIDs(ctx context.Context, from uint32) (mailroom.UIDSet, error)
	// UIDsSince lists the UIDs whose internal date is on that day or later, days
	// being the server's (RFC 3501 §6.4.4 SINCE).
	UIDsSince(ctx context.Context, day time.Time) (mailroom.UIDSet, error)
	// Fetch streams the mails of set, newest first. each is called for every UID
	// that answered, from one goroutine, and may block to hold the server back.
	Fetch(ctx context.Context, set mailroom.UIDSet, each func(mailroom.FetchedMail) error) error
	// Flags reports flags of set, all or those changed since a modseq (RFC 7162).
	Flags(ctx context.Context, set mailroom.UIDSet, changedSince uint64, each func(mailroom.FlagChange)) error
	// Idle returns true at the first notice about the examined folder, false at
	// renewal time or when ctx ends.
	Idle(ctx context.Context) (changed bool, err error)
	// Resync is Examine that also tells what has changed since modSeq, in one round
	// trip (RFC 7162); nothing of that when UIDVALIDITY is another. vanished may
	// name mails that never were, or are there: the count in st decides.
	Resync(ctx context.Context, rawName string, uidValidity uint32, modSeq uint64) (
		st mailroom.FolderStatus, changes []mailroom.FlagChange, vanished mailroom.UIDSet, err error)
	// ObjectIDs are ids that mails of the examined folder keep wherever they lie
	// (X-GM-MSGID, EMAILID), by UID. One that has none is left out.
	ObjectIDs(ctx context.Context, set mailroom.UIDSet) (map[uint32]string, error)
	// Sample tells size and internal date of mails, and their headers if asked for.
	Sample(ctx context.Context, set mailroom.UIDSet, headers bool, each func(mailroom.Sampled)) error
	CanResync() bool
	HasObjectIDs() bool
	// MessageIDs are the Message-IDs of set by UID, "" for a mail without one. What
	// does not answer is left out.
	MessageIDs(ctx context.Context, set mailroom.UIDSet) (map[uint32]string, error)
	CanIdle() bool
	CanCondStore() bool
	Close() error
}

// Open signs in to a mailbox. It carries whatever the mailbox needs: token or
// password, provider's endpoint and manners.
type Open func(ctx context.Context, m mailroom.Mailbox) (Conn, error)

// Claims is the part of the store by which nodes share out mailboxes.
type Claims interface {
	// ClaimMailboxes takes up to limit mailboxes that are due and free: wanted >
	// done, or retry time passed. Each gets a new epoch.
	ClaimMailboxes(ctx context.Context, node string, lease time.Duration, limit int, now time.Time) ([]mailroom.Claim, error)
	// RenewLeases renews in one statement and returns the claims that still hold.
	RenewLeases(ctx context.Context, node string, claims []mailroom.Claim, lease time.Duration, now time.Time) ([]mailroom.Claim, error)
	// Wanted tells what people ask of the mailboxes that node holds, by mailbox id.
	Wanted(ctx context.Context, node string) (map[string]mailroom.Signal, error)
	// Release gives the lease back. problem replaces the mailbox's, and answers
	// what had been asked before the claim; nil clears it.
	Release(ctx context.Context, c mailroom.Claim, retryAt time.Time, problem *mailroom.Problem, failures int) error
	// Share says that node is alive, and how many mailboxes are its part, over the
	// nodes that said so within alive.
	Share(ctx context.Context, node string, now time.Time, alive time.Duration) (share int, err error)
	// Leave says that node is alive no more.
	Leave(ctx context.Context, node string) error
	// Watch signals changes of a topic; "work" is bumped by whatever makes a
	// mailbox due, wanted or stopped.
	Watch(topic string) (<-chan struct{}, func())
}

// Deliverer is the OTYS side. Its one implementation is the built-in OTYS mailbox
// (the store): OTYS has no public call to import mail. What delivers elsewhere
// one day must keep the promise that a batch and the ledger that has passed it
// are one transaction.
type Deliverer interface {
	// Deliver is the transaction of a batch. Rows of raw mail come from
	// Batch.Blobs; a Mail whose raw bytes are known has only Hash and Size in Blob,
	// and the message of a Copy is known by its object id: Conflict says that one of
	// them is known no more. NotFound: the mapping is gone.
	Deliver(ctx context.Context, c mailroom.Claim, b mailroom.Batch) (delivered int, err error)
}

// Ledger is the part of the store that keeps what has been read. Every write
// carries the claim and fails with mailroom.ErrFenced once it has passed on.
type Ledger interface {
	Deliverer
	LoadWork(ctx context.Context, c mailroom.Claim) (mailroom.Work, error)
	// SaveFolders replaces the list of folders; those not in it are marked gone.
	SaveFolders(ctx context.Context, mailboxID string, folders []mailroom.Folder, now time.Time) error
	// ExpandSubfolders gives listed folders below a mapping with subfolders rows of
	// their own that follow it, and says how many.
	ExpandSubfolders(ctx context.Context, c mailroom.Claim) (added int, err error)
	// FollowFolder gives a mapping whose folder has another name that name, with
	// all that was read of it. Conflict: a person has mapped that name.
	FollowFolder(ctx context.Context, c mailroom.Claim, mappingID string, to mailroom.Folder) error
	// NoteObjectID keeps the identity of a mapping's folder.
	NoteObjectID(ctx context.Context, c mailroom.Claim, mappingID, objectID string) error
	// SampleMessageIDs are the Message-IDs of the newest n mails of a folder that
	// are filed and have one, by UID.
	SampleMessageIDs(ctx context.Context, mailboxID, rawName string, uidValidity uint32, n int) (map[uint32]string, error)
	// HeldUIDs are the UIDs of one generation of a folder that are filed, in
	// quarantine or dropped, and still on the server.
	HeldUIDs(ctx context.Context, mailboxID, rawName string, uidValidity uint32) (mailroom.Held, error)
	// KnownObjects says which object ids are those of mails that the mailbox has.
	KnownObjects(ctx context.Context, mailboxID string, ids []string) (map[string]bool, error)
	// KnownBlobs says which raw mails the organization has already.
	KnownBlobs(ctx context.Context, orgID string, hashes []string) (map[string]bool, error)
	SaveProgress(ctx context.Context, c mailroom.Claim, p mailroom.Progress) error
	// ApplyFlags follows the source: \Seen may mark read here, nothing marks unread.
	ApplyFlags(ctx context.Context, c mailroom.Claim, m mailroom.Mapping, uidValidity uint32, changes []mailroom.FlagChange) error
	// MarkGone notes that UIDs, filed, in quarantine or dropped, are no longer on
	// the server. Mails in quarantine of which the raw copy is kept stay.
	MarkGone(ctx context.Context, c mailroom.Claim, mappingID string, uidValidity uint32, gone mailroom.UIDSet) error
	// SettleRemovals takes up to limit mails out of OTYS that left a folder before a
	// time, whose mapping says so, and that have not turned up elsewhere since.
	SettleRemovals(ctx context.Context, c mailroom.Claim, before time.Time, limit int) (removed int64, err error)
	// DueQuarantine are up to limit mails whose time has come, the newest first;
	// also those that have left the server of which the raw copy is kept.
	DueQuarantine(ctx context.Context, mappingID string, now time.Time, limit int) ([]mailroom.Quarantine, error)
	// QuarantineOf are the rows by UID: how often each was tried decides when it is
	// tried again.
	QuarantineOf(ctx context.Context, mappingID string) (map[uint32]mailroom.Quarantine, error)
	// SaveFinding writes a difference between server and ledger, or its repair.
	SaveFinding(ctx context.Context, c mailroom.Claim, f mailroom.Finding) error
	// OpenFindings are a mapping's that are not repaired.
	OpenFindings(ctx context.Context, mappingID string) ([]mailroom.Finding, error)
	StartRun(ctx context.Context, r mailroom.SyncRun) error
	FinishRun(ctx context.Context, r mailroom.SyncRun) error
	// Answered says that the asking numbered wanted, and all before it, have been
	// answered, and clears the mailbox's problem.
	Answered(ctx context.Context, c mailroom.Claim, wanted int64) error
}

// Store is what the syncer asks of the database.
type Store interface {
	Claims
	Ledger
}

// Blobs keeps raw mail. What Put returns is durable.
type Blobs interface {
	// Put keeps raws, whose SHA-256 in hex are hashes, and says where.
	Put(ctx context.Context, orgID string, hashes []string, raws [][]byte) ([]mailroom.BlobRef, error)
	// Open reads a raw mail that a row names; NotFound when it is not there.
	Open(ctx context.Context, orgID, hash string) ([]byte, error)
}

// Limits are a provider's manners towards one mailbox.
type Limits struct {
	Connections int    // at the same time, in all; 0 counts as 2
	Provider    string // whose SignIns are counted together
	SignIns     int    // to the provider at a time; 0 for as many as to all, Tuning.Opening
}
