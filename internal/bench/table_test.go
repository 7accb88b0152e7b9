package bench

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Between these lines of docs/benchmarks.md stands what table makes.
const (
	tableBegin = "<!-- results: make bench-table -->"
	tableEnd   = "<!-- end of results -->"
)

// table is the results of one run as Markdown.
func table(all []result, machine []string) string {
	var b strings.Builder
	for _, line := range machine {
		fmt.Fprintf(&b, "- %s\n", line)
	}
	b.WriteString("\n| measure | ours | peer | unit | ratio | target | |\n|---|---|---|---|---|---|---|\n")
	var plain []result
	for _, r := range all {
		if r.Target == 0 {
			plain = append(plain, r)
			continue
		}
		verdict := "missed"
		if r.Ratio <= r.Target {
			verdict = "met"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | ≤ %s | %s |\n", cell(r.Name), figure(r.Ours), figure(r.Peer), r.Unit, ratioOf(r), figure(r.Target), verdict)
	}
	if len(plain) > 0 {
		b.WriteString("\nWithout a target:\n\n| measure | ours | peer | unit | ratio |\n|---|---|---|---|---|\n")
		for _, r := range plain {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", cell(r.Name), figure(r.Ours), figure(r.Peer), r.Unit, ratioOf(r))
		}
	}
	return b.String()
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// figure has three digits that count; a dash stands for what there is not.
func figure(v float64) string {
	switch {
	case v == 0:
		return "–"
	case v >= 1000:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

func ratioOf(r result) string {
	if r.Peer == 0 {
		return "–"
	}
	return figure(r.Ratio)
}

// intoPage puts a table between the two lines of a page.
func intoPage(page, table string) (string, error) {
	before, rest, begins := strings.Cut(page, tableBegin)
	_, after, ends := strings.Cut(rest, tableEnd)
	if !begins || !ends {
		return "", fmt.Errorf("the page lacks the lines %q and %q", tableBegin, tableEnd)
	}
	return before + tableBegin + "\n\n" + table + "\n" + tableEnd + after, nil
}

func TestTableIsPutIntoThePage(t *testing.T) {
	got, err := intoPage("# Page\n\n"+tableBegin+"\nold\n"+tableEnd+"\n\nThe end.\n", table([]result{
		{Name: "first sync", Ours: 1.3046, Peer: 1, Ratio: 1.3046, Unit: "s", Target: 1.25},
		{Name: "p99", Ours: 12345, Ratio: 12345, Unit: "µs", Target: 50000},
		{Name: "a|b", Ours: 0.001234, Peer: 0.5, Ratio: 0.002468, Unit: "s"},
	}, []string{"2 cores"}))
	must(t, err)
	want := "# Page\n\n" + tableBegin + "\n\n" + `- 2 cores

| measure | ours | peer | unit | ratio | target | |
|---|---|---|---|---|---|---|
| first sync | 1.3 | 1 | s | 1.3 | ≤ 1.25 | missed |
| p99 | 12345 | – | µs | – | ≤ 50000 | met |

Without a target:

| measure | ours | peer | unit | ratio |
|---|---|---|---|---|
| a\|b | 0.00123 | 0.5 | s | 0.00247 |

` + tableEnd + "\n\nThe end.\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if _, err := intoPage("nothing", ""); err == nil {
		t.Error("a page without a place for the table is changed")
	}
}

// TestWriteTable is what `make bench-table` runs, on the machine that measured:
// BENCH_TABLE names the page, and BENCH_JSON the results.
func TestWriteTable(t *testing.T) {
	name := os.Getenv("BENCH_TABLE")
	if name == "" {
		name = filepath.Join("..", "..", "docs", "benchmarks.md") // only whether it has a place for it
	}
	page, err := os.ReadFile(name)
	must(t, err)
	var all []result
	if os.Getenv("BENCH_TABLE") != "" {
		all, err = results(os.Getenv("BENCH_JSON"))
		must(t, err)
	}
	text, err := intoPage(string(page), table(all, machine(t)))
	must(t, err)
	if os.Getenv("BENCH_TABLE") != "" {
		must(t, os.WriteFile(name, []byte(text), 0o644))
	}
}

// machine says what was measured on, and with which versions.
func machine(t testing.TB) []string {
	t.Helper()
	size := os.Getenv("BENCH")
	if size == "" {
		size = "full" // whose results are kept
	}
	var memory syscall.Sysinfo_t
	must(t, syscall.Sysinfo(&memory))
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return []string{
		fmt.Sprintf("Run `make bench` (%s), results written %s", size, time.Now().UTC().Format("2006-01-02")),
		fmt.Sprintf("Machine: %d cores (%s), %d GiB, %s, Linux %s; server and client share the cores", runtime.NumCPU(), processorName(),
			uint64(memory.Totalram)*uint64(memory.Unit)>>30, debian(), bytes.TrimSpace(kernel)),
		fmt.Sprintf("Versions: %s, Dovecot %s, %s, imapflow %s, mailparser %s, Node.js %s, %s", runtime.Version(), version("dovecot", "--version"),
			version("mbsync", "--version"), npmVersion("imapflow"), npmVersion("mailparser"), version("node", "--version"), version("psql", "--version")),
	}
}

func version(program, flag string) string {
	out, err := exec.Command(program, flag).Output()
	if err != nil {
		return "of " + program + " unknown"
	}
	line, _, _ := bytes.Cut(bytes.TrimSpace(out), []byte("\n"))
	return string(line)
}

func npmVersion(name string) string {
	text, err := os.ReadFile(filepath.Join("..", "peers", "npm", "node_modules", name, "package.json"))
	if err != nil {
		return "of unknown version"
	}
	return field(string(text), `"version"`, ":")
}

func processorName() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	return field(string(text), "model name", ":")
}

func debian() string {
	text, _ := os.ReadFile("/etc/os-release")
	return field(string(text), "PRETTY_NAME", "=")
}

// field is the value of the first line that begins with a name.
func field(text, name, separator string) string {
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(line, separator); ok && strings.TrimSpace(key) == name {
			return strings.Trim(strings.TrimSpace(value), `",`)
		}
	}
	return "unknown"
}
