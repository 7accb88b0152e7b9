package storetest

import (
	"context"
	"reflect"
	"sync"
	"testing"
	"time"

	"mailroom/internal/mailroom"
	"mailroom/internal/store"
)

// RunProviders is the conformance suite of what an organization sets as its
// providers and their credentials.
func RunProviders(t *testing.T, open func(testing.TB) *store.Store) {
	s := open(t)
	for _, p := range []struct {
		name string
		run  func(*testing.T, World)
	}{
		{"provider saved", testProviderSaved},
		{"provider of another client", testProviderOtherClient},
		{"provider dropped", testProviderDropped},
		{"provider walls", testProviderWalls},
		{"credential kept", testCredentialKept},
		{"credential judged", testCredentialJudged},
		{"credential dropped", testCredentialDropped},
		{"credentials dropped at once", testCredentialsDroppedAtOnce},
		{"mailboxes to prove with", testProvableMailboxes},
	} {
		t.Run(p.name, func(t *testing.T) { p.run(t, Seed(t, s)) })
	}
}

func (w World) providerRow(id, client string) mailroom.ProviderRow {
	return mailroom.ProviderRow{OrgID: w.OrgID, ID: id, Set: mailroom.ProviderSet{ClientID: client}}
}

// Credential is one of the world's organization, sealed by nobody.
func (w World) Credential(providerID, client string, use mailroom.CredentialUse) mailroom.Credential {
	return mailroom.Credential{
		ID: mailroom.NewID(mailroom.PrefixCredential), OrgID: w.OrgID, ProviderID: providerID, Use: use, Kind: mailroom.ClientSecret,
		ClientID: client, ExpiresAt: time.UnixMicro(1_900_000_000_000_001).UTC(), CreatedBy: w.UserID,
		CreatedAt: time.Now().UTC().Truncate(time.Microsecond), Sealed: mailroom.Sealed{KeyID: "kek", Data: []byte{0, 1, 255}},
	}
}

func (w World) addCredential(t testing.TB, providerID, client string) mailroom.Credential {
	t.Helper()
	c := w.Credential(providerID, client, mailroom.UseMail)
	must(t, w.Store.AddClientCredential(t.Context(), c, w.act("credential.added")))
	return c
}

func testProviderSaved(t *testing.T, w World) {
	row := w.providerRow("house", "client")
	row.Set.Testing = true
	row.Set.Own = &mailroom.Provider{ID: "house", Name: "House", Scopes: []string{"imap"}, AuthParams: map[string]string{"a": "b"}}
	signalled(t, w.Store, store.TopicProviders(w.OrgID), func(ctx context.Context) error {
		return w.Store.SaveProvider(ctx, row, false, w.act("provider.saved"))
	})
	w.audited(t, "provider.saved")
	rows := got(w.Store.ProviderRows(t.Context(), w.OrgID))
	if len(rows) != 1 || rows[0].CreatedAt.IsZero() || !reflect.DeepEqual(rows[0].Set, row.Set) {
		t.Errorf("kept %+v, want %+v", rows, row.Set)
	}
	row.Set.Testing = false
	must(t, w.Store.SaveProvider(t.Context(), row, false, w.act("provider.saved")))
	again := got(w.Store.ProviderRows(t.Context(), w.OrgID))
	if len(again) != 1 || again[0].Set.Testing || !again[0].CreatedAt.Equal(rows[0].CreatedAt) || !again[0].ChangedAt.After(rows[0].ChangedAt) {
		t.Errorf("kept %+v", again)
	}
}

func testProviderOtherClient(t *testing.T, w World) {
	// The world's recruiter has a grant at "microsoft".
	err := w.Store.SaveProvider(t.Context(), w.providerRow("microsoft", "one"), false, w.act("provider.saved"))
	refused(t, err, mailroom.Conflict, "provider.error.granted")
	if rows := got(w.Store.ProviderRows(t.Context(), w.OrgID)); len(rows) != 0 {
		t.Errorf("kept all the same: %+v", rows)
	}
	must(t, w.Store.SaveProvider(t.Context(), w.providerRow("microsoft", "one"), true, w.act("provider.saved")))
	// The same client again needs no second thought.
	must(t, w.Store.SaveProvider(t.Context(), w.providerRow("microsoft", "one"), false, w.act("provider.saved")))
	refused(t, w.Store.SaveProvider(t.Context(), w.providerRow("microsoft", "two"), false, w.act("provider.saved")), mailroom.Conflict, "provider.error.granted")
	if n := got(w.Store.ProviderGrants(t.Context(), w.OrgID)); n["microsoft"] != 1 || len(n) != 1 {
		t.Errorf("counted %v", n)
	}
}

