package imapwire

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Criteria of a SEARCH; all that are set must hold. The zero value is ALL.
// There is no OR or NOT of groups: Exchange refuses nested criteria.
type Criteria struct {
	UIDs UIDSet
	// Since and Before compare INTERNALDATE, SentSince and SentBefore the Date
	// header, by calendar day in the server's idea of time zones; only year,
	// month and day count. Since includes its day, Before does not.
	Since, Before, SentSince, SentBefore time.Time
	Larger, Smaller                      int64    // bytes, by RFC822.SIZE
	ModSeq                               uint64   // changed at or after; CONDSTORE
	With, Without                        []string // flags: `\Seen`, "$Forwarded"
	// Header asks for messages whose header field contains the text. Text
	// outside US-ASCII is sent as UTF-8, which some servers refuse by
	// [BADCHARSET].
	Header []HeaderTerm
}

// HeaderTerm is one header condition; an empty Contains asks whether the field
// exists.
type HeaderTerm struct{ Field, Contains string }

// SearchResult is what SEARCH or ESEARCH answered.
type SearchResult struct {
	UIDs UIDSet
	// Answered is false if the command was completed by OK without any SEARCH
	// response. Some servers mean "none" by that; it is thin ground for
	// concluding that messages are gone.
	Answered bool
	ModSeq   uint64 // the highest of those found, where told
}

// UIDSearch searches the open mailbox. With compact the answer is asked as
// ranges (RETURN (ALL), ESEARCH, RFC 4731), which is a thousandth of the bytes;
// the server must have announced ESEARCH. Either form of answer is accepted,
// whichever was asked.
func (c *Client) UIDSearch(q Criteria, compact bool) *Call[SearchResult] {
	b := c.build("UID SEARCH")
	if compact {
		b.text(" RETURN (ALL)")
	}
	for _, h := range q.Header {
		if !isASCII(h.Contains) && !c.enabled["UTF8=ACCEPT"] { // RFC 6855 section 3 forbids CHARSET then
			b.text(" CHARSET UTF-8")
			break
		}
	}
	q.write(b)
	cmd, err := b.end()
	cmd.search = new(SearchResult)
	return call(c, cmd, cmd.search, err)
}

func (q Criteria) write(b *builder) {
	before := len(b.buf)
	if len(q.UIDs) > 0 {
		b.text(" UID " + q.UIDs.String())
	}
	for _, d := range []struct {
		key string
		day time.Time
	}{{"SINCE", q.Since}, {"BEFORE", q.Before}, {"SENTSINCE", q.SentSince}, {"SENTBEFORE", q.SentBefore}} {
		if !d.day.IsZero() {
			b.text(" " + d.key + " " + d.day.Format("2-Jan-2006"))
		}
	}
	if q.Larger > 0 {
		b.text(" LARGER " + strconv.FormatInt(q.Larger, 10))
	}
	if q.Smaller > 0 {
		b.text(" SMALLER " + strconv.FormatInt(q.Smaller, 10))
	}
	if q.ModSeq > 0 {
		b.text(" MODSEQ " + strconv.FormatUint(q.ModSeq, 10))
	}
	for _, f := range q.With {
		b.flag("", "KEYWORD", f)
	}
	for _, f := range q.Without {
		b.flag("UN", "UNKEYWORD", f)
	}
	for _, h := range q.Header {
		if !isToken(h.Field) {
			b.err = ErrBadArgument
		}
		b.text(" HEADER " + h.Field + " ").str(h.Contains)
	}
	if len(b.buf) == before && len(b.cmd.parts) == 0 {
		b.text(" ALL")
	}
}

func (b *builder) flag(prefix, keyword, flag string) {
	name, system := strings.CutPrefix(flag, `\`)
	if !isToken(name) {
		b.err = ErrBadArgument
	}
	if system {
		b.text(" " + prefix + strings.ToUpper(name))
	} else {
		b.text(" " + keyword + " " + name)
	}
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// readSearch reads "* SEARCH 2 84 882 (MODSEQ 917)", of any length and in any
// order.
func (c *Client) readSearch() error {
	cmd := c.taker(func(cmd *command) bool { return cmd.search != nil })
	if cmd == nil {
		c.skip(SkipUnasked, "SEARCH")
		cmd = &command{search: &SearchResult{}}
	}
	cmd.search.Answered = true
	for {
		if err := c.rd.spaces(); err != nil {
			return err
		}
		b, err := c.rd.peek()
		if err != nil {
			return err
		}
		if b == '\r' || b == '\n' {
			return nil
		}
		if b == '(' {
			n, err := c.searchModSeq()
			if err != nil {
				return err
			}
			cmd.search.ModSeq = max(cmd.search.ModSeq, n)
			continue
		}
		n, ok, err := c.rd.uint32Value()
		if err != nil {
			return err
		}
		if !ok || n == 0 {
			c.skip(SkipMalformed, "SEARCH")
			continue
		}
		if cmd.found, err = c.found(cmd.found, n, n); err != nil {
			return err
		}
	}
}

func (c *Client) searchModSeq() (uint64, error) {
	words, err := c.rd.words()
	if err == nil && len(words) == 2 && strings.EqualFold(words[0], "MODSEQ") {
		n, _ := parse63([]byte(words[1]))
		return n, nil
	}
	return 0, err
}

// readESearch reads `* ESEARCH (TAG "m5") UID ALL 1:17,21 MODSEQ 917` (RFC 4731,
// RFC 4466 section 2.6.2).
func (c *Client) readESearch() error {
	tag := ""
	if b, err := c.rd.peek(); err != nil {
		return err
	} else if b == '(' {
		words, err := c.rd.words()
		if err != nil {
			return err
		}
		if len(words) == 2 {
			tag = words[1]
		}
	}
	cmd := c.taker(func(cmd *command) bool { return cmd.search != nil && cmd.tag == tag })
	if cmd == nil {
		cmd = c.taker(func(cmd *command) bool { return cmd.search != nil })
	}
	if cmd == nil {
		c.skip(SkipUnasked, "ESEARCH")
		cmd = &command{search: &SearchResult{}}
	}
	cmd.search.Answered = true
	for {
		if err := c.rd.spaces(); err != nil {
			return err
		}
		if eol, err := c.rd.atEOL(); err != nil || eol {
			return err
		}
		if err := c.readESearchItem(cmd); err != nil {
			return err
		}
	}
}

func (c *Client) readESearchItem(cmd *command) error {
	word, err := c.rd.word()
	if err != nil {
		return err
	}
	switch word {
	case "":
		return errSyntax
	case "UID":
		return nil
	}
	if err := c.rd.spaces(); err != nil {
		return err
	}
	switch word {
	case "ALL":
		cmd.found, err = c.readRanges(cmd.found)
		return err
	case "MODSEQ":
		n, ok, err := c.rd.number()
		if ok && n <= math.MaxInt64 {
			cmd.search.ModSeq = max(cmd.search.ModSeq, n)
		}
		return err
	case "MIN", "MAX", "COUNT":
	default:
		c.skip(SkipItem, word)
	}
	return c.rd.value(0)
}
