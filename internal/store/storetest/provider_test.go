package storetest_test

import (
	"testing"

	"mailroom/internal/peers"
	"mailroom/internal/store"
	"mailroom/internal/store/storetest"
)

func TestProvidersSQLite(t *testing.T) { storetest.RunProviders(t, storetest.Open) }

func TestProvidersPostgres(t *testing.T) {
	storetest.RunProviders(t, func(t testing.TB) *store.Store { return storetest.OpenDSN(t, peers.Postgres(t)) })
}
