package storetest_test

import (
	"testing"

	"mailroom/internal/peers"
	"mailroom/internal/store"
	"mailroom/internal/store/storetest"
)

func TestNoticesSQLite(t *testing.T) { storetest.RunNotices(t, storetest.Open) }

func TestNoticesPostgres(t *testing.T) {
	storetest.RunNotices(t, func(t testing.TB) *store.Store { return storetest.OpenDSN(t, peers.Postgres(t)) })
}
