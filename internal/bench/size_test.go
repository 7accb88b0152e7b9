package bench

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// sizes are how much a run measures: BENCH=quick (if empty), which takes less than
// two minutes in all, or full, which is the size that the targets are about.
// BENCH_SIZES="messages=500,rounds=1" sets single ones.
var sizes = map[string]struct{ quick, full int }{
	"rounds":   {2, 5},          // of each side, in alternation
	"messages": {400, 20_000},   // recruiters' mail, 15 KB in the median
	"beside":   {1500, 20_000},  // the same, of the first sync beside which something else is measured
	"distant":  {200, 500},      // messages over the long line
	"checked":  {1000, 20_000},  // small messages in a folder that is looked at for changes
	"looks":    {1, 60},         // at a folder in which nothing changes
	"base":     {1000, 20_000},  // small messages of the row about growth
	"grown":    {5000, 200_000}, // the same of the large folder
	"holds":    {1, 3},          // rounds of holding idle connections
	"idle":     {200, 10_000},   // connections in one process
	"watched":  {50, 2000},      // mailboxes of a whole Mailroom
	"seconds":  {3, 60},         // that watched mailboxes are measured for
	"rate":     {5, 20},         // deliveries a second to them
	"notices":  {15, 300},       // new mails, to ten mailboxes in turn
	"shown":    {2000, 100_000}, // messages of the folder that a page lists
	"few":      {200, 1000},     // the same of the small one
	"asked":    {50, 1000},      // times for the list
	"users":    {10, 200},       // signed in at the same time
	"pages":    {200, 20_000},   // that they ask for
	"think":    {250, 2000},     // ms between two pages of one user
}

// n is the size of that name.
func n(t testing.TB, name string) int {
	t.Helper()
	size, known := sizes[name]
	if !known {
		t.Fatalf("no size is called %q", name)
	}
	value := size.quick
	switch os.Getenv("BENCH") {
	case "full":
		value = size.full
	case "", "quick":
	default:
		t.Fatalf("BENCH is %q, and may be quick or full", os.Getenv("BENCH"))
	}
	for setting := range strings.SplitSeq(os.Getenv("BENCH_SIZES"), ",") {
		key, number, _ := strings.Cut(setting, "=")
		if _, known := sizes[key]; !known && key != "" {
			t.Fatalf("BENCH_SIZES: no size is called %q", key)
		}
		if key != name {
			continue
		}
		v, err := strconv.Atoi(number)
		if err != nil || v < 1 {
			t.Fatalf("BENCH_SIZES: %q is no size", setting)
		}
		value = v
	}
	return value
}
