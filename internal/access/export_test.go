package access

import "mailroom/internal/mailroom"

// SealedColumns are the places that a rotation knows of.
func SealedColumns() (out []mailroom.SealedColumn) {
	for _, c := range sealedColumns {
		out = append(out, c.SealedColumn)
	}
	return out
}

// Identity is what a value of a place is tied to.
func Identity(table, row string) string {
	for _, c := range sealedColumns {
		if c.Table == table {
			return c.identity(row)
		}
	}
	return ""
}
