package syncer

import (
	"context"
	"errors"
	"slices"
)

// errHandOver: the mailbox is another node's part.
var errHandOver = errors.New("the mailbox goes to another node")

// shareOut says that this node lives, learns how many mailboxes are its part, and
// hands back what it holds beyond that once two renewals in a row have found so:
// nodes come and go. Those first that read no backlog; each ends between batches
// and is due at once, for whoever has room.
func (k *Keeper) shareOut(ctx context.Context) {
	share, err := k.Store.Share(ctx, k.Node, k.Now(), k.Lease)
	if err != nil {
		if ctx.Err() == nil {
			k.Log.Warn("mailboxes are not shared out", cause(err))
		}
		return // what was last said stands
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.share = share
	var held []*holding
	for _, h := range k.held {
		if !h.handed {
			held = append(held, h)
		}
	}
	if len(held) <= share {
		k.over = 0
		return
	}
	if k.over++; k.over < 2 {
		return
	}
	k.over = 0
	slices.SortFunc(held, func(a, b *holding) int { return a.session.bulk() - b.session.bulk() })
	for _, h := range held[:len(held)-share] {
		h.handed = true
		k.Log.Info("mailbox goes to another node", "mailbox", h.claim.MailboxID)
		h.cancel(errHandOver)
	}
}

// bulk is 1 while the bulk lane is under way.
func (s *session) bulk() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bulkOn {
		return 1
	}
	return 0
}

// handedOver reports whether err is no more than the lease going elsewhere.
func handedOver(err error) bool {
	return errors.Is(err, errStopping) || errors.Is(err, errStopped) || errors.Is(err, errHandOver)
}
