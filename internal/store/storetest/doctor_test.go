package storetest_test

import (
	"testing"

	"mailroom/internal/peers"
	"mailroom/internal/store"
	"mailroom/internal/store/storetest"
)

func TestDoctorSQLite(t *testing.T) { storetest.RunDoctor(t, storetest.Open) }

func TestDoctorPostgres(t *testing.T) {
	storetest.RunDoctor(t, func(t testing.TB) *store.Store { return storetest.OpenDSN(t, peers.Postgres(t)) })
}
