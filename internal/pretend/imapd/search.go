package imapd

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// test is one search key, compiled.
type test func(p pick) bool

func (c *conn) search(cmd command) error {
	args := cmd.args
	var ret []arg
	isReturn := false
	if len(args) >= 2 && strings.EqualFold(args[0].text, "RETURN") && args[1].isList {
		if !c.dialect().ESearch {
			return bad("Command Argument Error. 12")
		}
		isReturn, ret, args = true, args[1].list, args[2:]
	}
	if len(args) >= 2 && strings.EqualFold(args[0].text, "CHARSET") {
		args = args[2:]
	}
	if len(args) == 0 {
		return bad("Command Argument Error. 12")
	}
	for _, a := range args {
		if a.isList && c.dialect().FlatSearch {
			return bad("Command Argument Error. 12")
		}
	}
	tests, err := c.compile(args)
	if err != nil {
		return bad("Command Argument Error. 12")
	}
	var hits []uint32
	var modseq uint64
	for _, p := range c.picks([]numRange{{1, star}}, false) {
		if !all(tests, p) {
			continue
		}
		n := p.seq
		if cmd.name == "UID SEARCH" {
			n = p.m.uid
		}
		hits = append(hits, n)
		modseq = max(modseq, p.m.modseq)
	}
	if acc := c.accountNow(); acc.shortSearch() {
		hits = hits[len(hits)/2:]
	}
	if isReturn || c.dialect().ESearches {
		return c.line("%s", esearch(cmd, ret, hits))
	}
	var b strings.Builder
	b.WriteString("* SEARCH")
	for _, n := range hits {
		b.WriteString(" " + strconv.FormatUint(uint64(n), 10))
	}
	return c.line("%s", b.String())
}

func esearch(cmd command, ret []arg, hits []uint32) string {
	var b strings.Builder
	fmt.Fprintf(&b, "* ESEARCH (TAG %s)", quote(cmd.tag))
	if cmd.name == "UID SEARCH" {
		b.WriteString(" UID")
	}
	if len(ret) == 0 {
		ret = []arg{{text: "ALL"}}
	}
	for _, r := range ret {
		switch up := strings.ToUpper(r.text); {
		case up == "COUNT":
			fmt.Fprintf(&b, " COUNT %d", len(hits))
		case len(hits) == 0:
		case up == "MIN":
			fmt.Fprintf(&b, " MIN %d", hits[0])
		case up == "MAX":
			fmt.Fprintf(&b, " MAX %d", hits[len(hits)-1])
		case up == "ALL":
			b.WriteString(" ALL " + compactSet(hits))
		}
	}
	return b.String()
}

