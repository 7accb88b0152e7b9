package mailroom

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// UIDRange is an inclusive range of UIDs.
type UIDRange struct{ From, To uint32 }

// UIDSet is a set of UIDs as sorted, disjoint, non-adjacent ranges: 200,000
// UIDs without gaps take one range. The zero value is the empty set. Methods
// never change the receiver's ranges in place.
type UIDSet struct{ ranges []UIDRange }

// Range is the set of all UIDs from..to; empty when from > to or from is 0.
func Range(from, to uint32) UIDSet {
	if from == 0 || from > to {
		return UIDSet{}
	}
	return UIDSet{[]UIDRange{{from, to}}}
}

// UIDs is the set of the given UIDs, in any order; 0 is no UID and left out.
func UIDs(uids ...uint32) UIDSet {
	rs := make([]UIDRange, 0, len(uids))
	for _, u := range uids {
		rs = append(rs, UIDRange{u, u})
	}
	return UIDRanges(rs...)
}

// UIDRanges is the union of ranges, in any order, reversed ones turned round.
func UIDRanges(rs ...UIDRange) UIDSet {
	clean := make([]UIDRange, 0, len(rs))
	for _, r := range rs {
		if r.From > r.To {
			r.From, r.To = r.To, r.From
		}
		if r.From == 0 {
			r.From = 1
		}
		if r.To >= r.From {
			clean = append(clean, r)
		}
	}
	slices.SortFunc(clean, func(a, b UIDRange) int {
		switch {
		case a.From < b.From:
			return -1
		case a.From > b.From:
			return 1
		}
		return 0
	})
	out := clean[:0]
	for _, r := range clean {
		if n := len(out); n > 0 && uint64(r.From) <= uint64(out[n-1].To)+1 {
			out[n-1].To = max(out[n-1].To, r.To)
			continue
		}
		out = append(out, r)
	}
	return UIDSet{slices.Clip(out)}
}

// ParseUIDSet reads the form that String writes, "1:4,7" (RFC 3501 §9
// sequence-set without "*"); "" is the empty set.
func ParseUIDSet(s string) (UIDSet, error) {
	if s == "" {
		return UIDSet{}, nil
	}
	var rs []UIDRange
	for part := range strings.SplitSeq(s, ",") {
		lo, hi, isRange := strings.Cut(part, ":")
		from, err := strconv.ParseUint(lo, 10, 32)
		if err != nil || from == 0 {
			return UIDSet{}, fmt.Errorf("uid set: %q is no UID", lo)
		}
		to := from
		if isRange {
			if to, err = strconv.ParseUint(hi, 10, 32); err != nil || to == 0 {
				return UIDSet{}, fmt.Errorf("uid set: %q is no UID", hi)
			}
		}
		rs = append(rs, UIDRange{uint32(from), uint32(to)})
	}
	return UIDRanges(rs...), nil
}

func (s UIDSet) String() string {
	var b strings.Builder
	for i, r := range s.ranges {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatUint(uint64(r.From), 10))
		if r.To != r.From {
			b.WriteByte(':')
			b.WriteString(strconv.FormatUint(uint64(r.To), 10))
		}
	}
	return b.String()
}

// Ranges are the set's ranges in rising order. Not to be changed.
func (s UIDSet) Ranges() []UIDRange { return s.ranges }

// Empty reports whether the set holds no UID.
func (s UIDSet) Empty() bool { return len(s.ranges) == 0 }

// Len is how many UIDs the set holds.
func (s UIDSet) Len() int64 {
	var n int64
	for _, r := range s.ranges {
		n += int64(r.To) - int64(r.From) + 1
	}
	return n
}

// Max is the largest UID, 0 for the empty set.
func (s UIDSet) Max() uint32 {
	if len(s.ranges) == 0 {
		return 0
	}
	return s.ranges[len(s.ranges)-1].To
}

// Equal reports whether both hold the same UIDs.
func (s UIDSet) Equal(t UIDSet) bool { return slices.Equal(s.ranges, t.ranges) }

// Contains reports whether uid is in the set.
func (s UIDSet) Contains(uid uint32) bool {
	i := sort.Search(len(s.ranges), func(i int) bool { return s.ranges[i].To >= uid })
	return i < len(s.ranges) && s.ranges[i].From <= uid
}

// Union is every UID that is in s or t.
func (s UIDSet) Union(t UIDSet) UIDSet {
	if s.Empty() {
		return t
	}
	if t.Empty() {
		return s
	}
	out := make([]UIDRange, 0, len(s.ranges)+len(t.ranges))
	for a, b := s.ranges, t.ranges; len(a)+len(b) > 0; {
		if len(a) == 0 || len(b) > 0 && b[0].From < a[0].From {
			a, b = b, a
		}
		r := a[0]
		a = a[1:]
		if n := len(out); n > 0 && uint64(r.From) <= uint64(out[n-1].To)+1 {
			out[n-1].To = max(out[n-1].To, r.To)
			continue
		}
		out = append(out, r)
	}
	return UIDSet{slices.Clip(out)}
}

// Minus is every UID of s that is not in t.
func (s UIDSet) Minus(t UIDSet) UIDSet {
	var out []UIDRange
	j := 0
	for _, r := range s.ranges {
		from, done := r.From, false
		for j < len(t.ranges) && t.ranges[j].To < from {
			j++
		}
		for k := j; k < len(t.ranges) && t.ranges[k].From <= r.To; k++ {
			if t.ranges[k].From > from {
				out = append(out, UIDRange{from, t.ranges[k].From - 1})
			}
			if t.ranges[k].To >= r.To {
				done = true
				break
			}
			from = t.ranges[k].To + 1
		}
		if !done {
			out = append(out, UIDRange{from, r.To})
		}
	}
	return UIDSet{slices.Clip(out)}
}

// Intersect is every UID that is in both.
func (s UIDSet) Intersect(t UIDSet) UIDSet { return s.Minus(s.Minus(t)) }

// Newest is the set of the n largest UIDs.
func (s UIDSet) Newest(n int64) UIDSet {
	var out []UIDRange
	for i := len(s.ranges) - 1; i >= 0 && n > 0; i-- {
		r := s.ranges[i]
		if size := int64(r.To) - int64(r.From) + 1; size > n {
			r.From = uint32(int64(r.To) - n + 1)
		}
		n -= int64(r.To) - int64(r.From) + 1
		out = append(out, r)
	}
	slices.Reverse(out)
	return UIDSet{out}
}

// Descending calls yield with each UID, largest first, until it returns false.
func (s UIDSet) Descending(yield func(uint32) bool) {
	for i := len(s.ranges) - 1; i >= 0; i-- {
		for u := s.ranges[i].To; ; u-- {
			if !yield(u) {
				return
			}
			if u == s.ranges[i].From {
				break
			}
		}
	}
}

// Spread is n of the UIDs spread evenly over the set, the first and the last
// among them; all of them when there are no more.
func (s UIDSet) Spread(n int64) UIDSet {
	total := s.Len()
	if n <= 0 || total <= n {
		return s.Newest(n)
	}
	picked := make([]uint32, 0, n)
	var before, i int64 // UIDs in the ranges before this one; how many are picked
	for _, r := range s.ranges {
		size := int64(r.To-r.From) + 1
		for i < n {
			at := int64(0)
			if n > 1 {
				at = i * (total - 1) / (n - 1)
			}
			if at >= before+size {
				break
			}
			picked = append(picked, r.From+uint32(at-before))
			i++
		}
		before += size
	}
	return UIDs(picked...)
}
