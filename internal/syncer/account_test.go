package syncer

import (
	"testing"

	"mailroom/internal/mailroom"
)

// whole fails unless the four parts are disjoint and make up the folder.
func whole(t *testing.T, a account) {
	t.Helper()
	if !a.balanced() {
		t.Fatalf("%d on server ≠ %d + %d + %d + %d", a.held(), a.placed.Len(), a.skipped.Len(), a.quarantined.Len(), a.backlog.Len())
	}
	if all := a.placed.Union(a.skipped).Union(a.quarantined).Union(a.backlog); !all.Equal(a.server) {
		t.Fatalf("parts %s, server %s", all, a.server)
	}
}

func TestAccountOfContradictingRows(t *testing.T) {
	set := func(s string) mailroom.UIDSet {
		v, err := mailroom.ParseUIDSet(s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	// A crash between two transactions leaves the progress row behind the others.
	a := newAccount(mailroom.Held{Placed: set("1:10"), Quarantined: set("10:12")}, set("8:20"), set("5:15,30"))
	whole(t, a)
	if a.placed.String() != "1:10" || a.quarantined.String() != "11:12" || a.backlog.String() != "13:15,30" || a.skipped.String() != "16:20" {
		t.Errorf("%+v", a)
	}
}

// FuzzAccount does anything to an account, in any order.
func FuzzAccount(f *testing.F) {
	f.Add([]byte{0, 1, 50, 1, 40, 9, 2, 3, 4, 3, 10, 20, 4, 30, 5})
	f.Add([]byte{0, 1, 200, 2, 1, 200, 1, 1, 200, 3, 1, 200})
	f.Fuzz(func(t *testing.T, ops []byte) {
		var a account
		ever := mailroom.UIDSet{}
		for i := 0; i+2 < len(ops); i += 3 {
			set := mailroom.Range(uint32(ops[i+1]), uint32(ops[i+1])+uint32(ops[i+2]))
			odd := mailroom.UIDs(uint32(ops[i+2]), uint32(ops[i+1])+3)
			before := a
			switch ops[i] % 5 {
			case 0:
				var fresh mailroom.UIDSet
				a, fresh = a.found(set, odd)
				ever = ever.Union(set)
				if !fresh.Equal(a.backlog.Minus(before.backlog)) {
					t.Fatalf("fresh %s, backlog from %s to %s", fresh, before.backlog, a.backlog)
				}
			case 1:
				a = a.filed(set, odd)
				if !before.placed.Minus(a.placed).Empty() {
					t.Fatalf("filed %s, lost %s", set, before.placed.Minus(a.placed))
				}
			case 2:
				a = a.filed(odd, set)
			case 3:
				a = a.without(set)
				if !a.server.Intersect(set).Empty() {
					t.Fatalf("%s is gone and there", set)
				}
			case 4:
				a = a.limited(set)
				if !a.placed.Equal(before.placed) || !a.quarantined.Equal(before.quarantined) {
					t.Fatal("a date limit took away what was filed")
				}
			}
			whole(t, a)
			if !a.server.Minus(ever).Empty() {
				t.Fatalf("%s was never listed", a.server.Minus(ever))
			}
		}
	})
}
