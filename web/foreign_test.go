package web

import (
	"net/url"
	"strings"
	"time"

	"mailroom/internal/mailroom"
)

// form is what a POST to a pattern needs to get as far as asking whose row it is.
func (f foreign) form(pattern string) func() url.Values {
	return func() url.Values {
		return url.Values{"role": {"recruiter"}, "name": {"Somebody"}, "kind": {"candidate"}, "address": {"a@b.example"},
			"addresses": {"a@b.example"}, "read": {"yes"}, "person": {"per_1"}, "reason": {"Spam"}, "text": {"a@b.example"}}
	}
}

// foreignIDs fills the site with rows of a colleague and of another
// organization, and says which id each route is to be tried with.
func (s *site) foreignIDs() foreign {
	f := foreign{colleague: map[string]string{}, elsewhere: map[string]string{}}
	colleague := s.rowsOf(s.addUser("Colleague", "colleague@werk.example", mailroom.Recruiter))
	elsewhere := s.rowsOf(s.otherOrganization())
	for _, rt := range routes() {
		for prefix, kind := range map[string]string{
			"/mailboxes/{": "mailbox", "/mappings/{": "mapping", "/admin/users/{": "user", "/admin/sync/runs/{": "mapping", "/admin/sync/trail/{": "mailbox",
			"/admin/consent/links/{": "consent link", "/admin/doctor/{": "report",
			"/admin/providers/{": "provider", "/admin/credentials/{": "credential",
			"/mail/quarantine/{": "quarantine", "/mail/{": "message", "/people/{": "person",
		} {
			if strings.HasPrefix(rt.pattern, prefix) {
				f.elsewhere[rt.pattern] = elsewhere[kind]
				if kind != "person" && kind != "user" && kind != "consent link" && kind != "provider" && kind != "credential" { // those are the organization's
					f.colleague[rt.pattern] = colleague[kind]
				}
			}
		}
	}
	return f
}

// rowsOf gives a user one row of each kind.
func (s *site) rowsOf(u mailroom.User) map[string]string {
	s.t.Helper()
	box := s.connected(u)
	rows, err := s.store.MappingRows(s.t.Context(), box.ID)
	if err != nil || len(rows) == 0 {
		s.t.Fatal(err)
	}
	return map[string]string{
		"mailbox": box.ID, "user": u.ID, "mapping": rows[0].Mapping.ID,
		"message": s.message(u, box, rows[0].Mapping), "person": s.person(u), "quarantine": s.quarantined(u, box, rows[0].Mapping), "consent link": s.consentLink(u, box),
		"report":   s.reported(u, box),
		"provider": s.provider(u), "credential": s.credential(u),
	}
}

// provider is one that only the user's organization has, by an id that no other has.
func (s *site) provider(u mailroom.User) string {
	id := "house-" + u.OrgID[len(u.OrgID)-6:]
	row := mailroom.ProviderRow{OrgID: u.OrgID, ID: id, Set: mailroom.ProviderSet{ClientID: "c", Own: &mailroom.Provider{Name: "House"}}}
	if err := s.store.SaveProvider(s.t.Context(), row, true, mailroom.AuditEvent{OrgID: u.OrgID, Action: "provider.added"}); err != nil {
		s.t.Fatal(err)
	}
	return id
}

func (s *site) credential(u mailroom.User) string {
	c := mailroom.Credential{ID: mailroom.NewID(mailroom.PrefixCredential), OrgID: u.OrgID, ProviderID: "microsoft", Use: mailroom.UseMail,
		Kind: mailroom.ClientSecret, ClientID: "c", CreatedBy: u.ID, CreatedAt: time.Now(), Sealed: mailroom.Sealed{KeyID: "k", Data: []byte("sealed")}}
	if err := s.store.AddClientCredential(s.t.Context(), c, mailroom.AuditEvent{OrgID: u.OrgID, Action: "credential.added"}); err != nil {
		s.t.Fatal(err)
	}
	return c.ID
}

// message puts one message into a user's mailbox, past the syncer.
func (s *site) message(u mailroom.User, box mailroom.Mailbox, m mailroom.Mapping) string {
	id := mailroom.NewID(mailroom.PrefixMessage)
	sqlExec(s.t, s, `INSERT INTO messages(id, org_id, dedupe_key, raw_hash, size, subject, headers, date, received_at, created_at) VALUES ($1,$2,$1,'hash',1,'Secret subject','{}',1,1,1)`, id, u.OrgID)
	sqlExec(s.t, s, `INSERT INTO deliveries(otys_folder_id, message_seq, org_id, user_id, received_at, unread, created_at)
		SELECT $1, seq, $2, $3, 1, TRUE, 1 FROM messages WHERE id = $4`, m.OTYSFolderID, u.OrgID, u.ID, id)
	sqlExec(s.t, s, `INSERT INTO placements(mailbox_id, raw_name, uid_validity, uid, mapping_id, message_seq, raw_hash, created_at)
		SELECT $1, $2, 1, 1, $3, seq, 'hash', 1 FROM messages WHERE id = $4`, box.ID, m.RawName, m.ID, id)
	return id
}

func (s *site) person(u mailroom.User) string {
	id := mailroom.NewID(mailroom.PrefixPerson)
	sqlExec(s.t, s, `INSERT INTO persons(id, org_id, kind, name, search, created_at) VALUES ($1,$2,'candidate','Somebody','somebody',1)`, id, u.OrgID)
	return id
}

func (s *site) quarantined(u mailroom.User, box mailroom.Mailbox, m mailroom.Mapping) string {
	id := mailroom.NewID(mailroom.PrefixQuarantine)
	sqlExec(s.t, s, `INSERT INTO quarantine(id, org_id, mailbox_id, mapping_id, raw_name, uid_validity, uid, reason, created_at)
		VALUES ($1,$2,$3,$4,$5,1,9,'{"kind":"invalid","key":"x"}',1)`, id, u.OrgID, box.ID, m.ID, m.RawName)
	return id
}
