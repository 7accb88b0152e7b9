package store

import (
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	"mailroom/internal/mailroom"
)

// at scans a time kept as microseconds.
func at(t *time.Time) sql.Scanner { return (*scanTime)(t) }

type scanTime time.Time

func (t *scanTime) Scan(v any) error {
	us, ok := v.(int64)
	if !ok {
		return errColumn("time", v)
	}
	*t = scanTime(mailroom.FromMicros(us))
	return nil
}

// asJSON is a TEXT column that holds JSON, or ” for the zero value. To write
// give the value, to read a pointer to it.
func asJSON(v any) jsonColumn { return jsonColumn{v} }

type jsonColumn struct{ v any }

func (c jsonColumn) Value() (driver.Value, error) {
	if rv := reflect.ValueOf(c.v); !rv.IsValid() || rv.IsZero() || rv.Kind() == reflect.Slice && rv.Len() == 0 {
		return "", nil
	}
	b, err := json.Marshal(c.v)
	return string(b), err
}

func (c jsonColumn) Scan(v any) error {
	var b []byte
	switch v := v.(type) {
	case string:
		b = []byte(v)
	case []byte:
		b = v
	case nil:
	default:
		return errColumn("JSON", v)
	}
	if len(b) == 0 {
		return nil
	}
	return json.Unmarshal(b, c.v)
}

func errColumn(what string, v any) error { return fmt.Errorf("%s column holds %T", what, v) }

// prefixed puts "table." before each plain column of a list of columns.
func prefixed(table, columns string) string {
	parts := strings.Split(columns, ",")
	for i, p := range parts {
		parts[i] = table + "." + strings.TrimSpace(p)
	}
	return strings.Join(parts, ", ")
}