func testProviderDropped(t *testing.T, w World) {
	drop := func(id string) error {
		return w.Store.DropProvider(t.Context(), w.OrgID, id, w.act("provider.dropped"))
	}
	must(t, w.Store.SaveProvider(t.Context(), w.providerRow("microsoft", "one"), true, w.act("provider.saved")))
	w.addCredential(t, "microsoft", "one")
	other := w.addCredential(t, "google", "g")
	refused(t, drop("microsoft"), mailroom.Conflict, "provider.error.in_use")
	w.Exec(t, `DELETE FROM grants WHERE mailbox_id = $1`, w.Mailbox.ID)
	must(t, drop("microsoft"))
	w.audited(t, "provider.dropped")
	rows, cs, err := w.Store.ProviderSettings(t.Context(), w.OrgID)
	if err != nil || len(rows) != 0 || len(cs) != 1 || cs[0].ID != other.ID {
		t.Errorf("left: %+v %+v %v", rows, cs, err)
	}
	refused(t, drop("microsoft"), mailroom.NotFound, "error.not_found")
}

func testProviderWalls(t *testing.T, w World) {
	other := Seed(t, w.Store)
	must(t, w.Store.SaveProvider(t.Context(), w.providerRow("house", "c"), false, w.act("provider.saved")))
	c := w.addCredential(t, "house", "c")
	refused(t, w.Store.DropProvider(t.Context(), other.OrgID, "house", other.act("x")), mailroom.NotFound, "error.not_found")
	refused(t, w.Store.DropClientCredential(t.Context(), other.OrgID, c.ID, true, other.act("x")), mailroom.NotFound, "error.not_found")
	_, err := w.Store.ClientCredential(t.Context(), other.OrgID, c.ID)
	refused(t, err, mailroom.NotFound, "error.not_found")
	_, err = w.Store.JudgeClientCredential(t.Context(), other.OrgID, c.ID, time.Now(), nil)
	refused(t, err, mailroom.NotFound, "error.not_found")
	rows, cs, err := w.Store.ProviderSettings(t.Context(), other.OrgID)
	if err != nil || len(rows)+len(cs) != 0 {
		t.Errorf("another organization sees %v %v %v", rows, cs, err)
	}
	// Both may have a provider of the same id.
	must(t, w.Store.SaveProvider(t.Context(), other.providerRow("house", "d"), false, other.act("provider.saved")))
	if rows := got(w.Store.ProviderRows(t.Context(), w.OrgID)); rows[0].Set.ClientID != "c" {
		t.Error("one organization's row overwrote another's")
	}
}

func testCredentialKept(t *testing.T, w World) {
	want := w.Credential("microsoft", "c", mailroom.UseDoctor)
	want.Kind, want.Certificate, want.Thumbprint = mailroom.ClientCertificate, "-----BEGIN", "print"
	signalled(t, w.Store, store.TopicProviders(w.OrgID), func(ctx context.Context) error {
		return w.Store.AddClientCredential(ctx, want, w.act("credential.added"))
	})
	w.audited(t, "credential.added")
	if c := got(w.Store.ClientCredential(t.Context(), w.OrgID, want.ID)); !reflect.DeepEqual(c, want) {
		t.Errorf("kept %+v, want %+v", c, want)
	}
	for range 4 {
		must(t, w.Store.AddClientCredential(t.Context(), w.Credential("microsoft", "c", mailroom.UseDoctor), w.act("credential.added")))
	}
	refused(t, w.Store.AddClientCredential(t.Context(), w.Credential("microsoft", "c", mailroom.UseDoctor), w.act("x")), mailroom.Conflict, "credential.error.many")
	w.addCredential(t, "microsoft", "c") // of the other use
}

