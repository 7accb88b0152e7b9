package templates

import (
	"time"

	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
)

// expiryTone is the colour of an expiry's dot.
func expiryTone(p Page, e mailroom.Expiry) string {
	days, reached := e.Stage(p.Now)
	switch {
	case e.Replaced:
		return ""
	case e.At.IsZero():
		return "warn"
	case !reached:
		return "ok"
	case days <= 1 && e.Kind != mailroom.ExpiryKey:
		return "bad"
	}
	return "warn"
}

// expiryLeft is how long something lasts, in days.
func expiryLeft(p Page, e mailroom.Expiry) string {
	left := e.At.Sub(p.Now)
	switch {
	case e.At.IsZero():
		return p.Text("expiry.unknown")
	case left <= 0:
		return p.Text("expiry.ended")
	case left < 24*time.Hour:
		return p.Text("expiry.today")
	}
	return p.Text("expiry.in", "n", int64(left/(24*time.Hour)))
}

// told says what a notice is about.
func told(p Page, n mailroom.Notice) string {
	switch n.Data.Kind {
	case mailroom.NoticeExpiry:
		return p.Text(n.Data.Expiry.WhatKey(), "name", n.Data.Expiry.Name, "address", n.Data.Expiry.Address)
	case mailroom.NoticeRecovered:
		return p.Text("expiry.told.recovered", "address", n.Data.Address)
	}
	return p.Text("expiry.told.failed", "address", n.Data.Address)
}

// toldTo names who was told.
func toldTo(p Page, v portal.ExpiryPage, a mailroom.Audience) string {
	if a == mailroom.AudienceWebhook {
		return p.Text("expiry.told.to.webhook")
	}
	u, here := v.Users[a.UserID()]
	if !here {
		return p.Text("expiry.told.to.gone")
	}
	return p.Text("expiry.told.to.admin", "name", u.Name)
}

// expiryAdvice is what to do about an expiry, "" while there is time.
func expiryAdvice(p Page, e mailroom.Expiry) string {
	_, reached := e.Stage(p.Now)
	switch {
	case e.Replaced:
		return p.Text("expiry.replaced")
	case e.At.IsZero() && e.Kind == mailroom.ExpiryKey:
		return p.Text("expiry.how.key")
	case e.At.IsZero() && e.Operator:
		return p.Text("expiry.unknown.operator")
	case e.At.IsZero():
		return p.Text("expiry.unknown.more")
	case reached:
		return p.Text("expiry.how." + string(e.Kind))
	}
	return ""
}
