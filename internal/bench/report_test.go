package bench

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// result is one line of BENCH_JSON. Where there is no peer its figure is 0 and the
// ratio is our own, so that every target is met when the ratio is no more. A line
// without a target is told for its own sake.
type result struct {
	Name   string  `json:"name"`
	Ours   float64 `json:"ours"`
	Peer   float64 `json:"peer"`
	Ratio  float64 `json:"ratio"`
	Unit   string  `json:"unit"`
	Target float64 `json:"target"`
}

// report prints a line, and adds it to the file that BENCH_JSON names.
func report(t testing.TB, r result) {
	t.Helper()
	r.Ratio = r.Ours
	if r.Peer != 0 {
		r.Ratio = r.Ours / r.Peer
	}
	verdict := ""
	switch {
	case r.Target == 0:
	case r.Ratio <= r.Target:
		verdict = fmt.Sprintf("  (target %.4g: met)", r.Target)
	default:
		verdict = fmt.Sprintf("  (target %.4g: MISSED)", r.Target)
	}
	tell("==> %s: ours %.4g %s, peer %.4g, ratio %.4g%s", r.Name, r.Ours, r.Unit, r.Peer, r.Ratio, verdict)
	name := os.Getenv("BENCH_JSON")
	if name == "" {
		return
	}
	all, err := results(name)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	all = slices.DeleteFunc(all, func(old result) bool { return old.Name == r.Name }) // of an earlier run
	all = append(all, r)
	slices.SortStableFunc(all, func(a, b result) int { return cmp.Compare(a.Name, b.Name) })
	b, err := json.MarshalIndent(all, "", "  ")
	must(t, err)
	must(t, os.WriteFile(name, append(b, '\n'), 0o644))
}

func results(name string) (all []result, err error) {
	b, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(b, &all)
	}
	return all, err
}

// series is what the rounds of one side came to.
type series struct {
	name                   string
	wall, cpu, peak, bytes []float64 // s, s, MB, MB
}

func (s *series) add(u usage, octets int64) {
	s.wall = append(s.wall, u.wall.Seconds())
	s.cpu = append(s.cpu, u.cpu.Seconds())
	s.peak = append(s.peak, float64(u.peak)/1e6)
	s.bytes = append(s.bytes, float64(octets)/1e6)
}

// show prints the medians of sides below each other, and how far the rounds of
// each lay apart.
func show(sides ...*series) {
	var b strings.Builder
	fmt.Fprintf(&b, "%-36s %10s %9s %9s %11s  %s\n", "medians", "wall s", "CPU s", "peak MB", "wire MB", "rounds, wall s")
	for _, s := range sides {
		fmt.Fprintf(&b, "%-36s %10.3f %9s %9s %11s  %.3f (±%.0f %%)\n", s.name, median(s.wall), told(s.cpu, "%.2f"), told(s.peak, "%.0f"), told(s.bytes, "%.3f"),
			s.wall, 100*noise(s.wall))
	}
	tell("%s", b.String())
}

// tell prints at once: of what a benchmark logs, go test shows ten lines.
func tell(format string, args ...any) { fmt.Printf(format+"\n", args...) }

// told is a median, or a dash where nothing was measured.
func told(v []float64, format string) string {
	if m := median(v); m != 0 {
		return fmt.Sprintf(format, m)
	}
	return "–"
}

// alternate lets each side run once as often as the rounds say, in turn, so that
// what else the machine does meets all of them.
func alternate(rounds int, sides ...func()) {
	for range rounds {
		for _, side := range sides {
			side()
		}
	}
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// quantile is the value that so much of all lies below or at (nearest rank).
func quantile(v []float64, q float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return s[min(max(int(math.Ceil(q*float64(len(s))))-1, 0), len(s)-1)]
}

// noise is half of how far the rounds lie apart, as a part of their median.
func noise(v []float64) float64 {
	if len(v) == 0 || median(v) == 0 {
		return 0
	}
	return (slices.Max(v) - slices.Min(v)) / 2 / median(v)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// walkFiles tells of every file below dir.
func walkFiles(dir string, each func(*syscall.Stat_t)) error {
	return filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		each(info.Sys().(*syscall.Stat_t))
		return nil
	})
}
