package storetest_test

import (
	"testing"

	"mailroom/internal/peers"
	"mailroom/internal/store"
	"mailroom/internal/store/storetest"
)

func TestConsentsSQLite(t *testing.T) { storetest.RunConsents(t, storetest.Open) }

func TestConsentsPostgres(t *testing.T) {
	storetest.RunConsents(t, func(t testing.TB) *store.Store { return storetest.OpenDSN(t, peers.Postgres(t)) })
}
