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
// A server that does not say UIDNEXT is compared by count.
func (c Cursor) Next(st FolderStatus, held int64) Step {
	switch {
	case c.UIDValidity == 0:
		return StepFirst
	case st.UIDValidity != 0 && st.UIDValidity != c.UIDValidity:
		return StepRenew
	case st.UIDNext == 0:
		if int64(st.Messages) == held {
			return StepNothing
		}
		return StepChanged
	case st.UIDNext > c.UIDNext:
		// Grown at the end by no more than the count grew: a tail listing is
		// enough. The caller compares counts again after it.
		return StepNew
	case int64(st.Messages) != held:
		return StepChanged
	}
	return StepNothing
}
