package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"mailroom/internal/mailroom"
)

// again reports whether the engine refused a transaction only for what else
// happened at that moment.
func (s *Store) again(err error) bool {
	switch pgCode(err) {
	case "40001", "40P01", "55P03": // serialization_failure, deadlock_detected, lock_not_available
		return true
	}
	switch sqliteCode(err) & 0xff {
	case 5, 6: // SQLITE_BUSY after its timeout, SQLITE_LOCKED
		return true
	}
	return errors.Is(err, driver.ErrBadConn)
}

// fault classifies an engine's error. Errors that are classified already, and
// the context's, pass through.
func (s *Store) fault(err error) error {
	var known *mailroom.Error
	switch {
	case err == nil, errors.As(err, &known), errors.Is(err, mailroom.ErrFenced),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, sql.ErrNoRows):
		return mailroom.E(mailroom.NotFound, "error.not_found")
	}
	if s.pg {
		if pgCode(err) == "25006" {
			s.distrusted.Add(1)
		}
		return faultPostgres(err)
	}
	return faultSQLite(err)
}

func faultPostgres(err error) error {
	switch code := pgCode(err); {
	case code == "23505": // unique_violation
		return mailroom.E(mailroom.Conflict, "error.conflict", err)
	case code == "53100": // disk_full
		return mailroom.E(mailroom.Unavailable, "error.disk_full", err)
	case code == "25006": // read_only_sql_transaction
		return mailroom.E(mailroom.Unavailable, "error.read_only", err)
	case code == "", code[:2] == "08", code[:2] == "53", code[:2] == "57", code[:2] == "40":
		// no answer, connection, resources, shutdown, refused for concurrency
		return mailroom.E(mailroom.Unavailable, "error.database", err)
	}
	return fmt.Errorf("store: %w", err)
}

func faultSQLite(err error) error {
	switch code := sqliteCode(err); code {
	case 2067, 1555: // SQLITE_CONSTRAINT_UNIQUE, _PRIMARYKEY
		return mailroom.E(mailroom.Conflict, "error.conflict", err)
	default:
		switch code & 0xff {
		case 13: // SQLITE_FULL
			return mailroom.E(mailroom.Unavailable, "error.disk_full", err)
		case 8: // SQLITE_READONLY
			return mailroom.E(mailroom.Unavailable, "error.read_only", err)
		case 5, 6, 10, 14: // BUSY, LOCKED, IOERR, CANTOPEN
			return mailroom.E(mailroom.Unavailable, "error.database", err)
		}
	}
	return fmt.Errorf("store: %w", err)
}

func asType[T error](err error) (T, bool) {
	var e T
	ok := errors.As(err, &e)
	return e, ok
}
