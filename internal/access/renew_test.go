package access_test

import (
	"testing"
	"time"

	"mailroom/internal/mailroom"
)

// A mail server refuses a token that has not run out: was it revoked?
func TestRenew(t *testing.T) {
	h := newHouse(t).granted()
	_, _, err := h.Renew(t.Context(), h.box.ID, "ACCESS-TOKEN-1")
	wants(t, err, mailroom.NeedsConsent, "imap.error.auth")
	if h.oauth.asked() != 0 {
		t.Error("a token made just now was refreshed")
	}

	age := func() {
		h.exec(`UPDATE grants SET refreshed_at = $1 WHERE mailbox_id = $2`, time.Now().Add(-2*time.Minute).UnixMicro(), h.box.ID)
	}
	age()
	for _, want := range []string{"ACCESS-TOKEN-2", "ACCESS-TOKEN-2"} { // the second comes with the old one too, and late
		got, _, err := h.Renew(t.Context(), h.box.ID, "ACCESS-TOKEN-1")
		if err != nil || got != want {
			t.Errorf("renewed %q, %v, want %q", got, err, want)
		}
	}
	if h.oauth.asked() != 1 {
		t.Errorf("asked %d times", h.oauth.asked())
	}

	age()
	h.oauth.refresh = func(string) (mailroom.Tokens, error) {
		return mailroom.Tokens{}, mailroom.E(mailroom.NeedsConsent, "oauth.error.grant_revoked")
	}
	_, _, err = h.Renew(t.Context(), h.box.ID, "ACCESS-TOKEN-2")
	wants(t, err, mailroom.NeedsConsent, "oauth.error.grant_revoked")
	if h.problem() != "oauth.error.grant_revoked" {
		t.Error("the mailbox does not show why")
	}
}
