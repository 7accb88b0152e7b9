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
