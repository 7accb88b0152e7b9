package imapconn

import (
	"context"
	"errors"

	"mailroom/internal/imapwire"
	"mailroom/internal/mailroom"
)

// CanResync tells whether Resync costs one round trip: the server announced
// QRESYNC (RFC 7162) and confirmed that it is on.
func (c *Conn) CanResync() bool { return c.resync }

// Resync opens a folder as Examine does and tells what has changed since modSeq:
// flags, and UIDs that are gone. When UIDVALIDITY differs, and where the folder
// keeps no MODSEQ, st says so and there is nothing else.
//
// vanished spares a listing and proves nothing: a server may name UIDs that
// never were (RFC 7162 §3.2.10), some name mails that are there, and one that
// refuses the parameter is asked for flags only. The count in st is what a
// ledger must come out at.
func (c *Conn) Resync(ctx context.Context, rawName string, uidValidity uint32, modSeq uint64) (
	st mailroom.FolderStatus, changes []mailroom.FlagChange, vanished mailroom.UIDSet, err error,
) {
	if !c.resync || uidValidity == 0 || modSeq == 0 {
		return c.resyncBare(ctx, rawName, uidValidity, modSeq)
	}
	c.open, c.news = "", false
	h := imapwire.FetchHandler{
		Done: func(m *imapwire.Message) error {
			if m.UID != 0 && m.Has&imapwire.HasFlags != 0 {
				changes = append(changes, mailroom.FlagChange{UID: m.UID, Flags: flags(m.Flags), ModSeq: m.ModSeq})
			}
			return nil
		},
		Vanished: func(uids imapwire.UIDSet, _ bool) error {
			vanished = vanished.Union(fromWire(uids))
			return nil
		},
	}
	box, err := c.wire.Examine(mailroom.FolderBytes(rawName), imapwire.ExamineOptions{
		QResync: &imapwire.QResync{UIDValidity: uidValidity, ModSeq: modSeq}, Changes: h,
		Closed: func() { changes, vanished = nil, mailroom.UIDSet{} },
	}).Wait(ctx)
	var refused *imapwire.ResponseError
	if errors.As(err, &refused) {
		e := mailroom.AsError(c.folderError(err))
		if e.Kind != mailroom.Unavailable || e.Key != "imap.error.refused" {
			return st, nil, mailroom.UIDSet{}, e
		}
		c.resync = false // announced and not understood
		return c.resyncBare(ctx, rawName, uidValidity, modSeq)
	}
	if err != nil {
		return st, nil, mailroom.UIDSet{}, c.fail(err)
	}
	st = c.opened(rawName, box)
	if st.UIDValidity != uidValidity || box.NoModSeq {
		return st, nil, mailroom.UIDSet{}, nil
	}
	return st, changes, vanished, nil
}

// resyncBare is Resync without QRESYNC: flags by CHANGEDSINCE where there is
// CONDSTORE, and no word on what is gone.
func (c *Conn) resyncBare(ctx context.Context, rawName string, uidValidity uint32, modSeq uint64) (
	st mailroom.FolderStatus, changes []mailroom.FlagChange, vanished mailroom.UIDSet, err error,
) {
	st, err = c.Examine(ctx, rawName)
	if err != nil || st.UIDValidity != uidValidity || modSeq == 0 || st.HighestModSeq <= modSeq {
		return st, nil, vanished, err
	}
	err = c.Flags(ctx, mailroom.Range(1, imapwire.Star), modSeq, func(f mailroom.FlagChange) { changes = append(changes, f) })
	return st, changes, vanished, err
}
