package store

import (
	"context"
	"encoding/json"
)

// What the engines spell differently, and nothing else.

// in is the right side of "column IN …" for a list of any length given as one
// argument, made by list: `address IN ` + s.in("$2"). The text stays the same
// for every length, so that it is parsed once.
func (s *Store) in(arg string) string {
	if s.pg {
		return `(SELECT jsonb_array_elements_text(CAST(` + arg + ` AS TEXT)::jsonb))`
	}
	return `(SELECT value FROM json_each(` + arg + `))`
}

// inNumbers is in for a column of numbers.
func (s *Store) inNumbers(arg string) string {
	if s.pg {
		return `(SELECT CAST(e AS BIGINT) FROM jsonb_array_elements_text(CAST(` + arg + ` AS TEXT)::jsonb) e)`
	}
	return s.in(arg)
}

// inPairs is in for a text and a number: "(address, message_seq) IN …". Its
// argument is a JSON list of such pairs.
func (s *Store) inPairs(arg string) string {
	if s.pg {
		return `(SELECT e->>0, CAST(e->>1 AS BIGINT) FROM jsonb_array_elements(CAST(` + arg + ` AS TEXT)::jsonb) e)`
	}
	return `(SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(` + arg + `))`
}

// list is the argument for in, inNumbers and inPairs.
func list[T any](vs []T) string {
	if len(vs) == 0 {
		return "[]"
	}
	b, err := json.Marshal(vs)
	if err != nil {
		panic(err) // strings and numbers, and pairs of them, always marshal
	}
	return string(b)
}

// Row locks of PostgreSQL; SQLite has one writer and needs none. The pair is
// chosen so that a lease can be renewed, and a sync asked for, by plain UPDATEs
// while a batch holds its mailbox: only who takes the mailbox away waits.

// forShare keeps the selected row from whoever locks it forUpdate, letting others
// change its plain columns.
func (s *Store) forShare() string {
	if s.pg {
		return " FOR KEY SHARE"
	}
	return ""
}

// forUpdate keeps the selected row for this transaction alone.
func (s *Store) forUpdate() string {
	if s.pg {
		return " FOR UPDATE"
	}
	return ""
}

// lockPeople is to be called first by every transaction that changes who holds
// which address, and by those that delete messages. Deliver takes the same lock
// shared, so a mail is either stored before and found by late linking, or after
// and matched against the new address: never missed between. Nor is a copy ever
// filed of a message that is being deleted.
func (t *tx) lockPeople(ctx context.Context, orgID string) error {
	return t.advise(ctx, "pg_advisory_xact_lock", "people "+orgID)
}

// lockMoves is for those who note that mail has left a folder. Deliver takes the
// same lock shared, so that of a mail that moves one of both sees the other.
func (t *tx) lockMoves(ctx context.Context, mailboxID string) error {
	return t.advise(ctx, "pg_advisory_xact_lock", "moves "+mailboxID)
}

// shareFiling takes both locks as Deliver does, in the order of all who need both.
func (t *tx) shareFiling(ctx context.Context, orgID, mailboxID string) error {
	return t.advise(ctx, "pg_advisory_xact_lock_shared", "people "+orgID, "moves "+mailboxID)
}

func (t *tx) advise(ctx context.Context, lock string, names ...string) error {
	if !t.s.pg {
		return nil // one writer
	}
	for _, name := range names {
		if _, err := t.exec(ctx, `SELECT `+lock+`(hashtextextended($1, 0))`, name); err != nil {
			return err
		}
	}
	return nil
}

// forClaim is forUpdate that passes over rows which another node is at; table is
// the one of a join whose rows are meant.
func (s *Store) forClaim(table string) string {
	if s.pg {
		return " FOR UPDATE OF " + table + " SKIP LOCKED"
	}
	return ""
}
