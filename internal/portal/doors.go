package portal

import (
	"context"
	"time"

	"mailroom/internal/mailroom"
)

// Consent gets permission for a mailbox, and gives it up.
type Consent interface {
	// Begin is where the browser goes to grant permission. binding ties the
	// request to the browser session that began it.
	Begin(ctx context.Context, u mailroom.User, m mailroom.Mailbox, p mailroom.Provider, binding string) (url string, err error)
	// BeginOther is Begin, where the provider asks which account.
	BeginOther(ctx context.Context, u mailroom.User, m mailroom.Mailbox, p mailroom.Provider, binding string) (url string, err error)
	// Finish stores the grant and asks for a sync.
	Finish(ctx context.Context, u mailroom.User, binding, providerID, state, code, issuer string) (mailroom.GrantOutcome, error)
	// Refused uses up the state and says in our words why the provider refused.
	Refused(ctx context.Context, binding, state, oauthError, description, subcode string) error
	// Pending is a grant that waits for the person in a browser session, nil without
	// one; Choose, LookAgain and Decline answer it.
	Pending(ctx context.Context, u mailroom.User, binding string) (*mailroom.GrantChoice, error)
	Choose(ctx context.Context, u mailroom.User, binding, id string) (mailroom.GrantOutcome, error)
	LookAgain(ctx context.Context, u mailroom.User, binding, id string) (mailroom.GrantOutcome, error)
	Decline(ctx context.Context, u mailroom.User, binding, id string) error
	Revoke(ctx context.Context, u mailroom.User, m mailroom.Mailbox) (mailroom.RevokeOutcome, error)
	// SealPassword stores a mailbox's password sealed, and asks for a sync.
	SealPassword(ctx context.Context, mailboxID, password string) error
}

// Store keeps everything. Each method is one transaction, and those that are
// given an audit event store it in the same one. Rows that are not there, or
// lie behind the wall of another organization or user, are NotFound.
type Store interface {
	userStore
	organizationStore
	mailboxStore
	mappingStore
	mailStore
	linkStore
	personStore
	consentStore
	doctorStore
	providerStore
	// Watch signals changes of a topic: "user:ID", "org:ID".
	Watch(topic string) (<-chan struct{}, func())
}

type userStore interface {
	User(ctx context.Context, orgID, id string) (mailroom.User, error)
	UserByID(ctx context.Context, id string) (mailroom.User, error)
	UserByEmail(ctx context.Context, email string) (mailroom.User, error)
	Users(ctx context.Context, orgID string) ([]mailroom.User, error)
	AddUser(context.Context, mailroom.User, mailroom.AuditEvent) error
	// ChangeUser lets change edit the row; admins is how many administrators of
	// the organization can sign in, this one included.
	ChangeUser(ctx context.Context, orgID, id string, change func(u *mailroom.User, admins int) error, ev mailroom.AuditEvent) error
}

type organizationStore interface {
	Organizations(context.Context) ([]mailroom.Organization, error)
	Organization(ctx context.Context, id string) (mailroom.Organization, error)
	SaveOrganization(context.Context, mailroom.Organization, mailroom.AuditEvent) error
	// SaveSetupToken keeps the hash of a new setup token in place of older ones.
	SaveSetupToken(ctx context.Context, hash string) error
	SetupToken(ctx context.Context) (hash string, err error)
	// Found makes an organization and its first administrator. A token's hash
	// that is not "" is used up, and must be the one that is kept.
	Found(ctx context.Context, tokenHash string, o mailroom.Organization, admin mailroom.User, ev mailroom.AuditEvent) error
	AuditEvents(ctx context.Context, orgID string, limit int) ([]mailroom.AuditEvent, error)
	SaveAudit(context.Context, mailroom.AuditEvent) error
}

type mailboxStore interface {
	// MailboxOf is the user's mailbox that is not retired.
	MailboxOf(ctx context.Context, userID string) (mailroom.MailboxRow, error)
	MailboxByID(ctx context.Context, orgID, id string) (mailroom.MailboxRow, error)
	MailboxRows(ctx context.Context, orgID string) ([]mailroom.MailboxRow, error)
	// Refusals are the mailboxes that their provider refuses now.
	Refusals(ctx context.Context, orgID string) ([]mailroom.Refusal, error)
	// MailboxUsed reports whether anything was ever read from the mailbox.
	MailboxUsed(ctx context.Context, id string) (bool, error)
	AddMailbox(context.Context, mailroom.Mailbox, mailroom.AuditEvent) error
	// ChangeMailbox lets change edit the person's side of the row, and asks for a sync.
	ChangeMailbox(ctx context.Context, orgID, id string, change func(*mailroom.Mailbox) error, ev mailroom.AuditEvent) error
	// ReplaceMailbox retires one and puts another in its place, with the same
	// mapping rows if keep is set.
	ReplaceMailbox(ctx context.Context, oldID string, m mailroom.Mailbox, keep bool, ev mailroom.AuditEvent) error
	RequestSync(ctx context.Context, orgID, mailboxID string, ev mailroom.AuditEvent) error
	Grant(ctx context.Context, orgID, mailboxID string) (mailroom.Grant, error)
	// ReadersSeen is the last sign of life of any process that reads mailboxes;
	// zero when there never was one.
	ReadersSeen(context.Context) (time.Time, error)
}

