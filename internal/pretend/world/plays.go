package world

import (
	"time"

	"mailroom/internal/pretend/imapd"
	"mailroom/internal/pretend/issuer"
)

// Play is an account that misbehaves on purpose.
type Play struct {
	Address string
	What    string // in a few words
}

// part is everything about a Play: what the provider does, what the mail server does.
type part struct {
	name   string // local part, and how it is called
	title  string
	issuer issuer.Play
	imap   imapd.Faults
	none   bool // has no mailbox
}

const notAssigned = "not-assigned"

// parts are the accounts that fail on purpose. Texts of refusals are in our own words; the numbers are
// Microsoft's (docs/providers.md 2.6).
func parts() []part {
	return []part{
		{name: "needs-admin", title: "Needs Admin", issuer: issuer.Play{
			What: "Only an administrator may consent.", AdminOnly: true,
			Consent: &issuer.Refusal{Error: "access_denied", Code: 90094, Text: "Admin consent is required for the permissions requested by this application.",
				Title: "Your administrator must agree first", Lines: []string{
					"Mailroom asks for a permission that only an administrator of your organization can give.",
					"Ask an administrator to give it for everybody, then try again."}}}},
		{name: "declined", title: "Always Declines", issuer: issuer.Play{
			What: "Declines, with a description.",
			Consent: &issuer.Refusal{Error: "access_denied", Code: 65004, Text: "User declined to consent to access the app.",
				Title: "You declined", Lines: []string{"This account always declines."}}}},
		{name: "wrong-account", title: "Wrong Account", issuer: issuer.Play{
			What: "The browser is signed in as " + users[1].Email + ", who grants in its place.", As: users[1].Email}},
		{name: notAssigned, title: "Not Assigned", issuer: issuer.Play{
			What:    "Is not assigned to the application.",
			Consent: unassigned()}},
		{name: "blocked", title: "Blocked By Policy", issuer: issuer.Play{
			What: "A Conditional Access policy refuses the token.",
			Code: &issuer.Refusal{Error: "invalid_grant", Code: 53003, Suberror: "message_only", Text: "Access has been blocked by Conditional Access policies. The access policy does not allow token issuance."}}},
		{name: "mfa", title: "Needs Second Factor", issuer: issuer.Play{
			What: "After a minute and a half a second factor is asked.", TokenLife: 90 * time.Second,
			Refresh: &issuer.Refusal{Error: "invalid_grant", Code: 50076, Suberror: "basic_action", Text: "Due to a configuration change made by your administrator, or because you moved to a new location, you must use multi-factor authentication."}}},
		{name: "revoked", title: "Revoked Later", issuer: issuer.Play{
			What: "The grant is taken back after a minute and a half.", TokenLife: 90 * time.Second, Refresh: issuer.Revoked()}},
		{name: "no-refresh", title: "No Refresh Token", issuer: issuer.Play{What: "Gives no refresh token.", NoRefresh: true, TokenLife: 5 * time.Minute}},
		{name: "fewer-scopes", title: "Fewer Scopes", issuer: issuer.Play{What: "Gives everything but the mail permission.", WithoutScopes: []string{"IMAP.AccessAsUser.All"}}},
		{name: "alias", title: "Has An Alias", issuer: issuer.Play{What: "Signs in under another address than its mailbox.", Username: "a.lias@" + Domain}},
		{name: "expired", title: "Expired Token", issuer: issuer.Play{
			What: "After a minute and a half its refresh token has expired.", TokenLife: 90 * time.Second,
			Refresh: &issuer.Refusal{Error: "invalid_grant", Code: 700082, Text: "The refresh token has expired due to inactivity."}}},
		{name: "provider-down", title: "Provider Down", issuer: issuer.Play{
			What: "The provider cannot give tokens.", Token: &issuer.Reply{Status: 503, Body: "<html><title>Service unavailable</title>Our services are not available right now.</html>"}}},
		{name: "provider-slow", title: "Slow Provider", issuer: issuer.Play{
			What: "The provider takes twenty seconds to give a token.", Token: &issuer.Reply{Delay: 20 * time.Second}}},
		{name: "malformed", title: "Malformed Answers", issuer: issuer.Play{
			What: "The provider answers with half a token.", Token: &issuer.Reply{Status: 200, Body: `{"token_type":"Bearer","access_to`}}},
		{name: "imap-off", title: "IMAP Is Off", issuer: issuer.Play{What: "Signs in, but IMAP is switched off."}, imap: imapd.Faults{NotConnected: true}},
		{name: "no-mailbox", title: "No Mailbox", issuer: issuer.Play{What: "Has no licence, so no mailbox."}, none: true},
		{name: "slow", title: "Slow Server", issuer: issuer.Play{What: "Every answer takes a second."}, imap: imapd.Faults{Delay: time.Second, FetchDelay: 40 * time.Millisecond}},
		{name: "throttled", title: "Throttled", issuer: issuer.Play{What: "Asks for a pause of five minutes after 20 mails."}, imap: imapd.Faults{ThrottleAfter: 20, ThrottleTimes: 2, Backoff: 5 * time.Minute}},
		{name: "renumbered", title: "Renumbered", issuer: issuer.Play{What: "Numbers its mail anew after the first sync."}, imap: imapd.Faults{RenumberAfter: 15 * time.Second}},
		{name: "huge", title: "Huge", issuer: issuer.Play{What: "Has a huge mailbox, and one mail of 160 MB."}},
		{name: "quirks", title: "Quirks", issuer: issuer.Play{What: "Some mails do not come, or come as placeholders."}, imap: imapd.Faults{OddLogin: true, BodyFirst: true}},
	}
}

