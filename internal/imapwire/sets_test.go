package imapwire

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestUIDSetText(t *testing.T) {
	for in, want := range map[string]string{
		"1": "1", "3,1,2": "1:3", "5:3": "3:5", "1:3,2:8,10": "1:8,10", "4:*": "4:*", "*": "*", "9:*,1:3,20": "1:3,9:*", "*:5": "5:*",
		"4294967295": "*", "4294967294:4294967295": "4294967294:*", "7,5,3,6": "3,5:7", "10:20,1:30": "1:30", "1,3,5,2:4": "1:5",
	} {
		s, err := ParseUIDSet(in)
		if err != nil || s.String() != want {
			t.Errorf("%s reads as %s, %v, want %s", in, s, err, want)
		}
	}
	for _, in := range []string{"", "0", "1,", "a", "1:2:3", "-1", "4294967296", "1 2", ":", "1:"} {
		if s, err := ParseUIDSet(in); err == nil {
			t.Errorf("%q reads as %s", in, s)
		}
	}
}

// Sets must behave like the plain maps that they stand for.
func TestUIDSetAgainstMaps(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		var sets [2]UIDSet
		var maps [2]map[uint32]bool
		for i := range sets {
			maps[i] = map[uint32]bool{}
			for range r.IntN(12) {
				a := uint32(r.IntN(40))
				b := a + uint32(r.IntN(6))
				sets[i].AddRange(a, b)
				for ; a <= b; a++ {
					if a > 0 {
						maps[i][a] = true
					}
				}
			}
			if int(sets[i].Len()) != len(maps[i]) {
				t.Fatalf("%s holds %d, want %d", sets[i], sets[i].Len(), len(maps[i]))
			}
			for j := 1; j < len(sets[i]); j++ {
				if sets[i][j].First <= sets[i][j-1].Last+1 {
					t.Fatalf("%v is out of order", sets[i])
				}
			}
		}
		var both UIDSet
		both.AddSet(sets[1])
		both.AddSet(sets[0])
		diff := sets[0].Minus(sets[1])
		var want []uint32
		for u := range uint32(60) {
			if sets[0].Contains(u) != maps[0][u] {
				t.Fatalf("%s contains %d: %v", sets[0], u, maps[0][u])
			}
			if both.Contains(u) != (maps[0][u] || maps[1][u]) {
				t.Fatalf("%s and %s together are %s", sets[0], sets[1], both)
			}
			if maps[0][u] && !maps[1][u] {
				want = append(want, u)
			}
		}
		if got := slices.Collect(diff.All()); !slices.Equal(got, want) {
			t.Fatalf("%s minus %s is %v, want %v", sets[0], sets[1], got, want)
		}
		if back, err := ParseUIDSet(sets[0].String()); len(sets[0]) > 0 && (err != nil || !slices.Equal(back, sets[0])) {
			t.Fatalf("%s reads back as %s", sets[0], back)
		}
	}
}

func TestSplitSetsFitCommands(t *testing.T) {
	var s UIDSet
	for u := uint32(1); u < 40_000; u += 3 {
		s.Add(u)
	}
	s.AddRange(50_000, Star)
	parts := s.Split(MaxSet)
	var sum UIDSet
	for _, p := range parts {
		if n := len(p.String()); n > MaxSet || n == 0 {
			t.Errorf("a part has %d bytes", n)
		}
		sum.AddSet(p)
	}
	if !slices.Equal(sum, s) {
		t.Error("the parts are not the whole")
	}
	if want := len(s.String())/MaxSet + 1; len(parts) > want+1 {
		t.Errorf("%d parts, want about %d", len(parts), want)
	}
	if parts := UIDSet(nil).Split(10); parts != nil {
		t.Errorf("nothing splits into %v", parts)
	}
	if parts := UIDs(1_000_000_000, 3_000_000_000).Split(1); len(parts) != 2 {
		t.Errorf("two numbers split into %v", parts)
	}
}

func TestModifiedUTF7(t *testing.T) {
	for raw, name := range map[string]string{
		"INBOX":                           "INBOX",
		"&AMk-l&AOk-ments envoy&AOk-s":    "\u00c9l\u00e9ments envoy\u00e9s",
		"Entw&APw-rfe":                    "Entw\u00fcrfe",
		"~peter/mail/&U,BTFw-/&ZeVnLIqe-": "~peter/mail/\u53f0\u5317/\u65e5\u672c\u8a9e",
		"Tom &- Jerry":                    "Tom & Jerry",
		"&2D3eAA-":                        "\U0001F600",
		"&AAo-x":                          "\nx",
	} {
		if got := DecodeUTF7(raw); got != name {
			t.Errorf("%s decodes to %q, want %q", raw, got, name)
		}
		if got := EncodeUTF7(name); got != raw {
			t.Errorf("%q encodes to %s, want %s", name, got, raw)
		}
	}
}

func TestOddFolderNamesAreShownAsTheyAre(t *testing.T) {
	for raw, name := range map[string]string{
		"R&D":               "R&D",
		"A & B-side":        "A & B-side",
		"&!!!-x":            "&!!!-x",
		"&AOk":              "&AOk",
		"&2D0-":             "&2D0-", // half a pair
		"&3gA-":             "&3gA-",
		"&A-":               "&A-",
		"&AGE-bc":           "abc", // needlessly encoded, but readable
		"&AOk-&AOk-":        "\u00e9\u00e9",
		"Entw\u00fcrfe":     "Entw\u00fcrfe",
		"L\xe9ger":          "L\uFFFDger",
		"a &AOk- & b &bad!": "a \u00e9 & b &bad!",
	} {
		if got := DecodeUTF7(raw); got != name {
			t.Errorf("%q decodes to %q, want %q", raw, got, name)
		}
	}
}

func TestNamesAfterUTF8Accept(t *testing.T) {
	c := open(t, "", "C: {a} ENABLE UTF8=ACCEPT\nS: * ENABLED UTF8=ACCEPT\nS: {a} OK\nC: {b} EXAMINE \"\u00c9t\u00e9\"\nS: {b} OK\n")
	wait(t, c.Enable("UTF8=ACCEPT"))
	if c.EncodeName("\u00c9t\u00e9") != "\u00c9t\u00e9" || c.DecodeName("&AOk-") != "&AOk-" {
		t.Error("names are still modified UTF-7")
	}
	wait(t, c.Examine(c.EncodeName("\u00c9t\u00e9"), ExamineOptions{}))
}
