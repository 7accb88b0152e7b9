package mailroom

// Cursor is how far a mapping has been read in one generation of its folder.
// UIDs mean nothing outside their UIDVALIDITY (RFC 3501 §2.3.1.1).
type Cursor struct {
	UIDValidity   uint32
	UIDNext       uint32 // every UID below it is accounted for
	HighestModSeq uint64 // 0 without CONDSTORE
}

// Step is what a check of a folder says is to be done next.
type Step string

const (
	StepNothing Step = "nothing" // the folder has not changed
	StepNew     Step = "new"     // new UIDs at the end: list from Cursor.UIDNext
	StepChanged Step = "changed" // counts differ below: compare the whole UID set
	StepFirst   Step = "first"   // never read: list everything
	StepRenew   Step = "renew"   // UIDVALIDITY changed: list everything, without doubles
)

// Next says what to do after a check returned st, when the ledger holds held
// messages (stored + skipped + quarantined + backlog) of this generation.
//
// UIDs only ever rise within a generation, so an unchanged UIDNEXT proves that
// nothing came, and an equal count beside it that nothing went either. A server
// that does not say UIDNEXT has to be listed at the end every time (RFC 3501
// §6.3.1: "the client can not make any assumptions"); one that does not say
// UIDVALIDITY is taken to have one generation.
func (c Cursor) Next(st FolderStatus, held int64) Step {
	switch {
	case c.UIDValidity == 0:
		return StepFirst
	case st.UIDValidity != 0 && st.UIDValidity != c.UIDValidity:
		return StepRenew
	case st.UIDNext == 0, st.UIDNext > c.UIDNext:
		// A listing of the end finds what came; the caller compares counts after it.
		return StepNew
	case int64(st.Messages) != held:
		return StepChanged
	}
	return StepNothing
}