type mappingStore interface {
	Folders(ctx context.Context, mailboxID string) ([]mailroom.Folder, error)
	SaveFolders(ctx context.Context, mailboxID string, fs []mailroom.Folder, at time.Time) error
	OTYSFolders(ctx context.Context, userID string) ([]mailroom.OTYSFolder, error)
	AddOTYSFolder(context.Context, mailroom.OTYSFolder, mailroom.AuditEvent) error
	MappingRows(ctx context.Context, mailboxID string) ([]mailroom.MappingRow, error)
	MappingRowsOfOrg(ctx context.Context, orgID string) ([]mailroom.MappingRow, error)
	MappingByID(ctx context.Context, orgID, id string) (mailroom.Mapping, error)
	SaveMappings(context.Context, mailroom.MappingChange, mailroom.AuditEvent) error
	PauseMapping(ctx context.Context, orgID, id string, paused bool, ev mailroom.AuditEvent) error
	// Undo takes a mapping's row away, with those that follow it, and begins to
	// take back what they alone brought in; UndoCounts foretells it.
	Undo(ctx context.Context, orgID, id string, ev mailroom.AuditEvent) error
	UndoCounts(ctx context.Context, orgID, id string) (take, keep int64, err error)
	// Undos are those that run, and those that ended within a day, newest first.
	Undos(ctx context.Context, mailboxID string) ([]mailroom.Undo, error)
	// SeenFollowed clears the notice that a mapping followed its renamed folder.
	SeenFollowed(ctx context.Context, orgID, id string) error
	Runs(ctx context.Context, orgID, mappingID string, limit int) ([]mailroom.SyncRun, error)
	// Findings are the differences that comparisons of a mailbox, or for "" of the
	// organization's, found, newest first.
	Findings(ctx context.Context, orgID, mailboxID string, limit int) ([]mailroom.Finding, error)
}

type mailStore interface {
	Mails(context.Context, mailroom.MailFilter) ([]mailroom.MailLine, error)
	// Mail is a message that the user has, or, if shared, one that is linked to
	// anybody of the organization.
	Mail(ctx context.Context, orgID, userID string, shared bool, id string) (mailroom.MailDetail, error)
	MarkRead(ctx context.Context, userID, id string, read bool) error
	// Waiting counts messages that wait for a choice of the user, and those in
	// quarantine.
	Waiting(ctx context.Context, orgID, userID string) (choices, quarantined int, err error)
	QuarantineRows(ctx context.Context, userID string) ([]mailroom.Quarantine, error)
	QuarantineRow(ctx context.Context, userID, id string) (mailroom.Quarantine, error)
	RetryQuarantine(ctx context.Context, userID, id string, at time.Time, ev mailroom.AuditEvent) error
	// DropQuarantine gives a message up, for a reason in a person's words;
	// KeepQuarantine takes that back and has it tried again at once.
	DropQuarantine(ctx context.Context, userID, id, reason string, ev mailroom.AuditEvent) error
	KeepQuarantine(ctx context.Context, userID, id string, ev mailroom.AuditEvent) error
	// Trails is what became of the mails of a mailbox that a question is about,
	// newest first.
	Trails(context.Context, mailroom.TrailQuery) ([]mailroom.Trail, error)
	HeldUIDs(ctx context.Context, mailboxID, rawName string, uidValidity uint32) (mailroom.Held, error)
}

type linkStore interface {
	Link(ctx context.Context, orgID, messageID, personID string, ev mailroom.AuditEvent) error
	Unlink(ctx context.Context, orgID, messageID, personID string, ev mailroom.AuditEvent) error
	// WaitingChoices lists addresses that wait for the user, newest message first.
	WaitingChoices(ctx context.Context, orgID, userID string, limit int) ([]mailroom.WaitingChoice, error)
	Decide(context.Context, mailroom.ChoiceDecision, mailroom.AuditEvent) (decided int64, err error)
}

type personStore interface {
	People(context.Context, mailroom.PersonFilter) (page []mailroom.Person, total int, err error)
	Person(ctx context.Context, orgID, id string) (mailroom.Person, error)
	// AddPerson, SavePerson and ImportPeople also link mail that is already here.
	AddPerson(context.Context, mailroom.Person, mailroom.AuditEvent) (linked int64, err error)
	SavePerson(context.Context, mailroom.Person, mailroom.AuditEvent) (linked int64, err error)
	DeletePerson(ctx context.Context, orgID, id string, ev mailroom.AuditEvent) error
	// PeopleAt finds people by addresses in normal form.
	PeopleAt(ctx context.Context, orgID string, addresses []string) (map[string][]mailroom.Person, error)
	ImportPeople(ctx context.Context, orgID string, rows []mailroom.PersonRow, ev mailroom.AuditEvent) (mailroom.PeopleImported, error)
	// PersonMails is the user's mail with a person, or, if shared, everybody's.
	PersonMails(ctx context.Context, orgID, userID, personID string, shared bool, after mailroom.Position, limit int) ([]mailroom.MailLine, error)
}
