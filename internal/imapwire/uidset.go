package imapwire

import (
	"cmp"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
)

// UIDRange is First to Last, both included. Last is [Star] for "n:*".
type UIDRange struct{ First, Last uint32 }

// Star is "*" as the end of a range: the largest UID in the mailbox. Note that
// "n:*" always includes the last message, even if its UID is below n (RFC 3501
// section 6.4.8), so what it answers must be filtered.
const Star = math.MaxUint32

// UIDSet is a set of UIDs: ranges in ascending order that do not touch. The
// zero value is empty. Make one with [UIDs], [UIDsFrom] or [ParseUIDSet], or by
// Add and AddRange, which keep the order.
type UIDSet []UIDRange

// UIDs is the set of these UIDs; zeros are ignored.
func UIDs(uids ...uint32) UIDSet {
	ranges := make([]UIDRange, len(uids))
	for i, u := range uids {
		ranges[i] = UIDRange{u, u}
	}
	return normal(ranges)
}

// UIDsBetween is first:last.
func UIDsBetween(first, last uint32) UIDSet {
	var s UIDSet
	s.AddRange(first, last)
	return s
}

// UIDsFrom is first:*; see [Star].
func UIDsFrom(first uint32) UIDSet { return UIDsBetween(max(first, 1), Star) }

// ParseUIDSet reads "41,43:116,200:*".
func ParseUIDSet(text string) (UIDSet, error) {
	var s UIDSet
	for part := range strings.SplitSeq(text, ",") {
		a, b, ranged := strings.Cut(part, ":")
		first, err1 := parseUID(a)
		last, err2 := first, error(nil)
		if ranged {
			last, err2 = parseUID(b)
		}
		if err1 != nil || err2 != nil {
			return nil, fmt.Errorf("imapwire: %q is no UID set", text)
		}
		s.AddRange(first, last)
	}
	return s, nil
}

func parseUID(s string) (uint32, error) {
	if s == "*" {
		return Star, nil
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err == nil && n == 0 {
		err = strconv.ErrRange
	}
	return uint32(n), err
}

// Add adds one UID. Adding in ascending order costs nothing.
func (s *UIDSet) Add(uid uint32) { s.AddRange(uid, uid) }

// AddRange adds first to last in whichever order they are given. UID 0 does
// not exist and is left out.
func (s *UIDSet) AddRange(first, last uint32) {
	if first > last {
		first, last = last, first
	}
	first = max(first, 1)
	if last == 0 {
		return
	}
	r := *s
	if n := len(r); n == 0 || r[n-1].Last != Star && first > r[n-1].Last+1 {
		*s = append(r, UIDRange{first, last})
		return
	} else if first >= r[n-1].First {
		r[n-1].Last = max(r[n-1].Last, last)
		return
	}
	// The ranges from i up to j touch the new one.
	i, _ := slices.BinarySearchFunc(r, first, func(a UIDRange, f uint32) int {
		if a.Last != Star && a.Last+1 < f {
			return -1
		}
		return 1
	})
	j := i
	for ; j < len(r) && (last == Star || r[j].First <= last+1); j++ {
		first, last = min(first, r[j].First), max(last, r[j].Last)
	}
	*s = slices.Replace(r, i, j, UIDRange{first, last})
}

// AddSet adds all of t.
func (s *UIDSet) AddSet(t UIDSet) {
	*s = normal(append(slices.Clone(*s), t...))
}

// normal makes a set of ranges in any order, which it takes over. Adding them
// one by one would take time by the square of their number.
func normal(ranges []UIDRange) UIDSet {
	slices.SortFunc(ranges, func(a, b UIDRange) int { return cmp.Compare(a.First, b.First) })
	s := UIDSet(ranges[:0])
	for _, r := range ranges {
		s.AddRange(r.First, r.Last)
	}
	return s
}

// Contains tells whether uid is in the set; "n:*" contains every UID from n.
func (s UIDSet) Contains(uid uint32) bool {
	_, found := slices.BinarySearchFunc(s, uid, func(a UIDRange, u uint32) int {
		switch {
		case a.Last < u:
			return -1
		case a.First > u:
			return 1
		}
		return 0
	})
	return found && uid != 0
}

// Minus is what is in s and not in t.
func (s UIDSet) Minus(t UIDSet) UIDSet {
	var out UIDSet
	j := 0
	for _, r := range s {
		first := uint64(r.First)
		for j > 0 && t[j-1].Last >= r.First {
			j--
		}
		for ; j < len(t) && t[j].First <= r.Last; j++ {
			if uint64(t[j].First) > first {
				out = append(out, UIDRange{uint32(first), t[j].First - 1})
			}
			first = max(first, uint64(t[j].Last)+1)
		}
		if first <= uint64(r.Last) {
			out = append(out, UIDRange{uint32(first), r.Last})
		}
	}
	return out
}

// Len is how many UIDs the set holds; a range up to [Star] counts as if every
// UID existed.
func (s UIDSet) Len() (n int64) {
	for _, r := range s {
		n += int64(r.Last) - int64(r.First) + 1
	}
	return n
}

// All walks the UIDs in ascending order. Do not walk a range up to [Star].
func (s UIDSet) All() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for _, r := range s {
			for u := uint64(r.First); u <= uint64(r.Last); u++ {
				if !yield(uint32(u)) {
					return
				}
			}
		}
	}
}

// String is the set as IMAP writes it; "" when it is empty.
func (s UIDSet) String() string { return string(s.appendTo(nil)) }

func (s UIDSet) appendTo(b []byte) []byte {
	for i, r := range s {
		if i > 0 {
			b = append(b, ',')
		}
		b = r.appendTo(b)
	}
	return b
}

func (r UIDRange) appendTo(b []byte) []byte {
	if r.First == Star {
		return append(b, '*')
	}
	b = strconv.AppendUint(b, uint64(r.First), 10)
	if r.Last == r.First {
		return b
	}
	b = append(b, ':')
	if r.Last == Star {
		return append(b, '*')
	}
	return strconv.AppendUint(b, uint64(r.Last), 10)
}

// MaxSet is the longest text of a set that fits a command with ordinary items
// beside it, in bytes. Use it with [UIDSet.Split].
const MaxSet = 6000

// Split cuts the set into sets whose text is at most size bytes each (at least
// one range each, of at most 21 bytes), in ascending order.
func (s UIDSet) Split(size int) []UIDSet {
	var out []UIDSet
	var text []byte
	begin := 0
	for i, r := range s {
		before := len(text)
		text = append(r.appendTo(text), ',')
		if i > begin && len(text)-1 > size {
			out = append(out, s[begin:i:i])
			begin = i
			text = append(text[:0], text[before:]...)
		}
	}
	if begin < len(s) {
		out = append(out, s[begin:])
	}
	return out
}
