package storetest_test

import (
	"testing"

	"mailroom/internal/peers"
	"mailroom/internal/store"
	"mailroom/internal/store/storetest"
)

func TestMachineSQLite(t *testing.T) { storetest.RunMachine(t, storetest.Open) }

func TestMachinePostgres(t *testing.T) {
	storetest.RunMachine(t, func(t testing.TB) *store.Store { return storetest.OpenDSN(t, peers.Postgres(t)) })
}
