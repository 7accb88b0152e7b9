package mailroom

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func set(t *testing.T, s string) UIDSet {
	t.Helper()
	got, err := ParseUIDSet(s)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestUIDSetAlgebra(t *testing.T) {
	const top = "4294967295"
	for _, c := range []struct{ a, b, union, minus, intersect string }{
		{"", "", "", "", ""},
		{"1:5", "", "1:5", "1:5", ""},
		{"", "1:5", "1:5", "", ""},
		{"1:5", "1:5", "1:5", "", "1:5"},
		{"1:5", "3", "1:5", "1:2,4:5", "3"},
		{"1:5", "1", "1:5", "2:5", "1"},
		{"1:5", "5", "1:5", "1:4", "5"},
		{"1:5", "6:9", "1:9", "1:5", ""},
		{"1:5", "7:9", "1:5,7:9", "1:5", ""},
		{"1:5,10:15,20:25", "4:11,15,24:30", "1:15,20:30", "1:3,12:14,20:23", "4:5,10:11,15,24:25"},
		{"1:100", "2,4,6,99:200", "1:200", "1,3,5,7:98", "2,4,6,99:100"},
		{"2,4,6", "1:100", "1:100", "", "2,4,6"},
		{"5:10,20:30", "1:40", "1:40", "", "5:10,20:30"},
		{"4294967290:" + top, top, "4294967290:" + top, "4294967290:4294967294", top},
		{top, "1:" + top, "1:" + top, "", top},
	} {
		a, b := set(t, c.a), set(t, c.b)
		if got := a.Union(b).String(); got != c.union {
			t.Errorf("%q ∪ %q = %q, want %q", c.a, c.b, got, c.union)
		}
		if got := a.Minus(b).String(); got != c.minus {
			t.Errorf("%q − %q = %q, want %q", c.a, c.b, got, c.minus)
		}
		if got := a.Intersect(b).String(); got != c.intersect {
			t.Errorf("%q ∩ %q = %q, want %q", c.a, c.b, got, c.intersect)
		}
		if a.String() != c.a || b.String() != c.b {
			t.Errorf("operands changed: %q, %q", a, b)
		}
	}
}

func TestUIDSetNewest(t *testing.T) {
	s := set(t, "1:5,8,10:12")
	for n, want := range map[int64]string{-1: "", 0: "", 1: "12", 3: "10:12", 4: "8,10:12", 6: "4:5,8,10:12", 9: "1:5,8,10:12", 99: "1:5,8,10:12"} {
		if got := s.Newest(n).String(); got != want {
			t.Errorf("newest %d = %q, want %q", n, got, want)
		}
	}
	if s.String() != "1:5,8,10:12" {
		t.Errorf("set changed: %s", s)
	}
	var down []uint32
	for u := range s.Descending {
		down = append(down, u)
	}
	if !slices.Equal(down, []uint32{12, 11, 10, 8, 5, 4, 3, 2, 1}) {
		t.Errorf("descending: %v", down)
	}
}

func TestUIDSetOfRanges(t *testing.T) {
	for _, c := range []struct {
		in   []UIDRange
		want string
	}{
		{nil, ""},
		{[]UIDRange{{0, 0}}, ""},
		{[]UIDRange{{0, 3}}, "1:3"},
		{[]UIDRange{{9, 7}, {1, 2}}, "1:2,7:9"},
		{[]UIDRange{{1, 2}, {3, 4}}, "1:4"},
		{[]UIDRange{{1, 9}, {2, 3}}, "1:9"},
		{[]UIDRange{{math.MaxUint32, math.MaxUint32}, {1, math.MaxUint32}}, "1:4294967295"},
	} {
		if got := UIDRanges(c.in...).String(); got != c.want {
			t.Errorf("%v = %q, want %q", c.in, got, c.want)
		}
	}
	if got := UIDs(5, 0, 3, 4, 9, 5); got.String() != "3:5,9" || got.Len() != 4 || got.Max() != 9 {
		t.Errorf("UIDs: %s, %d of them, max %d", got, got.Len(), got.Max())
	}
	if got := Range(1, math.MaxUint32).Len(); got != math.MaxUint32 {
		t.Errorf("all UIDs are %d", got)
	}
	if !Range(5, 4).Empty() || !Range(0, 4).Empty() {
		t.Error("a range without sense is not empty")
	}
}

func TestUIDSetText(t *testing.T) {
	for _, bad := range []string{",", "1,", "0", "1:0", "0:1", "*", "1:*", "x", "-1", "+1", "1:2:3", "4294967296", " 1"} {
		if s, err := ParseUIDSet(bad); err == nil {
			t.Errorf("%q was read as %s", bad, s)
		}
	}
}

// FuzzUIDSet holds the algebra against a plain set of numbers.
func FuzzUIDSet(f *testing.F) {
	f.Add([]byte{1, 5, 8, 2}, []byte{3, 0, 200, 40}, uint8(3))
	f.Add([]byte{}, []byte{255, 255}, uint8(0))
	f.Add([]byte{0, 0, 1, 0, 2, 0}, []byte{1, 0}, uint8(1))
	f.Fuzz(func(t *testing.T, ab, bb []byte, n uint8) {
		a, am := modelSet(ab)
		b, bm := modelSet(bb)
		union, minus, both := map[uint32]bool{}, map[uint32]bool{}, map[uint32]bool{}
		for u := range am {
			union[u] = true
			if bm[u] {
				both[u] = true
			} else {
				minus[u] = true
			}
		}
		for u := range bm {
			union[u] = true
		}
		same(t, "a", a, am)
		same(t, "union", a.Union(b), union)
		same(t, "minus", a.Minus(b), minus)
		same(t, "intersect", a.Intersect(b), both)
		newest := map[uint32]bool{}
		for u := range a.Descending {
			if len(newest) == int(n) {
				break
			}
			newest[u] = true
		}
		same(t, "newest", a.Newest(int64(n)), newest)
		back, err := ParseUIDSet(a.String())
		if err != nil || !back.Equal(a) {
			t.Fatalf("%q read back as %q, %v", a, back, err)
		}
		same(t, "a afterwards", a, am)
		same(t, "b afterwards", b, bm)
	})
}

// Whatever text is read as a set means the same when it is written and read
// again, and holds what it says.
func FuzzParseUIDSet(f *testing.F) {
	for _, s := range []string{"", "1", "1:4,7", "7:1", "3,1,2", "4294967295", "1:4294967295", "2:3,4:9,1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseUIDSet(text)
		if err != nil {
			if !s.Empty() {
				t.Fatalf("%q is refused and is %s", text, s)
			}
			return
		}
		back, err := ParseUIDSet(s.String())
		if err != nil || !back.Equal(s) {
			t.Fatalf("%q is %s, which is %s, %v", text, s, back, err)
		}
		for part := range strings.SplitSeq(text, ",") {
			for end := range strings.SplitSeq(part, ":") {
				n, err := strconv.ParseUint(end, 10, 32)
				if text != "" && (err != nil || n == 0 || !s.Contains(uint32(n))) {
					t.Fatalf("%q is %s, without %q", text, s, end)
				}
			}
		}
		if !s.Minus(s).Empty() || !s.Union(s).Equal(s) || !s.Intersect(s).Equal(s) || s.Len() > math.MaxUint32 {
			t.Fatalf("%s and itself", s)
		}
	})
}

