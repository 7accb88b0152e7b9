package portal

import (
	"io"
	"time"

	"mailroom/internal/mailroom"
)

// The view structs below are what pages show. They carry facts and message
// keys, no prose.

// Integrations is User Settings > Integrations: the four settings at a glance.
type Integrations struct {
	Mailbox  mailroom.Mailbox // zero ID when no address was saved yet
	Grant    *mailroom.Grant  // nil when there is none
	Provider *mailroom.Provider
	Ready    bool // a grant or a password is there
	State    mailroom.State
	// PasswordBlocks: a password is left from before although the account uses
	// OAuth; Grant Permission waits until it is cleared.
	PasswordBlocks bool
	Mappings       []MappingRow
	Grantable      []mailroom.Provider // configured providers, for the dialog
	Passwords      []mailroom.Provider // servers that are known by name, for the same
	// Next is the setting to do next: "username", "account", "password", "grant",
	// "mapping", or "" when all is done.
	Next string
}

// AddressChange says what saving another address would do, before it is done.
type AddressChange struct {
	From, To string
	HasGrant bool
	Mappings int
}

// MappingRow is one mapping with its state and counts.
type MappingRow struct {
	Mapping    mailroom.Mapping
	Progress   mailroom.Progress
	OTYSFolder mailroom.OTYSFolder
	State      mailroom.State
	Gone       bool // the folder is no longer on the server
	// Rate in messages a second, of late and with pauses; 0 when unknown.
	Rate float64
	// Finish is when the backlog is expected to be done; zero when unknown.
	Finish  time.Time
	LastRun *mailroom.SyncRun
	// Findings are the differences that comparisons found: those that are not
	// repaired, and the newest of the others. Newest first.
	Findings []mailroom.Finding
}

// Unaccounted is by how much the sum does not hold: messages on the server that
// are neither here, nor left out for a reason, nor waiting. 0 is as it should be.
func (r MappingRow) Unaccounted() int64 {
	return r.Progress.OnServer - r.Progress.Accounted()
}

// Done is how many of the messages on the server are accounted for.
func (r MappingRow) Done() int64 {
	return max(r.Progress.OnServer-r.Progress.Backlog.Len(), 0)
}

// MappingPage is Mail - IMAP Folders Mapping.
type MappingPage struct {
	Mailbox  mailroom.Mailbox
	Ready    bool
	Rows     []MappingRow
	Folders  []mailroom.Folder // mappable ones, inbox first, then as a tree
	OTYS     []mailroom.OTYSFolder
	Version  int64
	ListedAt time.Time
	// Live is set when Folders were read from the server just now; Problem says
	// why not, if they should have been.
	Live    bool
	Problem *mailroom.Problem
	// Undos run, or ended within a day.
	Undos []UndoRow
	// Suggested rows when nothing is saved yet: Inbox → Inbox, Sent → Sent items.
	Suggested []MappingForm
}

// MappingForm is one row as typed. RawName "" is an empty row and ignored.
type MappingForm struct {
	ID         string // "" for a new row
	RawName    string
	OTYSFolder string    // id
	Since      time.Time // zero for all mail
	Paused     bool
	Subfolders bool             // and its subfolders, also future ones
	Removal    mailroom.Removal // "" for the default
}

// MappingsForm is Save Mappings.
type MappingsForm struct {
	Version int64
	Rows    []MappingForm
}

// AccountForm is the choice in the oAuth 2.0 dialog.
type AccountForm struct {
	Account    mailroom.AccountKind
	ProviderID string            // which one, when several are of the kind; "" with Other = password
	IMAP       mailroom.Endpoint // password accounts only
	Server     string            // in place of IMAP: the id of a provider whose server is known
	Other      bool              // the wrong account granted before: the provider is to ask which
}

// Callback is what the provider sent the browser back with.
type Callback struct {
	ProviderID                       string
	State, Code, Issuer              string
	Error, ErrorDescription, Subcode string
}

// MailQuery asks for a page of the OTYS mailbox.
type MailQuery struct {
	FolderID string // "" for the inbox; "all" for every folder
	Search   string
	Unread   bool
	Before   string // opaque key of the last row of the page before, "" for the newest
	Limit    int    // 0 for 50
}

// MailRow is one line of a message list.
type MailRow struct {
	ID, FolderID   string
	Subject        string
	Snippet        string
	From, To       []mailroom.Address
	Sent           bool // sent by the owner: lists show To
	ReceivedAt     time.Time
	Unread         bool
	HasAttachments bool
	People         []PersonChip
	Choices        int // addresses of it that wait for a choice
}

