package web

import (
	"strings"
	"testing"
	"time"

	"mailroom/internal/mailroom"
)

func TestIntegrationsLeadThroughTheFourSettings(t *testing.T) {
	s := openSite(t)
	b := s.as(s.admin)
	page := b.get(integrationsPath).wants(200)
	for i, name := range []string{"Mail - Incoming IMAP Username", "Mail - Incoming IMAP Password (SE2936)",
		"Mail - IMAP Incoming - oAuth 2.0 activation", "Mail - IMAP Folders Mapping"} {
		if got := page.text("section.card:nth-of-type(" + string(rune('1'+i)) + ") h2"); got != name {
			t.Errorf("setting %d is called %q, want %q", i+1, got, name)
		}
	}
	next := func(setting string) {
		t.Helper()
		if page := b.get(integrationsPath); page.attr(".card.next", "id") != setting || len(page.find(".card.next")) != 1 {
			t.Errorf("the next setting is %q, want %q", page.attr(".card.next", "id"), setting)
		}
	}
	next("username")
	b.post(integrationsPath+"/username", "address", "Anna@Werk.example ").leadsTo(integrationsPath).shows(".flashes", "saved")
	next("oauth")
	b.post(activationPath, "account", "outlook:microsoft").wants(200)
	b.get("/oauth/callback/microsoft?state=state&code=good").leadsTo(activationPath+"?granted=1").shows("dialog", "It worked")
	next("mapping")
	b.get(integrationsPath).shows("#oauth", "Permission granted").shows("#password", "Empty, as it should be")
}

func TestAddressThatIsNoneIsRefused(t *testing.T) {
	s := openSite(t)
	b := s.as(s.admin)
	page := b.post(integrationsPath+"/username", "address", "anna at werk").wants(422)
	if page.attr("#f-address", "aria-invalid") != "true" || page.attr("#f-address", "value") != "anna at werk" {
		t.Error("the field does not show what is wrong with what was typed")
	}
	page.shows("#f-address-complaint", "address")
}

func TestAnotherAddressAsksFirst(t *testing.T) {
	s := openSite(t)
	s.connected(s.admin)
	b := s.as(s.admin)
	to := integrationsPath + "/username?address=post%40werk.example"
	page := b.post(integrationsPath+"/username", "address", "post@werk.example").leadsTo(to).wants(200)
	page.shows("dialog", "anna@werk.example").shows("dialog", "permission for anna@werk.example is revoked").shows("dialog", "2 folder mappings stop")
	b.get(integrationsPath).shows("#mapping", "Verzonden items") // nothing has happened yet

	b.post(integrationsPath+"/username", "address", page.attr("dialog input[name=address]", "value"), "confirmed", "yes").leadsTo(integrationsPath)
	page = b.get(integrationsPath).shows("#oauth", "Not granted").shows("#mapping", "No folders yet")
	if got := page.attr("#f-address", "value"); got != "post@werk.example" {
		t.Errorf("the address is %q", got)
	}
	b.get(to).leadsTo(integrationsPath) // nothing left to ask
}

func TestPasswordIsRefusedWithOAuth(t *testing.T) {
	s := openSite(t)
	s.connected(s.admin)
	b := s.as(s.admin)
	page := b.post(integrationsPath+"/password", "password", "old secret").wants(422)
	page.shows("#password .complaint", "oAuth 2.0")
	if page.attr("#f-password", "value") != "" {
		t.Error("the password comes back in the page")
	}
}

func TestPasswordFromBeforeBlocksTheGrantUntilCleared(t *testing.T) {
	s := openSite(t)
	b := s.as(s.admin)
	b.post(integrationsPath+"/username", "address", s.admin.Email).wants(303)
	sqlExec(t, s, `UPDATE mailboxes SET password_key = 'k', password_sealed = 'x', account = 'outlook', provider_id = 'microsoft'`)
	b.get(integrationsPath).shows("#password", "Must be emptied").shows("#password .notice", "must be empty")
	b.post(activationPath, "account", "outlook:microsoft").wants(422).shows("dialog [role=alert]", "password")
	b.post(integrationsPath+"/password/clear", "back", activationPath).leadsTo(activationPath)
	b.post(activationPath, "account", "outlook:microsoft").wants(200)
}

