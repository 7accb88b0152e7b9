package app

import (
	"context"
	"crypto/x509"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mailroom/internal/courier"
	"mailroom/internal/i18n"
	"mailroom/internal/mailroom"
	"mailroom/internal/notice"
	"mailroom/internal/vault"
)

// Telling is how people are told of what will break and of who needs somebody.
type Telling struct {
	SMTP          string `kong:"-"`
	Webhook       string `kong:"-"` // its path may be a secret
	WebhookSecret string `kong:"-"`

	MailFrom               string        `name:"mail-from" env:"MAILROOM_MAIL_FROM" help:"Sender of notices, with MAILROOM_SMTP." placeholder:"ADDRESS"`
	TellLater              time.Duration `name:"tell-later" env:"MAILROOM_TELL_LATER" default:"24h" help:"After which administrators hear of a mailbox that only its owner can mend (15m to 720h)."`
	MicrosoftSecretExpires string        `name:"microsoft-secret-expires" env:"MAILROOM_MICROSOFT_SECRET_EXPIRES" help:"Day on which the client secret in Entra ends, so that it is told of in time." placeholder:"YYYY-MM-DD"`
}

// settle is how long trouble may pass by itself before anybody is told. It is
// longer than refusals are gathered to tell a provider's fault.
const settle = 15 * time.Minute

func (t *Telling) check(bad func(name, format string, args ...any)) {
	if t.SMTP != "" {
		if _, err := courier.NewSMTP(t.SMTP, "mailroom@localhost", nil); err != nil {
			bad("MAILROOM_SMTP", "%v", err)
		} else if _, err := courier.NewSMTP(t.SMTP, t.MailFrom, nil); err != nil {
			bad("MAILROOM_MAIL_FROM", "%v", err)
		}
	}
	if t.Webhook != "" {
		// Whether private addresses are allowed is seen when it is built.
		if _, err := courier.NewWebhook(t.Webhook, t.WebhookSecret, courier.WebhookOptions{AllowPrivate: true}); err != nil {
			bad("MAILROOM_WEBHOOK", "%v", err)
		}
	}
	if t.TellLater == 0 {
		t.TellLater = 24 * time.Hour
	}
	if t.TellLater < settle || t.TellLater > 30*24*time.Hour {
		bad("MAILROOM_TELL_LATER", "%s is not between 15m and 720h", t.TellLater)
	}
	if t.MicrosoftSecretExpires != "" && t.microsoftSecretEnds().IsZero() {
		bad("MAILROOM_MICROSOFT_SECRET_EXPIRES", "%q is not a day such as 2027-05-31", t.MicrosoftSecretExpires)
	}
}

func (t *Telling) microsoftSecretEnds() time.Time {
	at, err := time.Parse(time.DateOnly, t.MicrosoftSecretExpires)
	if err != nil {
		return time.Time{}
	}
	return at
}

// tellers plugs the courier into the notices.
func (a *App) tellers(providers mailroom.ProvidersOf, keys *vault.Keyring, roots *x509.CertPool) (*notice.Teller, error) {
	texts, err := i18n.New()
	if err != nil {
		return nil, err
	}
	d := notice.Deps{
		Store: a.store, Providers: providers, Texts: texts, Log: a.log, Settle: settle, Later: a.cfg.TellLater,
		BaseURL: func() string { return a.cfg.BaseURL },
		Keys: func() []notice.Key {
			var out []notice.Key
			for _, k := range keys.Keys() {
				out = append(out, notice.Key{ID: k.ID, Made: k.Made, Seals: k.Seals})
			}
			return out
		},
	}
	if a.cfg.SMTP != "" {
		smtp, err := courier.NewSMTP(a.cfg.SMTP, a.cfg.MailFrom, roots)
		if err != nil {
			return nil, err
		}
		d.MailVia = smtp.Host()
		d.Mail = func(ctx context.Context, l notice.Letter) error {
			return smtp.Send(ctx, courier.Mail{ID: l.ID, To: l.To, Name: l.Name, Language: l.Language, Subject: l.Subject, Text: l.Text, At: l.At})
		}
	}
	if a.cfg.Webhook != "" {
		hook, err := courier.NewWebhook(a.cfg.Webhook, a.cfg.WebhookSecret, courier.WebhookOptions{AllowPrivate: a.cfg.AllowPrivateHosts, RootCAs: roots})
		if err != nil {
			return nil, err
		}
		d.PostVia = hook.Host()
		d.Post = func(ctx context.Context, id string, e notice.Event) error {
			return hook.Post(ctx, id, courier.Event{Type: e.Type, Timestamp: e.At, Data: e.Data})
		}
	}
	return notice.New(d), nil
}

// noticeFigures are what was foreseen at the last look, which each node has every
// minute. No figure names an organization, a mailbox or an address.
type noticeFigures struct {
	teller *notice.Teller
	now    func() time.Time
}

var (
	expiresIn = prometheus.NewDesc("mailroom_expiry_seconds", "Time until the first of a kind stops working; below zero when it has.", []string{"kind"}, nil)
	expiring  = prometheus.NewDesc("mailroom_expiring", "How many of a kind stop working within 30 days, or have.", []string{"kind"}, nil)
	needing   = prometheus.NewDesc("mailroom_mailboxes_needing_somebody", "Mailboxes that wait for a person, by kind of trouble.", []string{"kind"}, nil)
	noticed   = prometheus.NewDesc("mailroom_notices_sent_total", "Notices that this node sent.", []string{"channel"}, nil)
	unnoticed = prometheus.NewDesc("mailroom_notice_failures_total", "Attempts of this node to send notices that failed.", []string{"channel"}, nil)
)

// Describe implements prometheus.Collector.
func (f noticeFigures) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{expiresIn, expiring, needing, noticed, unnoticed} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (f noticeFigures) Collect(ch chan<- prometheus.Metric) {
	o, now := f.teller.Outlook(), f.now()
	if o.At.IsZero() {
		return // nobody has looked yet
	}
	for _, kind := range mailroom.ExpiryKinds {
		first, n := time.Time{}, 0
		for _, e := range o.Expiries {
			if e.Kind != kind || e.At.IsZero() || e.Replaced {
				continue
			}
			if first.IsZero() || e.At.Before(first) {
				first = e.At
			}
			if _, soon := e.Stage(now); soon {
				n++
			}
		}
		if !first.IsZero() {
			ch <- prometheus.MustNewConstMetric(expiresIn, prometheus.GaugeValue, first.Sub(now).Seconds(), string(kind))
		}
		ch <- prometheus.MustNewConstMetric(expiring, prometheus.GaugeValue, float64(n), string(kind))
	}
	for _, kind := range []mailroom.Kind{mailroom.NeedsConsent, mailroom.NeedsAdmin, mailroom.NeedsVendor} {
		ch <- prometheus.MustNewConstMetric(needing, prometheus.GaugeValue, float64(o.Needy[kind]), string(kind))
	}
	for _, channel := range []string{"mail", "webhook"} {
		ch <- prometheus.MustNewConstMetric(noticed, prometheus.CounterValue, float64(o.Sent[channel]), channel)
		ch <- prometheus.MustNewConstMetric(unnoticed, prometheus.CounterValue, float64(o.Failed[channel]), channel)
	}
}
