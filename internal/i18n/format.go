package i18n

import (
	"strconv"
	"strings"
	"time"
)

// Number is an integer with the language's thousands separator: 12,345 or 12.345.
func (t T) Number(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	sep := t.Text("format.thousands")
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteString(sep)
		}
		b.WriteRune(d)
	}
	return sign + b.String()
}

// Decimal is a number with a fixed count of decimals.
func (t T) Decimal(f float64, decimals int) string {
	whole, frac, found := strings.Cut(strconv.FormatFloat(f, 'f', decimals, 64), ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err == nil && n != 0 {
		whole = t.Number(n)
	}
	if !found {
		return whole
	}
	return whole + t.Text("format.decimal") + frac
}

// Size is a number of octets for people: "900 B", "12 kB", "3.4 MB" (powers of 1000).
func (t T) Size(octets int64) string {
	if octets < 1000 {
		return t.Number(octets) + " B"
	}
	value, units := float64(octets), []string{"kB", "MB", "GB", "TB"}
	unit := ""
	for _, unit = range units {
		value /= 1000
		if value < 999.5 {
			break
		}
	}
	decimals := 0
	if value < 9.95 && unit != "kB" {
		decimals = 1
	}
	return t.Decimal(value, decimals) + " " + unit
}

// List joins words: "a, b and c".
func (t T) List(words []string) string {
	switch len(words) {
	case 0:
		return ""
	case 1:
		return words[0]
	}
	last := len(words) - 1
	return t.Text("format.and", "first", strings.Join(words[:last], ", "), "last", words[last])
}

// Date is a day: "23 Nov 2026"; "" for the zero time.
func (t T) Date(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	at = at.In(t.location)
	return strconv.Itoa(at.Day()) + " " + t.month(at) + " " + strconv.Itoa(at.Year())
}

// Clock is a time of day: "14:05".
func (t T) Clock(at time.Time) string { return at.In(t.location).Format("15:04") }

// DateTime is "23 Nov 2026, 14:05"; "" for the zero time.
func (t T) DateTime(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return t.Date(at) + ", " + t.Clock(at)
}

// Brief is a time as lists show it: the clock today, day and month this year,
// else the date.
func (t T) Brief(at, now time.Time) string {
	if at.IsZero() {
		return ""
	}
	at, now = at.In(t.location), now.In(t.location)
	switch {
	case at.Year() == now.Year() && at.YearDay() == now.YearDay():
		return at.Format("15:04")
	case at.Year() == now.Year():
		return strconv.Itoa(at.Day()) + " " + t.month(at)
	}
	return t.Date(at)
}

// At is the clock for a time today, else date and time: for "until …".
func (t T) At(at, now time.Time) string {
	at, now = at.In(t.location), now.In(t.location)
	if at.Year() == now.Year() && at.YearDay() == now.YearDay() {
		return t.Clock(at)
	}
	return t.DateTime(at)
}

func (t T) month(at time.Time) string {
	names := strings.Split(t.Text("format.months"), "|")
	if i := int(at.Month()) - 1; i < len(names) {
		return names[i]
	}
	return at.Month().String()
}

// Ago is how long ago something was: "just now", "40 s ago", "3 days ago", and
// the date when that is more than a week; "never" for the zero time.
func (t T) Ago(at, now time.Time) string {
	d := now.Sub(at)
	switch {
	case at.IsZero():
		return t.Text("format.never")
	case d < 3*time.Second:
		return t.Text("format.just_now")
	case d > 7*24*time.Hour:
		return t.Date(at)
	}
	return t.Text("format.ago", "duration", t.Duration(d))
}

// Duration is a length of time in its one or two largest units: "40 s",
// "12 min", "3 h 5 min", "2 days".
func (t T) Duration(d time.Duration) string {
	switch {
	case d < time.Minute:
		return t.Text("format.seconds", "n", int64(max(d, 0)/time.Second))
	case d < time.Hour:
		return t.Text("format.minutes", "n", int64(d/time.Minute))
	case d < 48*time.Hour:
		hours := t.Text("format.hours", "n", int64(d/time.Hour))
		if m := int64(d%time.Hour) / int64(time.Minute); m > 0 && d < 10*time.Hour {
			return hours + " " + t.Text("format.minutes", "n", m)
		}
		return hours
	}
	return t.Text("format.days", "n", int64(d/(24*time.Hour)))
}

// About is a length of time as an estimate, rounded so that it promises no
// more than it knows: "less than a minute", "about 5 minutes", "about 2 hours".
func (t T) About(d time.Duration) string {
	switch {
	case d < time.Minute:
		return t.Text("format.about_moment")
	case d < 55*time.Minute:
		n := int64((d + 30*time.Second) / time.Minute)
		if n > 10 {
			n = (n + 2) / 5 * 5
		}
		return t.Text("format.about_minutes", "n", n)
	}
	return t.Text("format.about_hours", "n", max(1, int64((d+30*time.Minute)/time.Hour)))
}

// Day is a day as <input type="date"> wants it, "2026-11-23"; "" for the zero time.
func (t T) Day(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.In(t.location).Format(time.DateOnly)
}

// ParseDay is the beginning of a day that Day wrote, in the same time zone; the
// zero time for "". ok is false for what is no date.
func (t T) ParseDay(s string) (at time.Time, ok bool) {
	if s == "" {
		return time.Time{}, true
	}
	at, err := time.ParseInLocation(time.DateOnly, s, t.location)
	return at, err == nil
}
