package storetest

import (
	"testing"

	"mailroom/internal/store"
)

// Run is the conformance suite that every engine must pass: what people ask for
// and what happens unasked. open must open its store by this package.
func Run(t *testing.T, open func(testing.TB) *store.Store) {
	t.Run("person", func(t *testing.T) { RunPerson(t, open) })
	t.Run("machine", func(t *testing.T) { RunMachine(t, open) })
}

// RunMachine is the part of the suite about leases, filing and what else
// happens unasked. open is called once; every part brings its own agency.
func RunMachine(t *testing.T, open func(testing.TB) *store.Store) {
	s := open(t)
	for _, p := range []struct {
		name string
		run  func(*testing.T, World)
	}{
		{"claim only what may be read", testClaimable},
		{"claim what is due", testClaimDue},
		{"two nodes claim at once", testClaimRace},
		{"claim despite a wrong clock", testClaimDespiteClock},
		{"mailboxes shared out", testShare},
		{"house kept", testKeepHouse},
		{"folder followed", testFollowed},
		{"folder followed to where something lies", testFollowedOnto},
		{"people at addresses", testPeopleAt},
		{"lease renewed and lost", testLease},
		{"lease of a crashed node", testTakeBack},
		{"wanted", testWanted},
		{"release", testRelease},
		{"failing run answers what was asked", testReleaseAnswers},
		{"work loaded", testLoadWork},
		{"progress saved", testSaveProgress},
		{"folders saved", testSaveFolders},
		{"runs", testRuns},
		{"settings", testSettings},
		{"sessions", testSessions},
		{"mail filed", testDeliver},
		{"thousand mails filed", testDeliverMany},
		{"copies are one message", testDeliverCopies},
		{"batch again", testDeliverAgain},
		{"fenced", testDeliverFenced},
		{"refused batch leaves nothing", testDeliverRefused},
		{"mapping taken away", testDeliverUnmapped},
		{"linked", testDeliverLinks},
		{"linked by what a person decided", testDeliverHonours},
		{"read state", testDeliverRead},
		{"hostile text", testDeliverHostile},
		{"quarantine and out of it", testDeliverQuarantine},
		{"one mail filed by two nodes at once", testDeliverRace},
		{"person added while mail is filed", testLateLinkRace},
		{"flags", testApplyFlags},
		{"gone and back", testMarkGone},
		{"counters", testCounters},
		{"search", testSearch},
		{"a move is a move", testMoves},
		{"removed as its mapping says", testRemovals},
		{"removed and come back", testTombstones},
		{"removal and colleagues", testRemovalShared},
		{"gone from quarantine", testQuarantineGone},
		{"mail that comes and goes at random", testComeAndGo},
		{"findings", testFindings},
		{"copies by object id", testCopiesByObject},
		{"quarantine given up and kept", testQuarantineDropped},
		{"blobs known", testKnownBlobs},
		{"unnamed blobs swept", testSweepBlobs},
	} {
		t.Run(p.name, func(t *testing.T) { p.run(t, Seed(t, s)) })
	}
}
