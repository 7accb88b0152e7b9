package storetest

import (
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mailroom/internal/mailroom"
	"mailroom/internal/store"
)

// RunConsents is the conformance suite of links for administrators, of journeys to
// a provider, and of what is known of tenants.
func RunConsents(t *testing.T, open func(testing.TB) *store.Store) {
	s := open(t)
	for _, p := range []struct {
		name string
		run  func(*testing.T, World)
	}{
		{"link", testConsentLink},
		{"journey answered once", testConsentJourney},
		{"refusal reports no tenant", testConsentRefused},
		{"grant proves", testGrantProves},
		{"grant proves what it is about", testGrantProvesOnly},
		{"refresh proves", testRefreshProves},
		{"directory proves", testDirectoryProves},
		{"no proof without tenant", testNoTenantNoProof},
		{"forgotten", testConsentForgotten},
	} {
		t.Run(p.name, func(t *testing.T) { p.run(t, Seed(t, s)) })
	}
}

const aTenant, otherTenant = "11111111-2222-4333-8444-555555555555", "99999999-2222-4333-8444-555555555555"

func (w World) link(t testing.TB, mailboxID, tenant string) mailroom.ConsentLink {
	t.Helper()
	at := time.Now().UTC().Truncate(time.Microsecond)
	l := mailroom.ConsentLink{ID: mailroom.NewID(mailroom.PrefixConsentLink), OrgID: w.OrgID, ProviderID: "microsoft", MailboxID: mailboxID,
		Tenant: tenant, CreatedBy: w.UserID, CreatedAt: at, ExpiresAt: at.Add(time.Hour)}
	must(t, w.Store.AddConsentLink(t.Context(), l, w.act("consent.link_made")))
	return l
}

func (w World) journey(t testing.TB, l mailroom.ConsentLink) mailroom.ConsentJourney {
	t.Helper()
	at := time.Now().UTC().Truncate(time.Microsecond)
	id := mailroom.NewID(mailroom.PrefixJourney)
	j := mailroom.ConsentJourney{ID: id, OrgID: w.OrgID, ProviderID: "microsoft", StateHash: "hash-" + id, LinkID: l.ID, Binding: "b",
		Tenant: l.Tenant, CreatedAt: at, ExpiresAt: at.Add(time.Hour)}
	must(t, w.Store.AddConsentJourney(t.Context(), j, w.act("consent.asked")))
	return j
}

// green reports whether a link's consent counts as proved.
func (w World) green(t testing.TB, l mailroom.ConsentLink) bool {
	t.Helper()
	return !got(w.Store.ConsentLink(t.Context(), l.ID)).ProvedAt.IsZero()
}

func (w World) tenant(t testing.TB, id string) mailroom.Tenant {
	t.Helper()
	for _, known := range got(w.Store.Tenants(t.Context(), w.OrgID)) {
		if known.ID == id {
			return known
		}
	}
	return mailroom.Tenant{}
}

func testConsentLink(t *testing.T, w World) {
	signal, stop := w.Store.Watch(store.TopicUser(w.UserID))
	defer stop()
	told := func(what string) {
		t.Helper()
		select {
		case <-signal:
		case <-time.After(5 * time.Second):
			t.Errorf("whoever made the link is not told that it was %s", what)
		}
	}
	l := w.link(t, w.Mailbox.ID, "werk.example")
	told("made")
	w.audited(t, "consent.link_made")
	if read := got(w.Store.ConsentLink(t.Context(), l.ID)); !reflect.DeepEqual(read, l) {
		t.Errorf("kept %+v, want %+v", read, l)
	}
	must(t, w.Store.OpenedConsentLink(t.Context(), l.ID))
	told("opened")
	first := got(w.Store.ConsentLink(t.Context(), l.ID)).OpenedAt
	must(t, w.Store.OpenedConsentLink(t.Context(), l.ID))
	if again := got(w.Store.ConsentLink(t.Context(), l.ID)).OpenedAt; first.IsZero() || !again.Equal(first) {
		t.Errorf("opened first %v, then %v: the first time counts", first, again)
	}
	must(t, w.Store.OpenedConsentLink(t.Context(), "col_none"))

	if err := w.Store.WithdrawConsentLink(t.Context(), "org_other", l.ID, w.act("consent.link_withdrawn")); mailroom.KindOf(err) != mailroom.NotFound {
		t.Errorf("another organization withdraws it: %v", err)
	}
	must(t, w.Store.WithdrawConsentLink(t.Context(), w.OrgID, l.ID, w.act("consent.link_withdrawn")))
	told("withdrawn")
	w.audited(t, "consent.link_withdrawn")
	if err := w.Store.WithdrawConsentLink(t.Context(), w.OrgID, l.ID, w.act("consent.link_withdrawn")); mailroom.KindOf(err) != mailroom.NotFound {
		t.Errorf("withdrawn twice: %v", err)
	}
	newer := w.link(t, "", "")
	all := got(w.Store.ConsentLinks(t.Context(), w.OrgID))
	if len(all) != 2 || all[0].ID != newer.ID || all[1].RevokedAt.IsZero() {
		t.Errorf("listed %+v", all)
	}
	if other := got(w.Store.ConsentLinks(t.Context(), "org_other")); len(other) != 0 {
		t.Errorf("another organization sees %+v", other)
	}
}

