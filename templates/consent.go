package templates

import (
	"net/url"
	"strings"

	"github.com/a-h/templ"

	"mailroom/internal/i18n"
	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
)

// consentTone is the dot's colour class of how far approval is.
func consentTone(s mailroom.ConsentState) string {
	switch s {
	case mailroom.ConsentProved:
		return "ok"
	case mailroom.ConsentSent, mailroom.ConsentOpened, mailroom.ConsentAsked, mailroom.ConsentReported:
		return "busy"
	case mailroom.ConsentDeclined, mailroom.ConsentMissing:
		return "bad"
	case mailroom.ConsentExpired:
		return "warn"
	}
	return "none"
}

// consentNotice is the colour class of what the page for IT says on top.
func consentNotice(s mailroom.ConsentState) string {
	switch s {
	case mailroom.ConsentProved:
		return "done"
	case mailroom.ConsentDeclined:
		return "bad"
	}
	return "note"
}

// ConsentRefusal says to an administrator why approving did not work. The families
// of the catalogue are about granting; those that mean something else to who
// approves for a company have words here.
func ConsentRefusal(t i18n.T, pr *mailroom.Problem) string {
	family, isFamily := strings.CutPrefix(pr.Key, "oauth.error.")
	if !isFamily {
		return ProblemText(t, pr)
	}
	switch family {
	case "denied", "declined":
		return t.Text("consent.refused.declined", pr.Args)
	case "consent_missing", "consent_requested":
		return t.Text("consent.refused.role", pr.Args)
	case "wrong_account", "tenant_unknown", "app_missing":
		return t.Text("consent.refused.company", pr.Args)
	}
	if key := "oauth.admin." + family; t.Has(key) {
		return t.Text(key, pr.Args)
	}
	return ProblemText(t, pr)
}

// consentScope is a scope in plain words, and what it is for.
func consentScope(p Page, scope string) (words, why string) {
	name := ""
	switch scope {
	case "offline_access", "openid", "profile", "email":
		name = scope
	default:
		if scopeKey(scope) == "activation.scope.mail" {
			name = "mail"
		}
	}
	if name == "" {
		return p.Text("consent.scope.other"), p.Text("consent.why.other")
	}
	return p.Text("consent.scope." + name), p.Text("consent.why." + name)
}

// scopeName is the short name under which a console lists a scope.
func scopeName(scope string) string {
	if strings.HasPrefix(scope, "https://") && strings.Contains(scope, "AccessAsUser") {
		return scope[strings.LastIndexByte(scope, '/')+1:]
	}
	return scope
}

// askedBy is who asks an IT administrator, and for which mailbox.
func askedBy(p Page, v portal.Invitation) string {
	switch {
	case v.By.Name == "":
		return p.Text("consent.page.lead", "organization", v.Organization)
	case v.Link.MailboxID != "" && len(v.Addresses) == 1:
		return p.Text("consent.page.lead.mailbox", "name", v.By.Name, "organization", v.Organization, "address", v.Addresses[0])
	}
	return p.Text("consent.page.lead.by", "name", v.By.Name, "organization", v.Organization)
}

// company is how the page for IT calls the company that is asked.
func company(v portal.Invitation) string {
	if mailroom.IsTenantID(v.Link.Tenant) {
		return ""
	}
	return v.Link.Tenant
}

// examples are the mailboxes that commands are filled in with: one that everybody
// sees is none where nobody knows.
func examples(v portal.Invitation) []string {
	if len(v.Addresses) > 0 {
		return v.Addresses
	}
	domain := company(v)
	if domain == "" {
		domain = "example.com"
	}
	return []string{"colleague@" + domain}
}

// imapCommands switch IMAP on, a line for each mailbox (docs/providers.md).
func imapCommands(v portal.Invitation) string {
	var b strings.Builder
	for i, address := range examples(v) {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString("Set-CASMailbox -Identity " + psQuoted(address) + " -ImapEnabled $true")
	}
	return b.String()
}

// imapQuestion shows whether IMAP is on.
func imapQuestion(v portal.Invitation) string {
	return "Get-CASMailbox -Identity " + psQuoted(examples(v)[0]) + " | Format-List ImapEnabled"
}

