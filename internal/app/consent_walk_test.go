package app_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"mailroom/internal/mailroom"
	"mailroom/internal/pretend/world"
)

// TestBlockedUntilITApproves walks three people through what most companies
// make of the first grant: the recruiter is blocked and sends a link, somebody
// in IT without an account here approves, pages turn green by themselves, and
// then the grant works and mail comes in.
func TestBlockedUntilITApproves(t *testing.T) {
	w, err := world.Start(world.Options{Large: 20, RedirectURIs: []string{"http://127.0.0.1/oauth/callback/microsoft"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	mailbox := "needs-admin@" + world.Domain
	g := ground{mailbox: mailbox, known: "Approve Mailroom", people: w.PeopleCSV(), providers: mailroom.Providers{w.Provider()}}
	a := start(t, g, "")
	admin, recruiter := settle(t, a, g)
	pick := func(b *browser, account string) {
		t.Helper()
		b.click("[data-account='" + account + "']")
	}

	// 1. The recruiter is blocked, and the page has both remedies.
	b := newBrowser(t, a.URL())
	b.signIn(recruiter)
	b.open("/settings/integrations")
	b.fill("#username input[name=address]", mailbox)
	b.click("#username button")
	b.see(mailbox)
	b.open("/settings/integrations/oauth")
	b.click("input[name=account][value^=outlook]")
	b.press("Grant Permission")
	pick(b, mailbox)
	b.click("#return")
	b.at("/settings/integrations/oauth/refused")
	b.sane()

	// The portal's administrator has the doctor look, which IT lets in: it names
	// what is missing, and who mends it.
	boss := newBrowser(t, a.URL())
	boss.signIn(admin)
	boss.open("/admin/doctor")
	boss.see(mailbox)
	boss.sane()
	boss.press("Look into Microsoft 365")
	pick(boss, w.ITAdmin)
	boss.click("#consent-accept")
	boss.at("/admin/doctor/")
	boss.see("no administrator has allowed it to read mail", "not OK", "Exchange Online is in the licence")
	boss.sane()

	// 2. A link for IT is one press away.
	b.click("form[action='/settings/integrations/consent-link'] button")
	b.at("/settings/integrations/consent")
	b.see("Link made", "Send this link")
	b.sane()
	link := strings.TrimPrefix(strings.TrimSpace(b.value("document.querySelector('#link').textContent")), a.URL())
	if !strings.HasPrefix(link, "/consent/") {
		t.Fatalf("the link is %q", link)
	}

	// 3. Somebody in IT, who has no account here, first with the wrong account.
	it := newBrowser(t, a.URL())
	it.open(link)
	it.see("Approve Mailroom for Agency", mailbox, "IMAP.AccessAsUser.All", "offline_access", "Set-CASMailbox -Identity '"+mailbox+"' -ImapEnabled $true")
	it.sane()
	b.see("Link opened") // without a click
	it.press("Approve at Microsoft")
	pick(it, w.Users[0].Email)
	it.click("#return")
	it.at("/consent/")
	it.see("Not approved")
	it.sane()
	b.see("came back from the provider without approval")
	it.press("Approve at Microsoft")
	pick(it, w.ITAdmin)
	it.click("#consent-accept")
	it.at("/consent/")
	it.see("Reported", "reports that you approved")
	it.sane()
	if strings.Contains(it.text(), "It works, which was proved") {
		t.Error("a report passes for a proof")
	}

	// 4. The administrator of the portal and the recruiter see it come.
	boss.open("/admin/consent")
	boss.see("Reported")
	boss.sane()
	b.see("Your administrator approved, says the provider.")

	// 5. The grant works now, and proves it: both pages turn green by themselves.
	b.press("Grant Permission")
	b.click("input[name=account][value^=outlook]")
	b.press("Grant Permission")
	pick(b, mailbox)
	b.at("/settings/integrations/oauth")
	b.see("It worked: permission is granted.")
	b.sane()
	it.see("It works, which was proved")
	it.sane()
	boss.see("somebody of this company granted permission")

	// 6. And mail comes in.
	b.press("Next: map folders")
	b.at("/settings/integrations/mapping")
	b.see("Inbox (")
	b.press("Save Mappings")
	b.see("The mappings are saved")
	b.open("/mail")
	b.until("mail in the mailbox", `document.querySelectorAll("a[href^='/mail/msg_']").length > 10`)
	boss.open("/admin/sync")
	boss.see(mailbox, "Up to date")
	boss.open("/admin/doctor")
	boss.press("Look into Microsoft 365")
	pick(boss, w.ITAdmin)
	boss.at("/admin/doctor/")
	boss.see("All OK")
	if cmds := w.IMAP.Mutating(); len(cmds) > 0 {
		t.Errorf("commands that change the mailbox: %v", cmds)
	}
}

// value is the text that an expression gives.
func (b *browser) value(expression string) string {
	b.t.Helper()
	text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](expression))
	if err != nil {
		b.fail("%s: %v", expression, err)
	}
	return text
}
