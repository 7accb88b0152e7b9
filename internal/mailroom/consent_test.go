package mailroom_test

import (
	"testing"
	"time"

	"mailroom/internal/mailroom"
)

func TestConsentLinkState(t *testing.T) {
	now := time.Now()
	at := func(ago time.Duration) time.Time { return now.Add(-ago) }
	link := mailroom.ConsentLink{ExpiresAt: now.Add(time.Hour)}
	asked, declined := mailroom.ConsentJourney{}, mailroom.ConsentJourney{AnsweredAt: now, Problem: &mailroom.Problem{}}
	reported := mailroom.ConsentJourney{AnsweredAt: now}
	type js = []mailroom.ConsentJourney
	for _, c := range []struct {
		name     string
		change   func(*mailroom.ConsentLink)
		journeys js
		want     mailroom.ConsentState
	}{
		{"new", nil, nil, mailroom.ConsentSent},
		{"opened", func(l *mailroom.ConsentLink) { l.OpenedAt = at(1) }, nil, mailroom.ConsentOpened},
		{"gone to the provider", nil, js{asked}, mailroom.ConsentAsked},
		{"declined", nil, js{declined}, mailroom.ConsentDeclined},
		{"declined, then tried again", nil, js{asked, declined}, mailroom.ConsentAsked},
		{"reported", nil, js{reported}, mailroom.ConsentReported},
		{"declined, then reported", nil, js{reported, declined}, mailroom.ConsentReported},
		{"reported, then declined", nil, js{declined, reported}, mailroom.ConsentDeclined},
		{"reported in one window, open in another", nil, js{asked, reported}, mailroom.ConsentReported},
		{"proved", func(l *mailroom.ConsentLink) { l.ProvedAt = at(1) }, js{declined}, mailroom.ConsentProved},
		{"ended", func(l *mailroom.ConsentLink) { l.ExpiresAt = now }, js{asked}, mailroom.ConsentExpired},
		{"ended after it was reported", func(l *mailroom.ConsentLink) { l.ExpiresAt = at(1) }, js{reported}, mailroom.ConsentReported},
		{"ended after it was proved", func(l *mailroom.ConsentLink) { l.ExpiresAt, l.ProvedAt = at(1), at(2) }, nil, mailroom.ConsentProved},
		{"withdrawn", func(l *mailroom.ConsentLink) { l.RevokedAt, l.ProvedAt = at(1), at(2) }, js{reported}, mailroom.ConsentWithdrawn},
	} {
		l := link
		if c.change != nil {
			c.change(&l)
		}
		if got := l.State(c.journeys, now); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestNormalTenant(t *testing.T) {
	for s, want := range map[string]string{
		"11111111-2222-4333-8444-55555555555A": "11111111-2222-4333-8444-55555555555a", " Werk.Example": "werk.example",
		"werk.onmicrosoft.com": "werk.onmicrosoft.com", "xn--vrk-hoa.example": "xn--vrk-hoa.example",
	} {
		if got, ok := mailroom.NormalTenant(s); !ok || got != want {
			t.Errorf("%q: %q, %v", s, got, ok)
		}
	}
	for _, s := range []string{"", "common", "organizations", "consumers", mailroom.ConsumerTenant, "werk", "werk.", ".example", "we rk.example",
		"werk.example/x", "../x.example", "a%2f.example", "10.0.0.1", "werk.example?x", "wërk.example", "-a.example"} {
		if got, ok := mailroom.NormalTenant(s); ok {
			t.Errorf("%q is a tenant: %q", s, got)
		}
	}
}

func TestTenantOf(t *testing.T) {
	for address, want := range map[string]string{
		"Anna@Werk.Example": "werk.example", "anna@outlook.com": "", "anna@hotmail.nl": "", "anna@live.co.uk": "", "anna": "", "": "",
		"anna@live.events.example": "live.events.example",
	} {
		if got := mailroom.TenantOf(address); got != want {
			t.Errorf("%q: asked for tenant %q, want %q", address, got, want)
		}
	}
}