// compactSet writes ascending numbers as ranges.
func compactSet(nums []uint32) string {
	var b strings.Builder
	for i := 0; i < len(nums); {
		j := i
		for j+1 < len(nums) && nums[j+1] == nums[j]+1 {
			j++
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		if j == i {
			fmt.Fprintf(&b, "%d", nums[i])
		} else {
			fmt.Fprintf(&b, "%d:%d", nums[i], nums[j])
		}
		i = j + 1
	}
	return b.String()
}

func all(tests []test, p pick) bool {
	for _, t := range tests {
		if !t(p) {
			return false
		}
	}
	return true
}

func (c *conn) compile(args []arg) ([]test, error) {
	var out []test
	for len(args) > 0 {
		t, rest, err := c.compileOne(args)
		if err != nil {
			return nil, err
		}
		out, args = append(out, t), rest
	}
	return out, nil
}

// compileOne takes one search key (RFC 3501 6.4.4) from the front.
func (c *conn) compileOne(args []arg) (test, []arg, error) {
	if len(args) == 0 {
		return nil, nil, errSyntax
	}
	head, rest := args[0], args[1:]
	if head.isList {
		inner, err := c.compile(head.list)
		return func(p pick) bool { return all(inner, p) }, rest, err
	}
	name := strings.ToUpper(head.text)
	if flag, yes, found := flagKey(name); found {
		return func(p pick) bool { return hasFlag(p.m.flags, flag) == yes }, rest, nil
	}
	switch name {
	case "ALL", "OLD":
		return func(pick) bool { return true }, rest, nil
	case "NEW", "RECENT":
		return func(pick) bool { return false }, rest, nil
	case "NOT":
		t, rest, err := c.compileOne(rest)
		return func(p pick) bool { return !t(p) }, rest, err
	case "OR":
		l, rest, err := c.compileOne(rest)
		if err != nil {
			return nil, nil, err
		}
		r, rest, err := c.compileOne(rest)
		return func(p pick) bool { return l(p) || r(p) }, rest, err
	case "HEADER":
		if len(rest) < 2 {
			return nil, nil, errSyntax
		}
		return headerTest(rest[0].text, rest[1].text), rest[2:], nil
	}
	if head.text[0] >= '0' && head.text[0] <= '9' || head.text[0] == '*' {
		set, err := parseSet(head.text)
		last := uint32(len(c.view))
		return func(p pick) bool { return within(set, p.seq, last) }, rest, err
	}
	if len(rest) == 0 {
		return nil, nil, errSyntax
	}
	t, err := c.oneArgument(name, rest[0].text)
	return t, rest[1:], err
}

func flagKey(name string) (flag string, want, found bool) {
	want = !strings.HasPrefix(name, "UN")
	switch strings.TrimPrefix(name, "UN") {
	case "SEEN":
		return `\Seen`, want, true
	case "ANSWERED":
		return `\Answered`, want, true
	case "FLAGGED":
		return `\Flagged`, want, true
	case "DELETED":
		return `\Deleted`, want, true
	case "DRAFT":
		return `\Draft`, want, true
	}
	return "", false, false
}

// oneArgument compiles the keys that take one argument.
func (c *conn) oneArgument(name, value string) (test, error) {
	switch name {
	case "UID":
		set, err := parseSet(value)
		last := uint32(0)
		if len(c.view) > 0 {
			last = c.view[len(c.view)-1]
		}
		return func(p pick) bool { return within(set, p.m.uid, last) }, err
	case "KEYWORD":
		return func(p pick) bool { return hasFlag(p.m.flags, value) }, nil
	case "UNKEYWORD":
		return func(p pick) bool { return !hasFlag(p.m.flags, value) }, nil
	case "LARGER", "SMALLER":
		n, err := strconv.Atoi(value)
		return func(p pick) bool { return p.m.size != n && (p.m.size > n) == (name == "LARGER") }, err
	case "SUBJECT", "FROM", "TO", "CC", "BCC":
		return headerTest(name, value), nil
	case "BODY", "TEXT":
		want := bytes.ToLower([]byte(value))
		return func(p pick) bool { return bytes.Contains(bytes.ToLower(p.m.raw.Bytes()), want) }, nil
	case "MODSEQ":
		n, err := strconv.ParseUint(value, 10, 63)
		return func(p pick) bool { return p.m.modseq >= n }, err
	case "SINCE", "BEFORE", "ON", "SENTSINCE", "SENTBEFORE", "SENTON":
		day, err := time.Parse("_2-Jan-2006", value)
		if err != nil {
			return nil, errSyntax
		}
		return func(p pick) bool {
			y, m, d := p.m.date.Date()
			at := time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
			switch strings.TrimPrefix(name, "SENT") {
			case "SINCE":
				return !at.Before(day)
			case "BEFORE":
				return at.Before(day)
			}
			return at.Equal(day)
		}, nil
	}
	return nil, errSyntax
}

func headerTest(name, value string) test {
	want := strings.ToLower(value)
	return func(p pick) bool {
		for _, v := range readHeader(p.m.raw.header()).Values(name) {
			if strings.Contains(strings.ToLower(v), want) {
				return true
			}
		}
		return false
	}
}
