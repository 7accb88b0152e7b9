package storetest_test

import (
	"testing"

	"mailroom/internal/peers"
	"mailroom/internal/store/storetest"
)

func TestOpen(t *testing.T) {
	storetest.Open(t)
	storetest.OpenDSN(t, peers.Postgres(t))
}
