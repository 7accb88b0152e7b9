package imapwire

import (
	"math"
	"strings"
)

// readVanished reads "* VANISHED (EARLIER) 41,43:116" (RFC 7162 section 3.2.10).
func (c *Client) readVanished() error {
	earlier := false
	if b, err := c.rd.peek(); err != nil {
		return err
	} else if b == '(' {
		words, err := c.rd.words()
		if err != nil {
			return err
		}
		earlier = len(words) > 0 && strings.EqualFold(words[0], "EARLIER")
		if err := c.rd.spaces(); err != nil {
			return err
		}
	}
	set, err := c.readUIDs()
	if err != nil {
		return err
	}
	cmd := c.taker(func(cmd *command) bool { return cmd.fetch != nil && cmd.fetch.Vanished != nil })
	switch {
	case cmd == nil:
		c.event(Event{Kind: EventVanished, UIDs: set})
	case cmd.err == nil:
		cmd.err = cmd.fetch.Vanished(set, earlier)
	}
	return nil
}

func (c *Client) readUIDs() (UIDSet, error) {
	found, err := c.readRanges(nil)
	return normal(found), err
}

// readRanges adds the ranges as they come to found.
func (c *Client) readRanges(found []UIDRange) ([]UIDRange, error) {
	err := c.rd.set(func(first, last uint32) (err error) {
		found, err = c.found(found, first, last)
		return err
	})
	return found, err
}

// found adds a range that a server sent.
func (c *Client) found(to []UIDRange, first, last uint32) ([]UIDRange, error) {
	if n := len(to); n > 0 && to[n-1].Last+1 == first {
		to[n-1].Last = last
		return to, nil
	}
	if len(to) >= c.lim.Numbers {
		return to, &LimitError{"Numbers", int64(c.lim.Numbers)}
	}
	return append(to, UIDRange{first, last}), nil
}

// set reads a set of numbers such as "41,43:116", of any length.
func (rd *reader) set(add func(first, last uint32) error) error {
	var n, first uint64
	ranged, digits := false, false
	flush := func() error {
		if !digits {
			return nil
		}
		if !ranged {
			first = n
		}
		lo, hi := min(first, n), max(first, n)
		n, digits, ranged = 0, false, false
		if lo == 0 || hi > math.MaxUint32 {
			rd.c.skip(SkipMalformed, "number")
			return nil
		}
		return add(uint32(lo), uint32(hi))
	}
	for {
		b, err := rd.peek()
		if err != nil {
			return err
		}
		switch {
		case b >= '0' && b <= '9':
			n, digits = min(n*10+uint64(b-'0'), 1<<40), true
		case b == ':' && digits && !ranged:
			first, n, digits, ranged = n, 0, false, true
		case b == ',':
			if err := flush(); err != nil {
				return err
			}
			ranged = false
		case atomEnd(b):
			return flush()
		default:
			return errSyntax
		}
		rd.r++
	}
}