func unassigned() *issuer.Refusal {
	return &issuer.Refusal{Error: "access_denied", Code: 50105, Text: "The signed in user is not assigned to a role for the application.",
		Title: "You are not on the list", Lines: []string{"Your administrator decides who may use this application, and you are not on the list."}}
}

// fillPart makes the mailbox of a part.
func fillPart(p part, seed uint64, now time.Time, huge int, images string) []imapd.Folder {
	u := User{Name: p.title, Email: p.name + "@" + Domain, Role: "recruiter", Language: "en"}
	g := newGenerator(seed, now, u, englishNames, images)
	n := 60
	if p.name == "huge" {
		n = huge
	}
	reach := 90 * 24 * time.Hour
	if n > 500 {
		reach = span
	}
	g.fill(n, reach, false)
	tree := g.tree(otherEnglish, true)
	inbox := &tree[0]
	switch p.name {
	case "huge":
		inbox.Messages = append(inbox.Messages, enormous(u, now))
	case "quirks":
		for i, f := range []imapd.Message{{Fault: imapd.FetchEmpty, FaultTimes: 2}, {Fault: imapd.FetchEmpty, FaultTimes: -1}, {Fault: imapd.FetchPlaceholder, FaultTimes: -1}} {
			m := &inbox.Messages[len(inbox.Messages)-3-2*i]
			m.Fault, m.FaultTimes = f.Fault, f.FaultTimes
		}
	}
	return tree
}

// enormous is a mail of 160 MB that costs one megabyte of memory: its attachment is one piece, repeated.
func enormous(u User, now time.Time) imapd.Message {
	l := &letter{from: addr{"Louise Carter", "louise.carter@deltadredging.example"}, to: []addr{{u.Name, u.Email}}, subject: "All survey data in one file",
		date: local(now.Add(-26 * time.Hour)), id: "enormous@deltadredging.example", lang: "en", received: true,
		style: style{charset: "utf-8", encoding: "quoted-printable"}, paras: []string{"Hi,", "Sorry for the size.", "Louise"},
		attached: []attachment{{name: "survey.zip", mediaType: "application/zip", encoded: []byte("UEsDBAoAAAAAAA==\r\n")}}}
	raw := l.compose()
	piece := encode64(make([]byte, 57*13_000)) // whole lines, so that it may be repeated
	var out imapd.Content
	for _, p := range raw {
		if string(p) == "UEsDBAoAAAAAAA==\r\n" {
			for n := 0; n < 160<<20; n += len(piece) {
				out = append(out, piece)
			}
			continue
		}
		out = append(out, p)
	}
	return imapd.Message{Raw: out, Date: l.date}
}