// psQuoted is a text in PowerShell's single quotes, where only they mean anything;
// it takes the typographic ones for the same.
func psQuoted(s string) string {
	return "'" + strings.NewReplacer("'", "''", "‘", "‘‘", "’", "’’", "‚", "‚‚", "‛", "‛‛").Replace(s) + "'"
}

// consentLetter is the page for IT as an e-mail: everything that is needed stands in
// it, also where links are not followed.
func consentLetter(p Page, v portal.Invitation, url string) string {
	var b strings.Builder
	b.WriteString(p.Text("consent.letter.hello") + "\n\n" + askedBy(p, v) + " " + p.Text("consent.letter.why", "provider", v.Provider.Operator()) + "\n\n")
	b.WriteString(p.Text("consent.letter.link") + "\n" + url + "\n\n")
	b.WriteString(p.Text("consent.letter.asked") + "\n")
	for _, scope := range v.Provider.Scopes {
		words, _ := consentScope(p, scope)
		b.WriteString("- " + scopeName(scope) + ": " + words + "\n")
	}
	b.WriteString("\n" + p.Text("consent.letter.end", "date", p.Date(v.Link.ExpiresAt)))
	return b.String()
}

func consentSubject(p Page, v portal.Invitation) string {
	return p.Text("consent.letter.subject", "organization", v.Organization)
}

// mailto opens the reader's mail program with the letter. Spaces are %20: mail
// programs show a + as it is (RFC 6068 §5), and lines end in CRLF (§5 too).
func mailto(subject, body string) templ.SafeURL {
	escape := func(s string) string {
		return strings.ReplaceAll(url.QueryEscape(strings.ReplaceAll(s, "\n", "\r\n")), "+", "%20")
	}
	return templ.SafeURL("mailto:?subject=" + escape(subject) + "&body=" + escape(body))
}

// pollAttributes make an element of a public page ask for itself again: strangers
// have no stream of events. What is done asks no more.
func pollAttributes(id, url string, done bool) templ.Attributes {
	a := templ.Attributes{"id": id}
	if !done {
		a["hx-get"], a["hx-select"], a["hx-target"], a["hx-swap"], a["hx-trigger"] = url, "#"+id, "this", "outerMorph", "every 5s"
	}
	return a
}

// stateHere is a state as whoever is asked reads it.
func stateHere(p Page, s mailroom.ConsentState) string {
	switch s {
	case mailroom.ConsentNone, mailroom.ConsentSent, mailroom.ConsentOpened:
		return p.Text("consent.here.waiting")
	case mailroom.ConsentAsked:
		return p.Text("consent.here.asked")
	}
	return p.Text("consent.state." + string(s))
}

// consoleURL is an administrator's web page of a provider, "" when nobody named it.
func consoleURL(v portal.Invitation, name string) string { return v.Provider.Consoles[name] }

// consentNumbers are a company's mailboxes in words.
func consentNumbers(p Page, c portal.ConsentCompany) string {
	if c.Mailboxes == 0 {
		return p.Text("consent.mailboxes.none")
	}
	text := p.Text("consent.mailboxes", "n", c.Mailboxes, "connected", c.Connected)
	if c.Blocked > 0 {
		text += " " + p.Text("consent.blocked", "n", c.Blocked)
	}
	if c.Again > 0 {
		text += " " + p.Text("consent.again", "n", c.Again)
	}
	return text
}

// consentStory says how far a company is in a sentence.
func consentStory(p Page, c portal.ConsentCompany) string {
	if c.State == mailroom.ConsentProved && p.Has("consent.proved_by."+c.ProvedBy) {
		return p.Text("consent.proved_by."+c.ProvedBy, "time", p.At(c.At, p.Now))
	}
	return p.Text("consent.story."+string(c.State), "time", p.At(c.At, p.Now))
}

// sendable reports whether a link is still of use to whoever gets it.
func sendable(s mailroom.ConsentState) bool {
	switch s {
	case mailroom.ConsentProved, mailroom.ConsentExpired, mailroom.ConsentWithdrawn:
		return false
	}
	return true
}