// modelSet makes a set and its model of pairs (start, length); UIDs near the
// top of the number space come in by starts of 200 and more.
func modelSet(b []byte) (UIDSet, map[uint32]bool) {
	var rs []UIDRange
	m := map[uint32]bool{}
	for i := 0; i+1 < len(b) && i < 60; i += 2 {
		from, to := uint64(b[i]), uint64(b[i])+uint64(b[i+1]%32)
		if b[i] >= 200 {
			from, to = from+math.MaxUint32-255, to+math.MaxUint32-255
		}
		to = min(to, math.MaxUint32)
		rs = append(rs, UIDRange{uint32(from), uint32(to)})
		for u := from; u <= to; u++ {
			if u != 0 {
				m[uint32(u)] = true
			}
		}
	}
	return UIDRanges(rs...), m
}

func same(t *testing.T, what string, s UIDSet, m map[uint32]bool) {
	t.Helper()
	if s.Len() != int64(len(m)) {
		t.Fatalf("%s: %s holds %d UIDs, want %d", what, s, s.Len(), len(m))
	}
	for u := range m {
		if !s.Contains(u) {
			t.Fatalf("%s: %s lacks %d", what, s, u)
		}
	}
	rs := s.Ranges()
	for i, r := range rs {
		if r.From == 0 || r.From > r.To || i > 0 && uint64(rs[i-1].To)+1 >= uint64(r.From) {
			t.Fatalf("%s: ranges not sorted and apart: %v", what, rs)
		}
	}
}

func TestUIDSetGapsStayQuick(t *testing.T) {
	var odd []uint32
	for u := uint32(1); u < 200_000; u += 2 {
		odd = append(odd, u)
	}
	s := UIDs(odd...)
	rest := s
	for !rest.Empty() {
		rest = rest.Minus(rest.Newest(5_000))
	}
	if s.Len() != 100_000 {
		t.Errorf("set changed: %d", s.Len())
	}
}

func TestSpreadReachesFromEndToEnd(t *testing.T) {
	for _, c := range []struct {
		set  UIDSet
		n    int64
		want string
	}{
		{Range(1, 100000), 3, "1,50000,100000"},
		{UIDRanges(UIDRange{5, 5}, UIDRange{10, 18}), 4, "5,12,15,18"},
		{Range(7, 9), 1000, "7:9"},
		{UIDs(3, 9, 27), 2, "3,27"},
		{Range(4, 9), 1, "4"},
		{UIDSet{}, 5, ""},
		{Range(4, 9), 0, ""},
		{Range(1, 1<<32-1), 2, "1,4294967295"},
	} {
		if got := c.set.Spread(c.n).String(); got != c.want {
			t.Errorf("%d of %s: %s, want %s", c.n, c.set, got, c.want)
		}
	}
	if n := Range(1, 200000).Spread(1000).Len(); n != 1000 {
		t.Errorf("%d of 1,000", n)
	}
}
