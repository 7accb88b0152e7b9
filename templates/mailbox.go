package templates

import (
	"strings"

	"github.com/a-h/templ"

	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
)

// IntegrationsView is User Settings > Integrations with what was typed into its
// first two settings.
type IntegrationsView struct {
	portal.Integrations
	Address, Password Form
}

// cardClass marks the setting that is to be done next.
func (v IntegrationsView) cardClass(setting string) templ.CSSClasses {
	next := v.Next == setting || setting == "oauth" && (v.Next == "account" || v.Next == "grant")
	return templ.Classes("card", templ.KV("next", next))
}

// buttonClass is the accent for what is to be done next, quiet for the rest.
func (v IntegrationsView) buttonClass(setting string) templ.CSSClasses {
	next := v.Next == setting || setting == "oauth" && (v.Next == "account" || v.Next == "grant")
	return templ.Classes("button", templ.KV("quiet", !next))
}

// mark is a setting's state at a glance: tone and message key.
type mark struct{ tone, key string }

func (v IntegrationsView) usernameMark() mark {
	if v.Mailbox.Address == "" {
		return mark{"none", "integrations.mark.todo"}
	}
	return mark{"ok", "integrations.mark.saved"}
}

func (v IntegrationsView) passwordMark() mark {
	switch {
	case v.PasswordBlocks:
		return mark{"bad", "integrations.mark.must_be_empty"}
	case v.Mailbox.PasswordSet:
		return mark{"ok", "integrations.mark.saved"}
	case v.Mailbox.ID != "" && v.Mailbox.UsesPassword():
		return mark{"none", "integrations.mark.todo"}
	case v.Mailbox.Account != "":
		return mark{"ok", "integrations.mark.empty_good"}
	}
	return mark{"none", "integrations.mark.empty"}
}

func (v IntegrationsView) grantMark() mark {
	switch {
	case v.Grant != nil && v.consentProblem():
		return mark{"bad", "integrations.mark.void"}
	case v.Grant != nil:
		return mark{"ok", "integrations.mark.granted"}
	case v.Mailbox.ID != "" && v.Mailbox.UsesPassword():
		return mark{"none", "integrations.mark.not_used"}
	}
	return mark{"none", "integrations.mark.not_granted"}
}

// consentProblem: the mailbox no longer accepts the grant that we hold.
func (v IntegrationsView) consentProblem() bool {
	return v.Mailbox.Problem != nil && v.Mailbox.Problem.Kind == mailroom.NeedsConsent
}

// AccountChoice is the account that the dialog shows as chosen: the saved one,
// else Outlook, as a value of its choices.
func AccountChoice(v portal.Integrations) string {
	if v.Mailbox.UsesPassword() {
		for _, pr := range v.Passwords {
			if v.Mailbox.IMAP == pr.IMAP {
				return passwordChoice + pr.ID
			}
		}
	}
	if v.Mailbox.Account != "" {
		return string(v.Mailbox.Account) + ":" + v.Mailbox.ProviderID
	}
	return accountOptions(v)[0].value
}

// accountOption is one choice under IMAP Account.
type accountOption struct {
	value, name, hint string // hint is a message key
	oauth, offered    bool
}

// accountOptions are Outlook, Gmail and Other: each configured provider, with
// Outlook and Gmail named even where nobody has set them up, so that the page
// can say so; and last those with a password, known servers first.
func accountOptions(v portal.Integrations) []accountOption {
	var out []accountOption
	for _, kind := range []mailroom.AccountKind{mailroom.Outlook, mailroom.Gmail, mailroom.Other} {
		var found bool
		for _, p := range v.Grantable {
			if p.Kind == kind {
				found = true
				out = append(out, accountOption{
					value: string(kind) + ":" + p.ID, name: p.Name, hint: "activation.account." + string(kind),
					oauth: true, offered: true,
				})
			}
		}
		if !found && kind != mailroom.Other {
			out = append(out, accountOption{
				value: string(kind) + ":", name: map[mailroom.AccountKind]string{mailroom.Outlook: "Outlook", mailroom.Gmail: "Gmail"}[kind],
				hint: "activation.account.not_offered", oauth: true,
			})
		}
	}
	for _, p := range v.Passwords {
		out = append(out, accountOption{value: passwordChoice + p.ID, name: p.Name, hint: "activation.account.known", offered: true})
	}
	return append(out, accountOption{value: "other:", hint: "activation.account.password", offered: true})
}

