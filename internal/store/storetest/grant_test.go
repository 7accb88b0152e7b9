package storetest_test

import (
	"testing"

	"mailroom/internal/peers"
	"mailroom/internal/store"
	"mailroom/internal/store/storetest"
)

func TestGrantsSQLite(t *testing.T) { storetest.RunGrants(t, storetest.Open) }

func TestGrantsPostgres(t *testing.T) {
	storetest.RunGrants(t, func(t testing.TB) *store.Store { return storetest.OpenDSN(t, peers.Postgres(t)) })
}
