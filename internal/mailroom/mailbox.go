package mailroom

import "time"

// Mailbox is the account that a person connected, or is connecting: the four
// settings of User Settings > Integrations hang on it. A user has one that is
// not retired; changing the address retires it and starts another, so that
// UIDs of two accounts are never mixed.
type Mailbox struct {
	ID, OrgID, UserID string
	Address           string      // Mail - Incoming IMAP Username
	Account           AccountKind // "" until chosen
	ProviderID        string      // "" for a password account
	IMAP              Endpoint    // password accounts only; OAuth ones use the provider's
	PasswordSet       bool        // Mail - Incoming IMAP Password (SE2936) holds a value
	Paused            bool
	Problem           *Problem // what stands in the way of the whole mailbox, nil if nothing
	// MappingsVersion grows with every saved change of the mapping rows, so that
	// two tabs cannot overwrite each other unseen.
	MappingsVersion int64
	FoldersListedAt time.Time // when the live list was last read, zero for never
	Wanted, Done    int64     // syncs asked for, and how many of those are answered
	CreatedAt       time.Time
	RetiredAt       time.Time
}

// UsesPassword reports whether the mailbox signs in with an (app) password.
func (m Mailbox) UsesPassword() bool { return m.Account == Other && m.ProviderID == "" }

// Claim is a node's lease on a mailbox. Epoch is the fence: it grows with each
// new owner, and a write that carries an older one is refused with ErrFenced.
type Claim struct {
	MailboxID string
	Epoch     int64
}

// State is how a mailbox or a mapping is, in one word for people. The machine's
// stage is a field of its own (Progress.Stage).
type State string

const (
	StateNotSetUp   State = "not_set_up"  // a setting is still missing
	StateWaiting    State = "waiting"     // all set, first run not begun
	StateSyncing    State = "syncing"     // backlog being read
	StateUpToDate   State = "up_to_date"  // nothing unknown at the last check, and that is recent
	StateBehind     State = "behind"      // no proof within the target that nothing is missing
	StatePaused     State = "paused"      // by a person
	StateThrottled  State = "throttled"   // the provider asked for a pause
	StateTrouble    State = "trouble"     // fails, passes by itself
	StateNeedsYou   State = "needs_you"   // the recruiter has to act
	StateNeedsAdmin State = "needs_admin" // IT or the operator has to act
	StateGone       State = "gone"        // mapping: folder no longer on the server
)

// Troubled reports whether somebody may want to look at it.
func (s State) Troubled() bool {
	switch s {
	case StateBehind, StateThrottled, StateTrouble, StateNeedsYou, StateNeedsAdmin, StateGone:
		return true
	}
	return false
}

// FreshnessTarget is how old the last proof may be before a mapping counts as
// behind. Twice the polling interval and some.
const FreshnessTarget = 5 * time.Minute

// StateOfProblem turns a kind of trouble into a state.
func StateOfProblem(p *Problem) State {
	switch p.Kind {
	case NeedsConsent:
		return StateNeedsYou
	case NeedsAdmin, NeedsVendor:
		return StateNeedsAdmin
	case Throttled:
		return StateThrottled
	case NotFound:
		return StateGone
	}
	return StateTrouble
}

// MappingState is the human state of one mapping at a time. It is up to date
// only while the sum of its ledger holds and the last proof is fresh.
func MappingState(m Mapping, p Progress, at time.Time) State {
	switch {
	case m.Paused:
		return StatePaused
	case p.Problem != nil:
		return StateOfProblem(p.Problem)
	case p.CheckedAt.IsZero() && p.Backlog.Empty():
		return StateWaiting
	case !p.Backlog.Empty():
		return StateSyncing
	case at.Sub(p.CheckedAt) > FreshnessTarget, !p.Balanced():
		return StateBehind
	}
	return StateUpToDate
}

// MailboxState is the human state of a mailbox: its own trouble first, else the
// worst of its mappings. ready says whether a grant or password is there.
func MailboxState(m Mailbox, ready bool, mappings []State) State {
	switch {
	case m.Problem != nil && (m.Problem.Kind == NeedsConsent || m.Problem.Kind == NeedsAdmin || m.Problem.Kind == NeedsVendor):
		return StateOfProblem(m.Problem)
	case m.Address == "" || !ready || len(mappings) == 0:
		return StateNotSetUp
	case m.Paused:
		return StatePaused
	case m.Problem != nil:
		return StateOfProblem(m.Problem)
	}
	worst := StateUpToDate
	for _, s := range mappings {
		if stateRank[s] > stateRank[worst] {
			worst = s
		}
	}
	return worst
}

// stateRank orders states from fine to worst.
var stateRank = map[State]int{
	StateUpToDate: 0, StatePaused: 1, StateSyncing: 2, StateWaiting: 3, StateBehind: 4,
	StateThrottled: 5, StateTrouble: 6, StateGone: 7, StateNeedsYou: 8, StateNeedsAdmin: 9,
}
