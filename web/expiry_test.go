package web

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"mailroom/internal/mailroom"
)

// playedForesight knows what it is told, and its mail server refuses.
type playedForesight struct {
	expiries []mailroom.Expiry
	told     []mailroom.Notice
	mail     string
	tried    int
}

func (f *playedForesight) Foresee(context.Context, string) ([]mailroom.Expiry, error) {
	return f.expiries, nil
}
func (f *playedForesight) Told(context.Context, string, int) ([]mailroom.Notice, error) {
	return f.told, nil
}
func (f *playedForesight) Channels() (mail, webhook string) { return f.mail, "" }
func (f *playedForesight) Try(_ context.Context, u mailroom.User) []mailroom.Check {
	f.tried++
	if f.mail == "" {
		return nil
	}
	c := mailroom.Failing("notice.check.mail", mailroom.E(mailroom.NeedsVendor, "courier.error.smtp_auth").With("host", "post.example").With("code", "535"), time.Now())
	c.Args = map[string]any{"address": u.Email, "via": f.mail}
	return []mailroom.Check{c}
}

func TestExpiryPage(t *testing.T) {
	now := time.Now()
	s := openSite(t)
	f := s.ahead
	b := s.as(s.admin)
	b.get("/admin/expiry").wants(200).shows("#expiries", "Nothing has an end").shows("#telling", "No e-mail is set up").shows("#telling", "MAILROOM_SMTP").lacks("form[action='/admin/expiry/test']")
	b.post("/admin/expiry/test").leadsTo("/admin/expiry").shows(".flashes", "no way to tell")

	f.mail = "post.example"
	f.expiries = []mailroom.Expiry{
		{Kind: mailroom.ExpirySecret, Subject: "crd_1", Name: "Outlook", Use: mailroom.UseMail, At: now.Add(12 * time.Hour)},
		{Kind: mailroom.ExpiryCertificate, Subject: "crd_2", Name: "Outlook", Use: mailroom.UseDoctor, At: now.Add(20*24*time.Hour + time.Minute)},
		{Kind: mailroom.ExpiryGrant, Subject: "mbx_1", Name: "Outlook", Address: "noor@werk.example", At: now.Add(-time.Hour)},
		{Kind: mailroom.ExpiryKey, Subject: "key_1", Name: "key_1", Operator: true},
	}
	f.told = []mailroom.Notice{
		{ID: "not_1", Audience: mailroom.ToAdmin(s.admin.ID), SentAt: now, Data: mailroom.NoticeData{Kind: mailroom.NoticeExpiry, Expiry: &f.expiries[0]}},
		{ID: "not_2", Audience: "user:usr_gone", RetryAt: now.Add(time.Hour), Data: mailroom.NoticeData{Kind: mailroom.NoticeFailed, Address: "noor@werk.example",
			Refused: mailroom.ProblemOf(mailroom.E(mailroom.Unavailable, "courier.error.smtp_network").With("host", "post.example"), now)}},
	}
	a := b.get("/admin/expiry").wants(200).shows("#telling", "E-mail by post.example").shows("#told", "Anna de Boer").shows("#told", "post.example cannot be reached").
		shows("#told", "somebody who is not here any more")
	for i, want := range []string{"client secret for Outlook within a day", "doctor's client certificate for Outlook in 20 days", "permission for noor@werk.example Ended", "key-encryption key key_1 Set by whoever runs Mailroom Date unknown"} {
		got := a.text("#expiries tbody tr:nth-child(" + strconv.Itoa(i+1) + ")")
		for word := range strings.FieldsSeq(want) {
			if !strings.Contains(got, word) {
				t.Errorf("row %d says %q, want %q in it", i, got, want)
				break
			}
		}
	}
	b.post("/admin/expiry/test").leadsTo("/admin/expiry#test").shows("#test", "E-mail to anna@werk.example").shows("#test", "refuses the user name or password").shows("#test", "Whoever runs Mailroom")
	if f.tried != 2 {
		t.Errorf("tried %d times", f.tried)
	}
	b.get("/admin/expiry").lacks("#test") // told once
	b.get("/admin/audit").shows("#audit", "Sent a test notice")
	b.header.Set("Accept-Language", "nl")
	b.get("/admin/expiry").shows("h1", "Wat er gaat aflopen, en wanneer")
}
