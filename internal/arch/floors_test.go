// Package arch holds the house to its plan: which room may know which, and the
// conventions that a machine can see. It is a test and no code. It cannot see
// whether a room does its one duty well; that is for readers.
package arch

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// A room is one package. ARCHITECTURE.md has the same table with each room's duty
// in full; a new room gets its row there and here first.
type room struct {
	floor int
	may   []string // the rooms that it may know; "…/*" stands for all below a path
	why   string   // told to whoever imports something else
}

// words is on the ground of every floor: rooms of floor 0 may know it too.
const words = "internal/mailroom"

var rooms = map[string]room{
	"internal/mailroom": {0, nil,
		"the words of the product need nothing but the standard library"},
	"internal/i18n": {0, nil,
		"putting keys into languages needs no other room"},
	"internal/vault": {0, nil,
		"sealing secrets needs no other room"},
	"internal/imapwire": {0, nil,
		"the IMAP wire knows nothing of Mailroom"},
	"internal/netguard": {0, []string{words},
		"judging an address needs only the words for a refusal"},
	"static": {0, nil,
		"assets know nobody"},

	"internal/store": {1, []string{words},
		"SQL keeps the words and decides nothing"},
	"internal/blob": {1, []string{words},
		"raw bytes by hash need no other room"},
	"internal/imapconn": {1, []string{words, "internal/imapwire"},
		"reading mail needs the wire and the words"},
	"internal/oauth": {1, []string{words, "internal/netguard"},
		"speaking to a provider needs the words and the guard of outgoing connections"},
	"internal/graph": {1, []string{words, "internal/netguard"},
		"reading a tenant's directory needs the words and the guard of outgoing connections"},
	"internal/courier": {1, []string{words, "internal/netguard"},
		"carrying a notice needs the words and the guard of outgoing connections"},
	"internal/envelope": {1, []string{words},
		"reading a message needs only the words"},

	"internal/access": {2, []string{words, "internal/vault"},
		floor2},
	"internal/portal": {2, []string{words, "internal/envelope"},
		floor2},
	"internal/doctor": {2, []string{words},
		floor2},
	"internal/notice": {2, []string{words, "internal/i18n"},
		floor2},
	"internal/syncer": {2, []string{words, "internal/envelope"},
		floor2},
	"templates": {3, []string{words, "internal/i18n", "internal/portal", "static"},
		"a template shows what it is given, which is portal's view structs, and asks nobody"},
	"web": {4, []string{words, "internal/i18n", "internal/portal", "templates", "static"},
		"handlers decode, ask portal and render; they reach no door to the outside"},
	"internal/app": {5, []string{"internal/*", "web", "templates", "static"},
		"app wires production rooms; it knows neither the pretend world nor the tests' peers"},
	"cmd/mailroom": {6, []string{"internal/app", words},
		"main turns flags into a configuration and runs app"},
	"cmd/demo": {6, []string{"internal/app", words, "internal/portal", "internal/pretend/*"},
		"the demo is the same app inside the pretend world, furnished through portal as people would"},

	"internal/pretend/issuer":  {4, pretend, pretendWhy},
	"internal/pretend/graph":   {4, pretend, pretendWhy},
	"internal/pretend/imapd":   {4, pretend, pretendWhy},
	"internal/pretend/postbox": {4, pretend, pretendWhy},
	"internal/pretend/world":   {4, pretend, pretendWhy},

	// What only tests import.
	"internal/peers": {4, []string{words},
		"peers are servers that nobody here wrote, and know nothing of Mailroom"},
	"internal/imapwire/wiretest": {1, []string{"internal/imapwire"},
		"a scripted server for tests of the wire"},
	"internal/store/storetest": {2, []string{words, "internal/store"},
		"the conformance suite of the store"},
}

const floor2 = "rooms of floor 2 name the small interface that they need, and app plugs the door in " +
	"(store, blob, imapconn, oauth are doors to the outside)"

var pretend = []string{words, "internal/pretend/*"}

const pretendWhy = "the pretend world is what the program meets, not a part of it: it shares the words at most"

// testOnly are rooms without code: directories of tests, with a doc.go at most.
var testOnly = []string{"internal/arch", "internal/bench"}

// testSupport is what tests import and the program must not.
var testSupport = []string{"internal/peers", "internal/imapwire/wiretest", "internal/store/storetest"}