// passwordChoice begins the value of a server that is known by name.
const passwordChoice = "password:"

// oauthValues are the choices for which Grant Permission is the button, and
// passwordValues those with a password, as data-when wants them.
func oauthValues(options []accountOption) string    { return values(options, true) }
func passwordValues(options []accountOption) string { return values(options, false) }

func values(options []accountOption, oauth bool) string {
	list := ""
	for _, o := range options {
		if o.oauth == oauth && o.offered {
			if list != "" {
				list += "|"
			}
			list += o.value
		}
	}
	return "account=" + list
}

// Revoked says how a revocation went, in the dialog's URL.
type Revoked string

const (
	NotRevoked   Revoked = ""
	RevokedThere Revoked = "provider" // the provider confirmed
	RevokeFailed Revoked = "failed"   // the provider did not answer; our tokens are gone all the same
	RevokedHere  Revoked = "here"     // the provider has no way to revoke by program
)

// StillOpen says beside how a revocation went that not every connection was seen
// to end.
func (r Revoked) StillOpen() Revoked { return r + stillOpen }

const stillOpen = ".open"

func (r Revoked) open() bool { return strings.HasSuffix(string(r), stillOpen) }

func (r Revoked) how() Revoked { return Revoked(strings.TrimSuffix(string(r), stillOpen)) }

// scopeKey is the message key of a scope in plain words, "" for an unknown one.
func scopeKey(scope string) string {
	switch scope {
	case "https://outlook.office.com/IMAP.AccessAsUser.All", "https://mail.google.com/", "IMAP.AccessAsUser.All":
		return "activation.scope.mail"
	case "offline_access":
		return "activation.scope.offline"
	case "openid", "profile", "email":
		return "activation.scope." + scope
	}
	return ""
}

func providerName(v IntegrationsView) string {
	if v.Provider != nil {
		return v.Provider.Name
	}
	return v.Mailbox.ProviderID
}

func passwordPlaceholder(p Page, v IntegrationsView) string {
	if v.Mailbox.PasswordSet {
		return p.Text("integrations.password.kept")
	}
	return ""
}

func passwordHint(p Page, v IntegrationsView) string {
	switch {
	case v.Mailbox.ID != "" && v.Mailbox.UsesPassword():
		return p.Text("integrations.password.hint_app", "host", v.Mailbox.IMAP.Host)
	case v.Mailbox.Account != "":
		return p.Text("integrations.password.hint_oauth", "provider", providerName(v))
	}
	return p.Text("integrations.password.hint")
}

// otysName is an OTYS folder in the user's language: the two that are always
// there are ours to name, the rest are the person's.
func otysName(p Page, f mailroom.OTYSFolder) string {
	switch f.Role {
	case mailroom.RoleInbox:
		return p.Text("folder.otys.inbox")
	case mailroom.RoleSent:
		return p.Text("folder.otys.sent")
	}
	return f.Name
}

// finishNote says when a backlog will be done, "" when nobody knows.
func finishNote(p Page, m portal.MappingRow) string {
	if m.Finish.IsZero() || !m.Finish.After(p.Now) {
		return ""
	}
	return p.Text("mappings.finish", "duration", p.About(m.Finish.Sub(p.Now)))
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

func accountName(p Page, o accountOption) string {
	if o.name != "" {
		return o.name
	}
	return p.Text("activation.account.password.name")
}

func revokedTone(r Revoked) string {
	if r.how() == RevokeFailed {
		return "warn"
	}
	return "done"
}
