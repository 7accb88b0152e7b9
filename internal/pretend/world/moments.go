package world

import "time"

// local puts an instant into Dutch time by rule: summer time from the last Sunday of March to that of
// October, at 01:00 UTC. No time zone database is needed.
func local(t time.Time) time.Time {
	u := t.UTC()
	change := func(m time.Month) time.Time {
		last := time.Date(u.Year(), m, 31, 1, 0, 0, 0, time.UTC)
		return last.AddDate(0, 0, -int(last.Weekday()))
	}
	if !u.Before(change(time.March)) && u.Before(change(time.October)) {
		return u.In(time.FixedZone("CEST", 2*3600))
	}
	return u.In(time.FixedZone("CET", 3600))
}

// working moves a moment forward into office hours.
func (d dice) working(t time.Time) time.Time {
	t = local(t)
	for {
		switch {
		case t.Weekday() == time.Saturday || t.Weekday() == time.Sunday || t.Hour() >= 18:
			t = d.morning(t.AddDate(0, 0, 1))
		case t.Hour() < 8:
			t = d.morning(t)
		default:
			return local(t)
		}
	}
}

func (d dice) morning(t time.Time) time.Time {
	y, m, day := t.Date()
	return time.Date(y, m, day, 8, 10+d.IntN(100), d.IntN(60), 0, t.Location())
}

// theirMoment is when the other side writes: clients in office hours, candidates at any decent hour.
func (g *generator) theirMoment(c *conversation, t time.Time) time.Time {
	if c.them.Kind == "contact" {
		return g.d.working(t)
	}
	return g.d.decent(t)
}

// decent moves a moment out of the night.
func (d dice) decent(t time.Time) time.Time {
	t = local(t)
	if t.Hour() < 7 {
		t = time.Date(t.Year(), t.Month(), t.Day(), 7, d.IntN(180), d.IntN(60), 0, t.Location())
	}
	if t.Hour() >= 23 {
		t = t.Add(8*time.Hour + time.Duration(d.IntN(120))*time.Minute)
	}
	return local(t)
}
