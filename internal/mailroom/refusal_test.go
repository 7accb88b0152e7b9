package mailroom_test

import (
	"slices"
	"testing"
	"time"

	"mailroom/internal/mailroom"
)

func TestProviderFault(t *testing.T) {
	now := time.Date(2026, 1, 20, 12, 0, 0, 0, time.UTC)
	ago := func(minutes ...int) (out []time.Time) {
		for _, m := range minutes {
			out = append(out, now.Add(-time.Duration(m)*time.Minute))
		}
		return out
	}
	for _, c := range []struct {
		name          string
		refused, fine []int // minutes ago
		since         int   // 0: no fault
	}{
		{"nobody", nil, ago0(1, 2), 0},
		{"one", []int{1}, nil, 0},
		{"four of four", []int{1, 2, 3, 4}, nil, 0},
		{"five of five", []int{1, 2, 3, 4, 5}, nil, 5},
		{"five within half an hour, as tokens of ten mailboxes run out", []int{1, 8, 15, 22, 29}, nil, 29},
		{"all that were tried since, of many that are fine still", []int{1, 2, 3, 4, 5}, []int{6, 8, 20, 50, 50, 60, 61, 62}, 5},
		{"half of those tried since", []int{1, 2, 3, 4, 5}, []int{1, 2, 3, 4, 5}, 5},
		{"fewer than half of those tried since", []int{1, 2, 3, 4, 5}, []int{1, 1, 2, 3, 4, 5}, 0},
		{"five that ended one after another over hours, all others fine", []int{10, 70, 130, 190, 250}, []int{5, 9, 20, 30, 40, 50, 60, 61}, 0},
		{"one that ended long before the others", []int{1, 2, 3, 4, 5, 300}, []int{20, 30, 31, 32, 33, 34, 35}, 5},
		{"an hour into it", []int{1, 10, 20, 30, 40, 50, 60}, nil, 60},
		{"it passes: most are fine again", []int{30, 31, 32, 33, 34}, []int{1, 1, 1, 2, 2, 2}, 0},
		{"after six hours each is believed", []int{360, 361, 362, 363, 364, 365}, nil, 0},
		{"some are believed, the rest is a fault still", []int{300, 310, 320, 330, 340, 360, 365}, nil, 340},
	} {
		since, fault := mailroom.ProviderFault(ago(c.refused...), ago(c.fine...), now)
		if fault != (c.since > 0) || fault && !since.Equal(ago(c.since)[0]) {
			t.Errorf("%s: %v since %v, want since %d minutes", c.name, fault, since, c.since)
		}
	}
}

func ago0(m ...int) []int { return m }

func TestWhatIsARefusal(t *testing.T) {
	for _, c := range []struct {
		kind              mailroom.Kind
		key               string
		refused, doubtful bool
	}{
		{mailroom.NeedsConsent, "oauth.error.grant_ended", true, true},
		{mailroom.NeedsAdmin, "oauth.error.consent_missing", true, false},
		{mailroom.NeedsVendor, "oauth.error.secret_expired", true, false},
		{mailroom.NeedsConsent, "imap.error.auth", true, true},
		{mailroom.NeedsAdmin, "imap.error.not_connected", true, true},
		{mailroom.NeedsAdmin, "imap.error.imap_off", true, false},
		{mailroom.Unavailable, "oauth.error.transient", false, false},
		{mailroom.NeedsConsent, "grant.error.none", false, false},
		{mailroom.NeedsConsent, "grant.error.no_refresh_left", false, false},
		{mailroom.NeedsConsent, "imap.error.password", false, false},
		{mailroom.Unavailable, mailroom.KeyProviderFault, false, false},
	} {
		p := &mailroom.Problem{Kind: c.kind, Key: c.key}
		if p.Refused() != c.refused || p.Doubtful() != c.doubtful {
			t.Errorf("%s: refused %v, doubtful %v", p, p.Refused(), p.Doubtful())
		}
	}
	if (*mailroom.Problem)(nil).Refused() {
		t.Error("no problem is a refusal")
	}
}

func TestFaults(t *testing.T) {
	at := time.Date(2026, 1, 20, 12, 0, 0, 0, time.UTC)
	r := func(box, tenant string, kind mailroom.Kind, key, shown string, minutes int) mailroom.Refusal {
		v := mailroom.Refusal{MailboxID: box, ProviderID: "microsoft", TenantID: tenant, Kind: kind, Key: key, FirstAt: at.Add(time.Duration(minutes) * time.Minute)}
		v.LastAt = v.FirstAt.Add(time.Minute)
		v.Shown = &mailroom.Problem{Kind: kind, Key: shown}
		if shown == mailroom.KeyProviderFault {
			v.Shown.Kind = mailroom.Unavailable
		}
		return v
	}
	const ended, consent = "oauth.error.grant_ended", "oauth.error.consent_missing"
	cleared := r("x", "t1", mailroom.NeedsAdmin, consent, consent, 0)
	cleared.Shown = nil
	got := mailroom.Faults([]mailroom.Refusal{
		r("a", "t1", mailroom.NeedsConsent, ended, mailroom.KeyProviderFault, 3),
		r("b", "t1", mailroom.NeedsConsent, ended, mailroom.KeyProviderFault, 2),
		r("c", "t1", mailroom.NeedsConsent, ended, ended, 0), // believed: its own trouble
		r("d", "t2", mailroom.NeedsAdmin, consent, consent, 5),
		r("e", "t2", mailroom.NeedsAdmin, consent, consent, 4),
		r("f", "t3", mailroom.NeedsAdmin, consent, consent, 1), // the only one there
		cleared,
	})
	if len(got) != 2 {
		t.Fatalf("got %+v, want two troubles", got)
	}
	if f := got[0]; f.Kind != mailroom.Unavailable || f.Reason.Key != ended || !slices.Equal(f.Mailboxes, []string{"a", "b"}) ||
		!f.Since.Equal(at.Add(2*time.Minute)) || !f.LastAt.Equal(at.Add(4*time.Minute)) || !f.BelievedAt.Equal(f.Since.Add(6*time.Hour)) {
		t.Errorf("the provider's fault: %+v", f)
	}
	if f := got[1]; f.Kind != mailroom.NeedsAdmin || f.TenantID != "t2" || len(f.Mailboxes) != 2 || !f.BelievedAt.IsZero() {
		t.Errorf("what an administrator mends: %+v", f)
	}
}