func TestSyncPauseAndResume(t *testing.T) {
	s := openSite(t)
	box := s.connected(s.admin)
	b := s.as(s.admin)
	b.post(integrationsPath+"/sync", "back", integrationsPath).leadsTo(integrationsPath).shows(".flashes", "asked for")
	after, err := s.store.MailboxOf(t.Context(), s.admin.ID)
	if err != nil || after.Mailbox.Wanted != box.Wanted+1 {
		t.Errorf("wanted %d, was %d (%v)", after.Mailbox.Wanted, box.Wanted, err)
	}
	b.post("/mailboxes/"+box.ID+"/pause", "back", integrationsPath).leadsTo(integrationsPath).shows("#mailbox-state", "Paused")
	b.post(integrationsPath+"/sync", "back", "//evil.example").leadsTo(integrationsPath).shows(".flashes .bad", "paused")
	b.post("/mailboxes/"+box.ID+"/resume", "back", integrationsPath).leadsTo(integrationsPath).lacks("#mailbox-state form[action$=resume]")
}

func TestAdministratorSteersOthersMailboxes(t *testing.T) {
	s := openSite(t)
	box := s.connected(s.addUser("Noor", "noor@werk.example", mailroom.Recruiter))
	s.as(s.admin).post("/mailboxes/"+box.ID+"/pause", "back", "/help").leadsTo("/help").shows(".flashes", "paused")
}

func TestDeadGrantIsShownWithItsWayOut(t *testing.T) {
	s := openSite(t)
	s.connected(s.admin)
	sqlExec(t, s, `UPDATE mailboxes SET problem = '{"kind":"needs_consent","key":"imap.error.auth","since":"2026-11-23T08:00:00Z"}'`)
	b := s.as(s.admin)
	page := b.get(integrationsPath).shows("#mailbox-state .state", "Needs you").shows("#oauth .state", "No longer valid")
	if page.attr("#mailbox-state .notice a.button", "href") != activationPath {
		t.Error("no way to grant again")
	}
	b.get(activationPath).shows("dialog .notice", "mend this yourself").shows("dialog button", "Grant Permission")
	b.get(mappingPath).shows("#progress", "Verzonden items")
}

// A pause that the provider wants is told by its name, with the time, wherever
// the mailbox or one of its folders is shown.
func TestProviderThatWantsAPauseIsNamed(t *testing.T) {
	s := openSite(t)
	s.clock = func() time.Time { return time.Date(2026, 11, 23, 13, 50, 0, 0, time.UTC) }
	noor := s.addUser("Noor", "noor@werk.example", mailroom.Recruiter)
	box := s.connected(noor)
	const problem = `{"kind":"throttled","key":"imap.error.throttled","since":"2026-11-23T13:45:00Z","until":"2026-11-23T14:05:00Z"}`
	const words = "Microsoft asked us to wait until 14:05."
	told := func() {
		t.Helper()
		for path, who := range map[string]mailroom.User{mappingPath: noor, "/mail": noor, "/admin/sync": s.admin} {
			a := s.as(who).get(path).wants(200).shows(".notice", words)
			if text := a.text(".notice"); strings.Contains(text, "we keep trying") || strings.Contains(text, "Next attempt") {
				t.Errorf("%s: %s", path, text)
			}
		}
	}
	sqlExec(t, s, `UPDATE mailboxes SET problem = $1 WHERE id = $2`, problem, box.ID)
	told()
	s.as(noor).get(integrationsPath).shows(".notice", words)
	sqlExec(t, s, `UPDATE mailboxes SET problem = '' WHERE id = $1`, box.ID)
	sqlExec(t, s, `UPDATE progress SET problem = $1 WHERE mailbox_id = $2`, problem, box.ID)
	told()
}
