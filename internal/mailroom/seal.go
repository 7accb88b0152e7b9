package mailroom

import "time"

// SealedColumn is where values lie that a key-encryption key seals itself: a
// table, the column that names a row, and those of key id and ciphertext.
type SealedColumn struct{ Table, Row, Key, Data string }

// SealedRow is one of those values.
type SealedRow struct {
	ID     string
	Sealed Sealed
}

// Resealed is such a value with what it is to be sealed as from now on.
type Resealed struct {
	ID            string
	Before, After Sealed
}

// NodeKeys are the key-encryption keys that a running process knows of.
type NodeKeys struct {
	Node   string
	Newest string   // the one that it seals with
	Known  []string // all that it can open with
	SeenAt time.Time
}
