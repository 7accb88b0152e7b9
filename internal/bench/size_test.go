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
	"rounds":   {3, 5},         // of each side, in alternation
	"messages": {1000, 20_000}, // recruiters' mail, 15 KB in the median
	"distant":  {200, 500},     // messages over the long line
	"checked":  {2000, 20_000}, // small messages in a folder that is looked at for changes
	"base":     {1000, 20_000}, // small messages of the row about growth
	"grown":    {5000, 200_000},
	"idle":     {200, 10_000},   // connections in one process
	"watched":  {50, 2000},      // mailboxes of a whole Mailroom
	"seconds":  {5, 60},         // that watched mailboxes are measured for
	"rate":     {5, 20},         // deliveries a second to them
	"notices":  {8, 200},        // new mails, more than a second apart
	"shown":    {5000, 100_000}, // messages of the folder that a page lists
	"few":      {200, 1000},     // the same of the small one
	"pages":    {100, 2000},     // that are asked for of each kind
	"users":    {20, 200},       // signed in at the same time
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