func testConsentJourney(t *testing.T, w World) {
	l := w.link(t, "", "")
	j := w.journey(t, l)
	if read := got(w.Store.ConsentJourney(t.Context(), j.StateHash)); !reflect.DeepEqual(read, j) {
		t.Errorf("kept %+v, want %+v", read, j)
	}
	j.Reported = aTenant
	var in, out atomic.Int32
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			switch err := w.Store.AnswerConsentJourney(t.Context(), j, w.act("consent.reported")); {
			case err == nil:
				in.Add(1)
			case mailroom.KindOf(err) == mailroom.NotFound:
				out.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if in.Load() != 1 || out.Load() != 3 {
		t.Errorf("of 4 answers at once %d got in and %d did not", in.Load(), out.Load())
	}
	if n := w.Count(t, `audit WHERE org_id = $1 AND action = 'consent.reported'`, w.OrgID); n != 1 {
		t.Errorf("told %d times", n)
	}
	read := got(w.Store.ConsentJourney(t.Context(), j.StateHash))
	if read.AnsweredAt.IsZero() || read.Reported != aTenant || read.Problem != nil {
		t.Errorf("answered: %+v", read)
	}
	if known := w.tenant(t, aTenant); known.ReportedAt.IsZero() || !known.ProvedAt.IsZero() {
		t.Errorf("a report makes the tenant %+v", known)
	}
	if w.green(t, l) {
		t.Error("a report alone turns the link green")
	}
	flooded := w.link(t, "", "")
	var err error
	tries := 0
	for ; tries < 100 && err == nil; tries++ {
		again := j
		again.ID, again.LinkID = mailroom.NewID(mailroom.PrefixJourney), flooded.ID
		again.StateHash = again.ID
		err = w.Store.AddConsentJourney(t.Context(), again, w.act("consent.asked"))
	}
	if mailroom.KindOf(err) != mailroom.Throttled || tries < 20 {
		t.Errorf("a link led to the provider %d times: %v", tries, err)
	}
	w.Exec(t, `DELETE FROM consent_requests WHERE link_id = $1`, flooded.ID)
	second := w.journey(t, l)
	of := got(w.Store.ConsentJourneysOf(t.Context(), l.ID))
	if len(of) != 2 || of[0].ID != second.ID {
		t.Errorf("journeys of the link: %+v", of)
	}
	if all := got(w.Store.ConsentJourneys(t.Context(), w.OrgID)); len(all) != 2 {
		t.Errorf("journeys of the organization: %+v", all)
	}
	if none := got(w.Store.ConsentJourneys(t.Context(), "org_other")); len(none) != 0 {
		t.Errorf("another organization sees %+v", none)
	}
}

func testConsentRefused(t *testing.T, w World) {
	j := w.journey(t, w.link(t, "", ""))
	j.Reported, j.Problem = aTenant, &mailroom.Problem{Kind: mailroom.NeedsConsent, Key: "oauth.error.denied", Args: map[string]any{"ref": "r"}}
	must(t, w.Store.AnswerConsentJourney(t.Context(), j, w.act("consent.declined")))
	if read := got(w.Store.ConsentJourney(t.Context(), j.StateHash)); read.Problem == nil || read.Problem.Key != "oauth.error.denied" {
		t.Errorf("kept %+v", read)
	}
	if known := w.tenant(t, aTenant); known.ID != "" {
		t.Errorf("a refusal makes a tenant known: %+v", known)
	}
}

// granted is regranted of a tenant.
func (w World) granted(t testing.TB, tenant string) mailroom.NewGrant {
	t.Helper()
	n := w.newGrant(1)
	n.Grant.TenantID = tenant
	must(t, w.Store.SaveGrant(t.Context(), n))
	return n
}

func testGrantProves(t *testing.T, w World) {
	_, domain, _ := strings.Cut(w.Mailbox.Address, "@")
	waiting := map[string]mailroom.ConsentLink{
		"for the tenant": w.link(t, "", aTenant), "for the mailbox": w.link(t, w.Mailbox.ID, ""), "for the domain": w.link(t, "", domain),
		"by which it was reported": w.link(t, "", ""),
	}
	j := w.journey(t, waiting["by which it was reported"])
	j.Reported = aTenant
	must(t, w.Store.AnswerConsentJourney(t.Context(), j, w.act("consent.reported")))
	for name, l := range waiting {
		if w.green(t, l) {
			t.Errorf("the link %s is green before anything proved it", name)
		}
	}
	w.granted(t, aTenant)
	for name, l := range waiting {
		if !w.green(t, l) {
			t.Errorf("the link %s is not green after a grant of the tenant", name)
		}
	}
	if known := w.tenant(t, aTenant); known.ProvedAt.IsZero() || known.ProvedBy != mailroom.ProvedByGrant || known.ReportedAt.IsZero() {
		t.Errorf("the tenant is %+v", known)
	}
	if n := w.Count(t, `audit WHERE org_id = $1 AND action = 'consent.proved' AND actor_id = $2`, w.OrgID, w.UserID); n != 1 {
		t.Errorf("the proof is told %d times", n)
	}
	if of := got(w.Store.GrantTenants(t.Context(), w.OrgID)); of[w.Mailbox.ID] != aTenant || len(of) != 1 {
		t.Errorf("grants are of %v", of)
	}
	n := w.newGrant(1)
	n.Grant.TenantID = aTenant
	must(t, w.Store.SaveGrant(t.Context(), n))
	if n := w.Count(t, `audit WHERE org_id = $1 AND action = 'consent.proved'`, w.OrgID); n != 1 {
		t.Errorf("a proof that is known is told %d times", n)
	}
}

func testGrantProvesOnly(t *testing.T, w World) {
	colleague := w.AddRecruiter(t)
	withdrawn := w.link(t, w.Mailbox.ID, "")
	must(t, w.Store.WithdrawConsentLink(t.Context(), w.OrgID, withdrawn.ID, w.act("x")))
	foreign := Seed(t, w.Store)
	waiting := map[string]mailroom.ConsentLink{
		"of another tenant": w.link(t, "", otherTenant), "of a colleague's mailbox": w.link(t, colleague.Mailbox.ID, ""),
		"of another domain": w.link(t, "", "elders.example"), "of a domain with the same end": w.link(t, "", "rk.example"),
		"that was withdrawn": withdrawn, "of another organization": foreign.link(t, "", aTenant), "that nobody followed": w.link(t, "", ""),
	}
	google := w.link(t, "", aTenant)
	w.Exec(t, `UPDATE consent_links SET provider_id = 'google' WHERE id = $1`, google.ID)
	waiting["of another provider"] = google
	w.granted(t, aTenant)
	for name, l := range waiting {
		if w.green(t, l) {
			t.Errorf("a link %s turns green", name)
		}
	}
	if later := w.link(t, "", aTenant); w.green(t, later) {
		t.Error("a link is green by a proof from before it was made")
	}
	if known := got(foreign.Store.Tenants(t.Context(), foreign.OrgID)); len(known) != 0 {
		t.Errorf("another organization learns of %+v", known)
	}
}

func testRefreshProves(t *testing.T, w World) {
	n := w.granted(t, aTenant)
	refresh := func(problem string, version int64) {
		t.Helper()
		w.Exec(t, `UPDATE mailboxes SET problem = $1 WHERE id = $2`, problem, w.Mailbox.ID)
		if !got(w.Store.LeaseGrant(t.Context(), n.Grant.ID, "a", version, time.Now(), time.Now().Add(time.Minute))) {
			t.Fatal("no lease")
		}
		if !got(w.Store.SaveRefreshed(t.Context(), w.refreshed(n, "a", version))) {
			t.Fatal("not saved")
		}
	}
	l := w.link(t, "", aTenant)
	refresh("", 1)
	if w.green(t, l) {
		t.Error("an everyday refresh counts as proof: the link was made because something is wrong")
	}
	refresh(`{"kind":"needs_admin","key":"oauth.error.consent_missing"}`, 2)
	if !w.green(t, l) || w.tenant(t, aTenant).ProvedBy != mailroom.ProvedByRefresh {
		t.Errorf("consent that came back is not seen: %+v", w.tenant(t, aTenant))
	}
}

func testDirectoryProves(t *testing.T, w World) {
	l := w.link(t, "", "")
	j := w.journey(t, l)
	j.Reported = aTenant
	must(t, w.Store.AnswerConsentJourney(t.Context(), j, w.act("consent.reported")))
	signal, stop := w.Store.Watch(store.TopicOrg(w.OrgID))
	defer stop()
	must(t, w.Store.ProveTenant(t.Context(), w.OrgID, "microsoft", aTenant, mailroom.ProvedByDoctor))
	if known := w.tenant(t, aTenant); !w.green(t, l) || known.ProvedBy != mailroom.ProvedByDoctor {
		t.Errorf("after the directory showed it the tenant is %+v, the link green: %v", known, w.green(t, l))
	}
	select {
	case <-signal:
	case <-time.After(5 * time.Second):
		t.Error("nobody is told")
	}
}

func testNoTenantNoProof(t *testing.T, w World) {
	_, domain, _ := strings.Cut(w.Mailbox.Address, "@")
	own, domains, any := w.link(t, w.Mailbox.ID, ""), w.link(t, "", domain), w.link(t, "", "")
	w.granted(t, "") // a provider that knows no tenants
	if !w.green(t, own) || !w.green(t, domains) {
		t.Error("without tenants a grant does not turn its mailbox's own link green")
	}
	if w.green(t, any) {
		t.Error("a grant without tenant proves a link that is not about it")
	}
	if known := got(w.Store.Tenants(t.Context(), w.OrgID)); len(known) != 0 {
		t.Errorf("a tenant without a name is known: %+v", known)
	}
	must(t, w.Store.ProveTenant(t.Context(), w.OrgID, "microsoft", mailroom.ConsumerTenant, mailroom.ProvedByGrant))
	if known := got(w.Store.Tenants(t.Context(), w.OrgID)); len(known) != 0 {
		t.Errorf("personal accounts count as a company: %+v", known)
	}
}

func testConsentForgotten(t *testing.T, w World) {
	old, ended := w.link(t, "", ""), w.link(t, "", "")
	j := w.journey(t, old)
	long := time.Now().Add(-91 * 24 * time.Hour).UnixMicro()
	w.Exec(t, `UPDATE consent_links SET expires_at = $1 WHERE id = $2`, long, old.ID)
	w.Exec(t, `UPDATE consent_requests SET expires_at = $1 WHERE id = $2`, long, j.ID)
	w.Exec(t, `UPDATE consent_links SET expires_at = $1 WHERE id = $2`, time.Now().Add(-time.Hour).UnixMicro(), ended.ID)
	must(t, w.Store.KeepHouse(t.Context()))
	if n := w.Count(t, `consent_links WHERE org_id = $1`, w.OrgID); n != 1 {
		t.Errorf("%d links are kept, want the one that ended an hour ago", n)
	}
	if n := w.Count(t, `consent_requests WHERE org_id = $1`, w.OrgID); n != 0 {
		t.Error("a journey of long ago is kept")
	}
}
