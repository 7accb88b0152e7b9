package portal_test

import (
	"fmt"
	"strings"
	"testing"

	"mailroom/internal/mailroom"
	"mailroom/internal/peers"
	"mailroom/internal/portal"
	"mailroom/internal/store"
	"mailroom/internal/store/storetest"
)

// BenchmarkImportPeople imports 50,000 people, and the same file again.
func BenchmarkImportPeople(b *testing.B) {
	var file strings.Builder
	file.WriteString("kind,name,emails,company,reference\n")
	for i := range 50_000 {
		fmt.Fprintf(&file, "candidate,Person %d,p%d@x.example;q%d@x.example,Company %d,C%d\n", i, i, i, i%500, i)
	}
	run := func(b *testing.B, s *store.Store) {
		w := storetest.Seed(b, s)
		p := portal.New(portal.Deps{Store: s})
		u := mailroom.User{ID: w.UserID, OrgID: w.OrgID}
		for range b.N {
			if _, err := p.ImportPeople(b.Context(), u, strings.NewReader(file.String())); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("sqlite", func(b *testing.B) { run(b, storetest.Open(b)) })
	b.Run("postgres", func(b *testing.B) { run(b, storetest.OpenDSN(b, peers.Postgres(b))) })
}
