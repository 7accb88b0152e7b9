package mailroom

import "testing"

func TestCursorNext(t *testing.T) {
	read := Cursor{UIDValidity: 7, UIDNext: 101}
	for _, c := range []struct {
		name string
		cur  Cursor
		st   FolderStatus
		held int64
		want Step
	}{
		{"never read", Cursor{}, FolderStatus{UIDValidity: 7, UIDNext: 101, Messages: 100}, 0, StepFirst},
		{"never read, empty folder", Cursor{}, FolderStatus{UIDValidity: 7, UIDNext: 1}, 0, StepFirst},
		{"nothing happened", read, FolderStatus{UIDValidity: 7, UIDNext: 101, Messages: 100}, 100, StepNothing},
		{"emptied and read", read, FolderStatus{UIDValidity: 7, UIDNext: 101}, 0, StepNothing},
		{"one came", read, FolderStatus{UIDValidity: 7, UIDNext: 102, Messages: 101}, 100, StepNew},
		{"one came and one went", read, FolderStatus{UIDValidity: 7, UIDNext: 102, Messages: 100}, 100, StepNew},
		{"one came and went at once", read, FolderStatus{UIDValidity: 7, UIDNext: 102, Messages: 100}, 100, StepNew},
		{"one went", read, FolderStatus{UIDValidity: 7, UIDNext: 101, Messages: 99}, 100, StepChanged},
		{"we hold fewer than there are", read, FolderStatus{UIDValidity: 7, UIDNext: 101, Messages: 100}, 59, StepChanged},
		{"renumbered", read, FolderStatus{UIDValidity: 8, UIDNext: 101, Messages: 100}, 100, StepRenew},
		{"renumbered to a lower number", read, FolderStatus{UIDValidity: 3, UIDNext: 5, Messages: 4}, 100, StepRenew},
		{"no UIDVALIDITY said", read, FolderStatus{UIDNext: 101, Messages: 100}, 100, StepNothing},
		{"no UIDNEXT said, count equal", read, FolderStatus{UIDValidity: 7, Messages: 100}, 100, StepNew},
		{"no UIDNEXT said, count grown", read, FolderStatus{UIDValidity: 7, Messages: 101}, 100, StepNew},
		{"UIDNEXT behind what we saw", read, FolderStatus{UIDValidity: 7, UIDNext: 99, Messages: 100}, 100, StepNothing},
		{"UIDNEXT behind and count off", read, FolderStatus{UIDValidity: 7, UIDNext: 99, Messages: 98}, 100, StepChanged},
		{"the last UID there is", Cursor{UIDValidity: 7, UIDNext: 1<<32 - 1}, FolderStatus{UIDValidity: 7, UIDNext: 1<<32 - 1, Messages: 3}, 3, StepNothing},
	} {
		if got := c.cur.Next(c.st, c.held); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// Whatever a server says: something unknown at the end is never taken for
// nothing, and a difference in count neither.
func FuzzCursorNext(f *testing.F) {
	f.Add(uint32(7), uint32(101), uint32(7), uint32(102), uint32(100), int64(100))
	f.Add(uint32(0), uint32(0), uint32(0), uint32(0), uint32(0), int64(0))
	f.Fuzz(func(t *testing.T, haveV, haveN, v, n, messages uint32, held int64) {
		c := Cursor{UIDValidity: haveV, UIDNext: haveN}
		st := FolderStatus{UIDValidity: v, UIDNext: n, Messages: messages}
		step := c.Next(st, held)
		if step != StepNothing {
			return
		}
		if haveV == 0 || n == 0 || n > haveN || int64(messages) != held || (v != 0 && v != haveV) {
			t.Fatalf("cursor %+v, status %+v, held %d: nothing to do?", c, st, held)
		}
	})
}

// folder is a folder at a server, and what a reader that follows the steps
// believes of it.
type folder struct {
	validity, next uint32
	there          map[uint32]bool
	cur            Cursor
	held           UIDSet
}

func (f *folder) uids(from uint32) UIDSet {
	var out []uint32
	for u := range f.there {
		if u >= from {
			out = append(out, u)
		}
	}
	return UIDs(out...)
}

// check does what a Step asks for. A full listing settles everything.
func (f *folder) check(st FolderStatus) Step {
	step := f.cur.Next(st, f.held.Len())
	list := func(from uint32) {
		found := f.uids(from)
		if f.held = f.held.Union(found); from <= 1 {
			f.held = found
		}
		f.cur.UIDNext = max(f.cur.UIDNext, st.UIDNext, f.held.Max()+1)
	}
	switch step {
	case StepFirst, StepRenew:
		f.cur, f.held = Cursor{UIDValidity: st.UIDValidity}, UIDSet{}
		list(1)
	case StepNew:
		list(f.cur.UIDNext)
		if f.held.Len() != int64(st.Messages) {
			list(1)
		}
	case StepChanged:
		list(1)
	}
	return step
}

// FuzzCursorRules lets mail come and go in any order, with a server that may
// keep its UIDNEXT to itself or say an old one: whoever does what the steps ask
// for holds exactly what is there after each check.
func FuzzCursorRules(f *testing.F) {
	f.Add([]byte{0, 5, 4, 0, 1, 2, 4, 0, 0, 1, 4, 0})
	f.Add([]byte{0, 9, 5, 0, 3, 0, 5, 0, 1, 1, 6, 2})
	f.Fuzz(func(t *testing.T, ops []byte) {
		s := folder{validity: 7, next: 1, there: map[uint32]bool{}}
		for i := 0; i+1 < len(ops) && i < 400; i += 2 {
			n := uint32(ops[i+1])
			switch ops[i] % 7 {
			case 0: // mail comes
				for range n%20 + 1 {
					s.there[s.next] = true
					s.next++
				}
			case 1: // one goes
				if all := s.uids(1); !all.Empty() {
					delete(s.there, all.Newest(int64(n)%all.Len() + 1).Ranges()[0].From)
				}
			case 2: // UIDs are passed over, or came and went between two checks
				s.next += n
			case 3: // renumbered
				count := len(s.there)
				s.validity, s.next, s.there = s.validity+1, n+1, map[uint32]bool{}
				for range count {
					s.there[s.next] = true
					s.next++
				}
			default:
				st := FolderStatus{UIDValidity: s.validity, UIDNext: s.next, Messages: uint32(len(s.there))}
				if ops[i]%7 == 5 {
					st.UIDNext = 0
				}
				// Something is known to have changed only once it is said.
				stale := ops[i]%7 == 6 && n > 0 && st.UIDNext > n && s.cur.UIDValidity == s.validity
				if stale {
					st.UIDNext -= n
				}
				step := s.check(st)
				if stale && step == StepNothing {
					continue
				}
				if want := s.uids(1); !s.held.Equal(want) && !stale {
					t.Fatalf("op %d, %s: holds %s, there is %s", i/2, step, s.held, want)
				}
			}
		}
	})
}
