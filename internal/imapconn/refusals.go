package imapconn

import (
	"strings"

	"mailroom/internal/mailroom"
)

// Refusals is the catalogue of what mail servers refuse, for the page that lists
// it; fail decides which of them an error is.
func Refusals() []mailroom.RefusalFamily {
	family := func(kind mailroom.Kind, id string, says ...string) mailroom.RefusalFamily {
		return mailroom.RefusalFamily{Key: "imap.error." + id, Kind: kind, Says: says}
	}
	return []mailroom.RefusalFamily{
		family(mailroom.NeedsConsent, "auth", "NO AUTHENTICATE failed.", "NO [AUTHENTICATIONFAILED] Invalid credentials"),
		family(mailroom.NeedsConsent, "password", "NO [AUTHENTICATIONFAILED] …", "NO LOGIN failed."),
		family(mailroom.NeedsConsent, "app_password", "NO [ALERT] Application-specific password required"),
		family(mailroom.NeedsConsent, "expired", "NO [EXPIRED] …"),
		family(mailroom.NeedsConsent, "web_login", "NO [WEBALERT …] Web login required.", "NO [ALERT] Please log in via your web browser"),
		family(mailroom.Invalid, "plain"),
		family(mailroom.NeedsAdmin, "not_connected", "BAD User is authenticated but not connected."),
		family(mailroom.NeedsAdmin, "no_folders"),
		family(mailroom.NeedsAdmin, "imap_off", "NO [ALERT] Your account is not enabled for IMAP use", "NO [ALERT] IMAP access is disabled for your domain"),
		family(mailroom.NeedsAdmin, "not_allowed", "NO [AUTHORIZATIONFAILED] …"),
		family(mailroom.NeedsAdmin, "no_password_login", "LOGINDISABLED"),
		family(mailroom.NeedsAdmin, "contact_admin", "NO [CONTACTADMIN] …"),
		family(mailroom.NeedsAdmin, "certificate"),
		family(mailroom.NeedsVendor, "mechanism"),
		family(mailroom.Throttled, "throttled", "NO Request is throttled. Suggested Backoff Time: … milliseconds", "NO [OVERQUOTA] Account exceeded command or bandwidth limits."),
		family(mailroom.Unavailable, "too_many", "NO [ALERT] Too many simultaneous connections.", "NO [LIMIT] …"),
		family(mailroom.Unavailable, "crowded"),
		family(mailroom.Unavailable, "busy", "NO [UNAVAILABLE] …", "NO [INUSE] …", "NO [SERVERBUG] …"),
		family(mailroom.Unavailable, "session_ended", "BYE Session invalidated - AccessTokenExpired"),
		family(mailroom.Unavailable, "refused"),
		family(mailroom.Unavailable, "short_answer"),
		family(mailroom.Unavailable, "tls"),
		family(mailroom.Unavailable, "protocol"),
		family(mailroom.Unavailable, "network"),
		family(mailroom.Unavailable, "stopped"),
	}
}

// refusedSignIn tells sign-ins that were refused for a reason which the server
// names: RFC 5530 §3, and the words of Gmail.
func refusedSignIn(text, code string, err error) *mailroom.Error {
	says := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(text, w) {
				return true
			}
		}
		return false
	}
	switch {
	case says("not enabled for imap", "imap access is disabled", "imap is disabled"):
		return mailroom.E(mailroom.NeedsAdmin, "imap.error.imap_off", err)
	case code == "WEBALERT" || says("web login required", "log in via your web browser"):
		return mailroom.E(mailroom.NeedsConsent, "imap.error.web_login", err)
	case says("application-specific password"):
		return mailroom.E(mailroom.NeedsConsent, "imap.error.app_password", err)
	case code == "EXPIRED":
		return mailroom.E(mailroom.NeedsConsent, "imap.error.expired", err)
	case code == "AUTHORIZATIONFAILED":
		return mailroom.E(mailroom.NeedsAdmin, "imap.error.not_allowed", err)
	}
	return nil
}
