package storetest_test

import (
	"testing"

	"mailroom/internal/peers"
	"mailroom/internal/store"
	"mailroom/internal/store/storetest"
)

func TestPersonSQLite(t *testing.T) { storetest.RunPerson(t, storetest.Open) }

func TestPersonPostgres(t *testing.T) {
	storetest.RunPerson(t, func(t testing.TB) *store.Store { return storetest.OpenDSN(t, peers.Postgres(t)) })
}