// notInProgram must never be linked into the production program.
var notInProgram = append([]string{"internal/pretend/*"}, testSupport...)

func covers(pattern, name string) bool {
	if below, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(name, below)
	}
	return pattern == name
}

func anyCovers(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return covers(p, name) })
}

// offence says why a room must not import another, or nothing.
func offence(from, to string) string {
	r, listed := rooms[from]
	switch {
	case !listed:
		return from + " is no room of the house: give it a row in ARCHITECTURE.md and in rooms"
	case from == "internal/app" && anyCovers(notInProgram, to), !anyCovers(r.may, to):
		return fmt.Sprintf("%s must not import %s: %s", from, to, r.why)
	}
	return ""
}

func TestEveryRoomKnowsOnlyWhatItMay(t *testing.T) {
	for _, p := range packages(t) {
		if slices.Contains(testOnly, p.room) {
			if p.code() > 0 {
				t.Errorf("%s is listed as a room of tests and holds code", p.room)
			}
			continue
		}
		if _, listed := rooms[p.room]; !listed {
			t.Error(offence(p.room, ""))
			continue
		}
		for _, to := range p.imports() {
			if why := offence(p.room, to); why != "" {
				t.Error(why)
			}
		}
	}
}

// A row for a room that has gone would let a namesake in unseen.
func TestEveryRowHasItsRoom(t *testing.T) {
	built := map[string]bool{}
	for _, p := range packages(t) {
		built[p.room] = true
	}
	for _, name := range slices.Sorted(maps.Keys(rooms)) {
		if !built[name] {
			t.Errorf("%s has a row and no code", name)
		}
	}
}

func TestArrowsPointDown(t *testing.T) {
	for from, r := range rooms {
		for to, below := range rooms {
			if from == to || to == words || !anyCovers(r.may, to) || offence(from, to) != "" {
				continue
			}
			sameHouse := strings.HasPrefix(from, "internal/pretend/") && strings.HasPrefix(to, "internal/pretend/")
			if below.floor >= r.floor && !sameHouse {
				t.Errorf("%s (floor %d) may import %s (floor %d): the table has an arrow that does not point down", from, r.floor, to, below.floor)
			}
		}
	}
}

func TestForbiddenArrowsAreNamedWithTheirReason(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{"internal/portal", "internal/store", "app plugs the door in"},
		{"internal/syncer", "internal/imapconn", "app plugs the door in"},
		{"internal/mailroom", "internal/i18n", "standard library"},
		{"web", "internal/store", "no door to the outside"},
		{"cmd/mailroom", "internal/pretend/world", "runs app"},
		{"internal/app", "internal/peers", "neither the pretend world nor the tests' peers"},
		{"internal/app", "internal/pretend/imapd", "neither the pretend world nor the tests' peers"},
		{"internal/helpers", "internal/mailroom", "no room of the house"},
	} {
		if got := offence(c.from, c.to); !strings.Contains(got, c.want) {
			t.Errorf("%s -> %s: %q does not say %q", c.from, c.to, got, c.want)
		}
	}
	for _, c := range [][2]string{{"internal/app", "internal/store"}, {"internal/access", "internal/vault"}, {"cmd/demo", "internal/pretend/world"}} {
		if got := offence(c[0], c[1]); got != "" {
			t.Errorf("%s -> %s is refused: %s", c[0], c[1], got)
		}
	}
}

// The program that a company runs holds nothing of the world that was pretended
// around it, nor of the test ground.
func TestProgramDoesNotLinkThePretendWorld(t *testing.T) {
	imports := map[string][]string{}
	for _, p := range packages(t) {
		imports[p.room] = p.imports()
	}
	if _, built := imports["cmd/mailroom"]; !built {
		t.Fatal("cmd/mailroom is not there")
	}
	linked := map[string]string{"cmd/mailroom": "cmd/mailroom"}
	for todo := []string{"cmd/mailroom"}; len(todo) > 0; todo = todo[1:] {
		for _, to := range imports[todo[0]] {
			if linked[to] == "" {
				linked[to] = linked[todo[0]] + " -> " + to
				todo = append(todo, to)
			}
		}
	}
	if len(linked) < 10 {
		t.Errorf("cmd/mailroom links only %d rooms: this test has lost its way", len(linked))
	}
	for to, path := range linked {
		if anyCovers(notInProgram, to) {
			t.Errorf("cmd/mailroom links %s: %s", to, path)
		}
	}
}
