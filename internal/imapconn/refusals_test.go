package imapconn

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"

	"mailroom/internal/i18n"
	"mailroom/internal/imapwire"
	"mailroom/internal/mailroom"
)

// Whatever this room says of a mail server stands in the catalogue, with words
// for both readers in both languages.
func TestEveryRefusalIsInTheCatalogue(t *testing.T) {
	listed := map[string]mailroom.Kind{}
	texts, err := i18n.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range Refusals() {
		listed[f.Key] = f.Kind
		for _, lang := range i18n.Languages {
			for _, key := range []string{f.Key, mailroom.AdminKey(f.Key), mailroom.TitleKey(f.Key)} {
				if !texts.For(lang).Has(key) {
					t.Errorf("%s: no text for %s", lang, key)
				}
			}
		}
	}
	said := regexp.MustCompile(`mailroom\.E\(mailroom\.(\w+), "(imap\.error\.\w+)"`)
	here := os.DirFS(".")
	files, err := fs.Glob(here, "*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range files {
		data, err := fs.ReadFile(here, name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, m := range said.FindAllStringSubmatch(string(data), -1) {
			found++
			kind := strings.ReplaceAll(string(listed[m[2]]), "_", "")
			if !strings.EqualFold(kind, m[1]) {
				t.Errorf("%s says %s %s, the catalogue %q", name, m[1], m[2], listed[m[2]])
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d refusals found: this test has lost its way", found)
	}
}

func TestReasonsThatServersName(t *testing.T) {
	for _, c := range []struct {
		code, text string
		kind       mailroom.Kind
		key        string
	}{
		{"ALERT", "Your account is not enabled for IMAP use. Please visit your Gmail settings page (Failure)", mailroom.NeedsAdmin, "imap_off"},
		{"ALERT", "IMAP access is disabled for your domain. Please contact your domain administrator (Failure)", mailroom.NeedsAdmin, "imap_off"},
		{"WEBALERT", "Web login required.", mailroom.NeedsConsent, "web_login"},
		{"ALERT", "Application-specific password required: https://support.google.com/accounts/answer/185833 (Failure)", mailroom.NeedsConsent, "app_password"},
		{"EXPIRED", "That password is over", mailroom.NeedsConsent, "expired"},
		{"AUTHORIZATIONFAILED", "No such authorization-ID", mailroom.NeedsAdmin, "not_allowed"},
		{"OVERQUOTA", "Account exceeded command or bandwidth limits. (Failure)", mailroom.Throttled, "throttled"},
		{"AUTHENTICATIONFAILED", "Invalid credentials (Failure)", mailroom.NeedsConsent, "auth"},
		{"", "AUTHENTICATE failed.", mailroom.NeedsConsent, "auth"},
		{"UNAVAILABLE", "Temporary authentication failure", mailroom.Unavailable, "busy"},
		{"CONTACTADMIN", "Ask", mailroom.NeedsAdmin, "contact_admin"},
	} {
		conn := &Conn{account: Account{SASL: []string{"XOAUTH2"}}}
		err := conn.fail(&imapwire.AuthError{Err: &imapwire.ResponseError{Status: "NO", Code: c.code, Text: c.text}})
		if e := mailroom.AsError(err); e.Kind != c.kind || e.Key != "imap.error."+c.key {
			t.Errorf("[%s] %s: %v, want %s %s", c.code, c.text, e, c.kind, c.key)
		}
	}
}
