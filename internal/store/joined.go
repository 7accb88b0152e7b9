package store

import (
	"fmt"
	"strconv"
	"strings"
)

// Rows of joined tables, read by the scan functions of each table: the columns
// of one after the other.

// argument is the n-th argument of a text that is put together.
func argument(n int) string { return "$" + strconv.Itoa(n) }

// indexedBy names the index by which a table shall be walked. SQLite chooses among
// equals without knowing how the rows are spread, and PostgreSQL knows.
func (s *Store) indexedBy(index string) string {
	if s.pg {
		return ""
	}
	return " INDEXED BY " + index
}

func columnCount(columns string) int { return strings.Count(columns, ",") + 1 }

// splitRow reads a row once and deals its columns out into parts of the given
// widths, each of which can be scanned like a row of its own.
func splitRow(r row, widths ...int) []row {
	total := 0
	for _, w := range widths {
		total += w
	}
	parts := make([]row, len(widths))
	from := 0
	for i, w := range widths {
		parts[i] = columnSpan{r, from, w, total}
		from += w
	}
	return parts
}

// columnSpan is some columns of a row. A row can be scanned more than once until
// the next one is asked for.
type columnSpan struct {
	r                  row
	from, width, total int
}

func (c columnSpan) Scan(dest ...any) error {
	if len(dest) != c.width {
		return fmt.Errorf("store: %d columns scanned into %d values", c.width, len(dest))
	}
	full := make([]any, c.total)
	for i := range full {
		full[i] = ignored{}
	}
	copy(full[c.from:], dest)
	return c.r.Scan(full...)
}

// ignored takes a column that another span reads.
type ignored struct{}

func (ignored) Scan(any) error { return nil }
