package i18n_test

import (
	"testing"
	"time"
	_ "time/tzdata" // some machines have none

	"mailroom/internal/i18n"
)

func bundle(t *testing.T) *i18n.Bundle {
	t.Helper()
	b, err := i18n.New()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestMatch(t *testing.T) {
	b := bundle(t)
	for _, c := range []struct{ choice, accept, want string }{
		{"", "", "en"},
		{"", "nl-NL,nl;q=0.9,en;q=0.8", "nl"},
		{"", "nl-BE", "nl"},
		{"", "de,nl;q=0.5", "nl"},
		{"", "ja", "en"},
		{"", ";;;broken", "en"},
		{"en", "nl", "en"},
		{"nl", "en", "nl"},
		{"xx", "nl", "nl"},
	} {
		if got := b.Match(c.choice, c.accept); got != c.want {
			t.Errorf("Match(%q, %q) = %q, want %q", c.choice, c.accept, got, c.want)
		}
	}
}

func TestFormats(t *testing.T) {
	b := bundle(t)
	amsterdam, err := time.LoadLocation("Europe/Amsterdam")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 23, 13, 5, 40, 0, time.UTC)
	for _, c := range []struct {
		what   string
		say    func(i18n.T) string
		en, nl string
	}{
		{"number", func(t i18n.T) string { return t.Number(-1234567) }, "-1,234,567", "-1.234.567"},
		{"small number", func(t i18n.T) string { return t.Number(999) }, "999", "999"},
		{"decimal", func(t i18n.T) string { return t.Decimal(1234.56, 1) }, "1,234.6", "1.234,6"},
		{"negative fraction", func(t i18n.T) string { return t.Decimal(-0.5, 1) }, "-0.5", "-0,5"},
		{"octets", func(t i18n.T) string { return t.Size(999) }, "999 B", "999 B"},
		{"kilobytes", func(t i18n.T) string { return t.Size(1500) }, "2 kB", "2 kB"},
		{"rounds up to the next unit", func(t i18n.T) string { return t.Size(999_900) }, "1.0 MB", "1,0 MB"},
		{"megabytes", func(t i18n.T) string { return t.Size(3_440_000) }, "3.4 MB", "3,4 MB"},
		{"gigabytes", func(t i18n.T) string { return t.Size(123_440_000_000) }, "123 GB", "123 GB"},
		{"date and time", func(t i18n.T) string { return t.DateTime(now) }, "23 Nov 2026, 14:05", "23 nov 2026, 14:05"},
		{"today", func(t i18n.T) string { return t.Brief(now.Add(-time.Hour), now) }, "13:05", "13:05"},
		{"this year", func(t i18n.T) string { return t.Brief(now.AddDate(0, -6, 0), now) }, "23 May", "23 mei"},
		{"an older year", func(t i18n.T) string { return t.Brief(now.AddDate(-1, 0, 0), now) }, "23 Nov 2025", "23 nov 2025"},
		{"seconds ago", func(t i18n.T) string { return t.Ago(now.Add(-40*time.Second), now) }, "40 s ago", "40 s geleden"},
		{"just now", func(t i18n.T) string { return t.Ago(now, now) }, "just now", "zojuist"},
		{"never", func(t i18n.T) string { return t.Ago(time.Time{}, now) }, "never", "nooit"},
		{"hours ago", func(t i18n.T) string { return t.Ago(now.Add(-185*time.Minute), now) }, "3 h 5 min ago", "3 u 5 min geleden"},
		{"days ago", func(t i18n.T) string { return t.Ago(now.Add(-49*time.Hour), now) }, "2 days ago", "2 dagen geleden"},
		{"weeks ago", func(t i18n.T) string { return t.Ago(now.AddDate(0, 0, -20), now) }, "3 Nov 2026", "3 nov 2026"},
		{"estimate", func(t i18n.T) string { return t.About(18 * time.Minute) }, "about 20 minutes", "ongeveer 20 minuten"},
		{"long estimate", func(t i18n.T) string { return t.About(70 * time.Minute) }, "about an hour", "ongeveer een uur"},
		{"list", func(t i18n.T) string { return t.List([]string{"a", "b", "c"}) }, "a, b and c", "a, b en c"},
		{"singular", func(t i18n.T) string { return t.Text("format.days", "n", 1) }, "1 day", "1 dag"},
		{"plural after JSON", func(t i18n.T) string { return t.Text("format.days", map[string]any{"n": float64(2000)}) }, "2,000 days", "2.000 dagen"},
		{"missing key shows itself", func(t i18n.T) string { return t.Text("no.such.key") }, "no.such.key", "no.such.key"},
		{"missing argument shows itself", func(t i18n.T) string { return t.Text("format.ago") }, "{duration} ago", "{duration} geleden"},
	} {
		for lang, want := range map[string]string{"en": c.en, "nl": c.nl} {
			if got := c.say(b.For(lang).In(amsterdam)); got != want {
				t.Errorf("%s in %s: %q, want %q", c.what, lang, got, want)
			}
		}
	}
}
