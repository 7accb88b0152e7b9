package notice

import (
	"context"

	"mailroom/internal/mailroom"
)

// Channels are the ways in which somebody is told, by name; "" for one that is
// not set up.
func (t *Teller) Channels() (mail, webhook string) {
	if t.d.Mail != nil {
		mail = t.d.MailVia
	}
	if t.d.Post != nil {
		webhook = t.d.PostVia
	}
	return mail, webhook
}

// Told are the newest notices of an organization.
func (t *Teller) Told(ctx context.Context, orgID string, limit int) ([]mailroom.Notice, error) {
	return t.d.Store.Notices(ctx, orgID, limit)
}

// Try sends a test to an administrator and to the webhook, at once and kept
// nowhere: a check for each channel that is set up.
func (t *Teller) Try(ctx context.Context, u mailroom.User) []mailroom.Check {
	n := mailroom.Notice{ID: mailroom.NewID(mailroom.PrefixNotice), OrgID: u.OrgID, Subject: "test", Audience: mailroom.ToAdmin(u.ID),
		CreatedAt: t.now(), Data: mailroom.NoticeData{Kind: mailroom.NoticeTest}}
	var out []mailroom.Check
	check := func(name string, err error, args map[string]any) {
		if err != nil {
			c := mailroom.Failing(name, err, t.now())
			c.Args = args
			out = append(out, c)
			return
		}
		out = append(out, mailroom.Passed(name, args))
	}
	if t.d.Mail != nil {
		check("notice.check.mail", t.d.Mail(ctx, t.letter(u, []mailroom.Notice{n})), map[string]any{"address": u.Email, "via": t.d.MailVia})
	}
	if t.d.Post != nil {
		check("notice.check.webhook", t.d.Post(ctx, n.ID, event(n)), map[string]any{"via": t.d.PostVia})
	}
	return out
}