func testCredentialJudged(t *testing.T, w World) {
	c := w.addCredential(t, "microsoft", "c")
	first := time.UnixMicro(1_700_000_000_000_007).UTC()
	judge := func(at time.Time, p *mailroom.Problem, news bool) mailroom.Credential {
		t.Helper()
		if n, err := w.Store.JudgeClientCredential(t.Context(), w.OrgID, c.ID, at, p); err != nil || n != news {
			t.Fatalf("news %v, %v; want %v", n, err, news)
		}
		return got(w.Store.ClientCredential(t.Context(), w.OrgID, c.ID))
	}
	if c := judge(first, nil, true); !c.ProvedAt.Equal(first) {
		t.Errorf("proved at %v", c.ProvedAt)
	}
	judge(first.Add(time.Hour), nil, false)
	wrong := &mailroom.Problem{Kind: mailroom.NeedsVendor, Key: "oauth.error.secret_expired", Since: first}
	if c := judge(first, wrong, true); c.Problem == nil || !c.ProvedAt.Equal(first) {
		t.Errorf("refused: %+v", c)
	}
	judge(first, &mailroom.Problem{Kind: mailroom.NeedsVendor, Key: wrong.Key, Since: first.Add(time.Hour)}, false)
	if c := judge(first.Add(time.Hour), nil, true); c.Problem != nil || !c.ProvedAt.Equal(first) {
		t.Errorf("good again: %+v", c)
	}
}

func testCredentialDropped(t *testing.T, w World) {
	old, next := w.addCredential(t, "microsoft", "c"), w.addCredential(t, "microsoft", "c")
	drop := func(id string, force bool) error {
		return w.Store.DropClientCredential(t.Context(), w.OrgID, id, force, w.act("credential.dropped"))
	}
	prove := func(id string, p *mailroom.Problem) {
		got(w.Store.JudgeClientCredential(t.Context(), w.OrgID, id, time.Now(), p))
	}
	prove(old.ID, nil)
	refused(t, drop(old.ID, false), mailroom.Conflict, "credential.error.last_proved")
	prove(next.ID, nil)
	prove(next.ID, &mailroom.Problem{Kind: mailroom.NeedsVendor, Key: "oauth.error.client"})
	refused(t, drop(old.ID, false), mailroom.Conflict, "credential.error.last_proved")
	prove(next.ID, nil)
	must(t, drop(old.ID, false))
	w.audited(t, "credential.dropped")
	refused(t, drop(next.ID, false), mailroom.Conflict, "credential.error.last_proved")
	must(t, drop(next.ID, true))
	refused(t, drop(next.ID, true), mailroom.NotFound, "error.not_found")
}

// Two administrators who each take away one of two leave one.
func testCredentialsDroppedAtOnce(t *testing.T, w World) {
	var ids [2]string
	for i := range ids {
		ids[i] = w.addCredential(t, "microsoft", "c").ID
		got(w.Store.JudgeClientCredential(t.Context(), w.OrgID, ids[i], time.Now(), nil))
	}
	var wg sync.WaitGroup
	for _, id := range ids {
		wg.Go(func() {
			err := w.Store.DropClientCredential(t.Context(), w.OrgID, id, false, w.act("credential.dropped"))
			if err != nil && mailroom.AsError(err).Key != "credential.error.last_proved" {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if cs := got(w.Store.ClientCredentials(t.Context(), w.OrgID)); len(cs) != 1 {
		t.Errorf("%d credentials are left", len(cs))
	}
}

func testProvableMailboxes(t *testing.T, w World) {
	find := func() []string { return got(w.Store.ProvableMailboxes(t.Context(), w.OrgID, "microsoft", 5)) }
	if ids := find(); len(ids) != 0 {
		t.Errorf("a grant without a refresh token proves nothing, yet got %v", ids)
	}
	w.Exec(t, `UPDATE grants SET refresh_key = 'k' WHERE mailbox_id = $1`, w.Mailbox.ID)
	b := w.AddRecruiter(t)
	w.Exec(t, `UPDATE grants SET refresh_key = 'k', refreshed_at = 9 WHERE mailbox_id = $1`, b.Mailbox.ID)
	if ids := find(); !reflect.DeepEqual(ids, []string{b.Mailbox.ID, w.Mailbox.ID}) {
		t.Errorf("found %v", ids)
	}
	w.Exec(t, `UPDATE mailboxes SET problem = '{"kind":"needs_consent"}' WHERE id = $1`, b.Mailbox.ID)
	w.Exec(t, `UPDATE mailboxes SET retired_at = 1 WHERE id = $1`, w.Mailbox.ID)
	if ids := find(); len(ids) != 0 {
		t.Errorf("found %v", ids)
	}
}