// PersonChip is a person linked to a message.
type PersonChip struct {
	ID, Name string
	Kind     mailroom.PersonKind
	Reason   mailroom.LinkReason
	Address  string
}

// MailList is the OTYS mailbox: folders, one page of rows, and what is going on.
type MailList struct {
	Folders []mailroom.OTYSFolder
	Current mailroom.OTYSFolder // zero ID for "all" or a search over all
	Query   MailQuery
	Rows    []MailRow
	Next    string // Before of the next page, "" at the end
	// What the top of the page says about the source.
	Mailbox     mailroom.Mailbox
	State       mailroom.State
	Mappings    []MappingRow
	OpenChoices int
	Quarantined int
}

// MailPage is one message.
type MailPage struct {
	Message mailroom.Message
	Folder  mailroom.OTYSFolder // the viewer's
	Unread  bool
	Sent    bool
	Places  []Place
	People  []PersonChip
	Choices []Choice
	Text    string // text alternative
	HasHTML bool
	// HasRemote: the HTML asks for remote images, which stay off until asked for.
	HasRemote bool
	Shared    bool // seen because the organization shares linked mail
	// Unreadable: the raw mail could not be opened, so there is neither text nor
	// HTML nor a download; the headers stand.
	Unreadable bool
	// Trail is how the message came into the viewer's own mailbox; nil when it
	// came by a colleague's.
	Trail *TrailRow
}

// Place is where a message came from.
type Place struct {
	Mailbox string // address
	Folder  string // decoded IMAP folder
	Gone    bool
}

// Choice is an address that belongs to several persons.
type Choice struct {
	MessageID  string
	Subject    string
	From       []mailroom.Address
	ReceivedAt time.Time
	Address    string
	Role       mailroom.HeaderRole
	Candidates []mailroom.Person
	Others     int // further messages that wait for the same address
}

// Download is a stream for the browser. Close Body.
type Download struct {
	Name, Type string
	Size       int64 // -1 when unknown
	Body       io.ReadCloser
}

// PersonQuery asks for a page of people.
type PersonQuery struct {
	Search string
	Kind   mailroom.PersonKind // "" for both
	Page   int                 // from 1
}

// PeopleList is a page of people.
type PeopleList struct {
	Query PersonQuery
	Rows  []mailroom.Person
	Total int
	Pages int
}

// PersonPage is a person with their mail as a timeline.
type PersonPage struct {
	Person mailroom.Person
	Mails  []MailRow // newest first
	Next   string
	Shared bool // the timeline holds colleagues' mail too
}

// PersonForm is a person as typed.
type PersonForm struct {
	Kind      mailroom.PersonKind
	Name      string
	Company   string
	Reference string
	Addresses []string
}

// ImportReport says what an import of people did.
type ImportReport struct {
	Added, Updated, Unchanged int
	Bad                       []BadRow
	Linked                    int64 // messages that the new addresses linked
}

// BadRow is a row that was not imported, with its line in the file (1 is the header).
type BadRow struct {
	Line    int
	Problem *mailroom.Error
}

// SyncState is the administrator's page.
type SyncState struct {
	Trouble bool // only those in trouble
	Rows    []SyncStateRow
	Counts  map[mailroom.State]int
	// Stopped says that nothing is being read at all, and why as far as a page can
	// know; nil while all is well.
	Stopped *mailroom.Problem
	// Faults are the troubles that many mailboxes share, told once.
	Faults []ProviderFault
}

// ProviderFault is one trouble of many mailboxes of one provider.
type ProviderFault struct {
	mailroom.Fault
	Provider string // name
	Operator string // who runs it
	Of       int    // mailboxes of the organization at that provider
}

// RunsPage is what was done in one mapped folder, and what comparisons found.
type RunsPage struct {
	Row      MappingRow
	Owner    mailroom.User
	Runs     []mailroom.SyncRun
	Findings []mailroom.Finding
}

// SyncStateRow is one mailbox of the organization.
type SyncStateRow struct {
	Mailbox  mailroom.Mailbox
	Owner    mailroom.User
	Provider string // name, or "" for a password account
	State    mailroom.State
	// CheckedAt is the oldest proof among its mappings that no unknown UID was there.
	CheckedAt time.Time
	Mappings  []MappingRow
	Problem   *mailroom.Problem // the worst: the mailbox's own, else of its mappings
	Shared    bool              // the problem is told among the faults
}

// QuarantineRow is one message in quarantine.
type QuarantineRow struct {
	mailroom.Quarantine
	Folder    string // decoded
	GivenUpBy string // name
}
