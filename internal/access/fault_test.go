package access_test

import (
	"testing"
	"time"

	"mailroom/internal/mailroom"
)

// colleague is somebody else of the house's organization, before the same provider.
func (h *house) colleague() *house {
	h.t.Helper()
	c := *h
	c.world = h.world.AddRecruiter(h.t)
	c.user = mailroom.User{ID: c.world.UserID, OrgID: c.world.OrgID}
	c.box = c.world.Mailbox
	c.exec(`DELETE FROM grants WHERE mailbox_id = $1`, c.box.ID)
	c.exec(`UPDATE mailboxes SET address = $1 WHERE id = $2`, "Anna@werk.example", c.box.ID)
	return &c
}

// A provider that refuses everybody at once has a fault: nobody is told to grant
// again, and whoever asks for a token is told that it passes.
func TestProviderRefusesEverybody(t *testing.T) {
	h := newHouse(t)
	var all []*house
	for range 7 {
		all = append(all, h.colleague().granted())
	}
	h.exec(`UPDATE grants SET refreshed_at = $1, expires_at = $1`, time.Now().Add(-time.Hour).UnixMicro())
	h.oauth.refresh = func(string) (mailroom.Tokens, error) {
		return mailroom.Tokens{}, mailroom.E(mailroom.NeedsConsent, "oauth.error.grant_ended").With("ref", "abc")
	}
	for i, c := range all {
		_, err := c.token()
		if i < 4 {
			wants(t, err, mailroom.NeedsConsent, "oauth.error.grant_ended")
		} else {
			wants(t, err, mailroom.Unavailable, mailroom.KeyProviderFault)
		}
	}
	for i, c := range all {
		if got := c.problem(); got != mailroom.KeyProviderFault {
			t.Errorf("mailbox %d shows %q", i, got)
		}
	}
	h.oauth.refresh = nil
	for i, c := range all {
		if _, err := c.token(); err != nil || c.problem() != "" {
			t.Errorf("afterwards mailbox %d: %v, shows %q", i, err, c.problem())
		}
	}
}

// What the provider says an administrator has to do is not doubted.
func TestConsentWithdrawnForAll(t *testing.T) {
	h := newHouse(t)
	h.oauth.refresh = func(string) (mailroom.Tokens, error) {
		return mailroom.Tokens{}, mailroom.E(mailroom.NeedsAdmin, "oauth.error.consent_missing")
	}
	for range 6 {
		c := h.colleague().granted()
		c.spend()
		_, err := c.token()
		wants(t, err, mailroom.NeedsAdmin, "oauth.error.consent_missing")
		if c.problem() != "oauth.error.consent_missing" {
			t.Error("the mailbox does not show it")
		}
	}
}
