package storetest

import (
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"mailroom/internal/mailroom"
	"mailroom/internal/store"
)

// World is an agency with one recruiter, whose mailbox is ready to be read: a
// grant, and Inbox and Sent Items mapped to the OTYS folders of these names.
type World struct {
	Store   *store.Store
	DB      *sql.DB // past the store
	OrgID   string
	UserID  string
	Mailbox mailroom.Mailbox
	Inbox   mailroom.Mapping
	Sent    mailroom.Mapping
}

// UIDValidity of every folder that these helpers speak of.
const UIDValidity = 7

// Seed makes a World. Several may live in one store.
func Seed(t testing.TB, s *store.Store) World {
	t.Helper()
	w := World{Store: s, DB: SQL(t, s), OrgID: mailroom.NewID(mailroom.PrefixOrganization)}
	w.exec(t, `INSERT INTO organizations(id, name, created_at) VALUES ($1,$2,1)`, w.OrgID, "Werk & Co")
	return w.AddRecruiter(t)
}

// AddRecruiter adds a colleague with a mailbox of their own to the agency.
func (w World) AddRecruiter(t testing.TB) World {
	t.Helper()
	id := mailroom.NewID("x")[2:]
	w.UserID = "usr_" + id
	w.Mailbox = mailroom.Mailbox{ID: "mbx_" + id, OrgID: w.OrgID, UserID: w.UserID, Address: "r" + id + "@werk.example",
		Account: mailroom.Outlook, ProviderID: "microsoft"}
	w.exec(t, `INSERT INTO users(id, org_id, email, name, role, password_hash, created_at) VALUES ($1,$2,$3,$4,'recruiter','',1)`,
		w.UserID, w.OrgID, w.Mailbox.Address, "Roos "+id)
	w.exec(t, `INSERT INTO mailboxes(id, org_id, user_id, address, account, provider_id, created_at) VALUES ($1,$2,$3,$4,'outlook','microsoft',1)`,
		w.Mailbox.ID, w.OrgID, w.UserID, w.Mailbox.Address)
	w.exec(t, `INSERT INTO grants(id, org_id, mailbox_id, provider_id, subject, account, scopes, granted_by, granted_at, refreshed_at,
		expires_at, access_key, access_data) VALUES ($1,$2,$3,'microsoft','s','a','IMAP',$4,1,1,1,'k',$5)`,
		"gra_"+id, w.OrgID, w.Mailbox.ID, w.UserID, []byte("sealed"))
	w.Inbox = w.Map(t, "INBOX", "Inbox", mailroom.RoleInbox)
	w.Sent = w.Map(t, "Sent Items", "Sent items", mailroom.RoleSent)
	return w
}

// Map maps an IMAP folder to an OTYS folder, which is made.
func (w World) Map(t testing.TB, rawName, otys string, role mailroom.FolderRole) mailroom.Mapping {
	t.Helper()
	m := mailroom.Mapping{ID: mailroom.NewID(mailroom.PrefixMapping), OrgID: w.OrgID, MailboxID: w.Mailbox.ID, RawName: rawName,
		Name: rawName, OTYSFolderID: mailroom.NewID(mailroom.PrefixOTYSFolder)}
	w.exec(t, `INSERT INTO otys_folders(id, org_id, user_id, name, role, created_at) VALUES ($1,$2,$3,$4,$5,1)`,
		m.OTYSFolderID, w.OrgID, w.UserID, otys, string(role))
	w.exec(t, `INSERT INTO mappings(id, org_id, mailbox_id, raw_name, name, otys_folder_id, created_at) VALUES ($1,$2,$3,$4,$4,$5,1)`,
		m.ID, w.OrgID, w.Mailbox.ID, rawName, m.OTYSFolderID)
	w.exec(t, `INSERT INTO progress(mapping_id, mailbox_id) VALUES ($1,$2)`, m.ID, w.Mailbox.ID)
	return m
}

// AddPerson adds a candidate who has the addresses, without late linking.
func (w World) AddPerson(t testing.TB, name string, addresses ...string) string {
	t.Helper()
	id := mailroom.NewID(mailroom.PrefixPerson)
	w.exec(t, `INSERT INTO persons(id, org_id, kind, name, search, created_at) VALUES ($1,$2,'candidate',$3,$4,1)`, id, w.OrgID, name, strings.ToLower(name))
	for _, a := range addresses {
		w.exec(t, `INSERT INTO person_addresses(org_id, address, person_id) VALUES ($1,$2,$3)`, w.OrgID, a, id)
	}
	return id
}

// Claim takes the mailbox for a node.
func (w World) Claim(t testing.TB, node string) mailroom.Claim {
	t.Helper()
	claims, err := w.Store.ClaimMailboxes(t.Context(), node, time.Hour, 1000, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range claims {
		if c.MailboxID == w.Mailbox.ID {
			return c
		}
	}
	t.Fatalf("node %s did not get mailbox %s: %v", node, w.Mailbox.ID, claims)
	return mailroom.Claim{}
}

// Batch is a batch of mails for a mapping.
func (w World) Batch(m mailroom.Mapping, mails ...mailroom.Mail) mailroom.Batch {
	return mailroom.Batch{Mapping: m, Owner: w.Mailbox.Address, UserID: w.UserID, Mails: mails,
		Progress: mailroom.Progress{MappingID: m.ID, MailboxID: m.MailboxID, Stage: mailroom.StageIdle,
			Cursor: mailroom.Cursor{UIDValidity: UIDValidity}}}
}

// Mail makes a small mail as the syncer would hand it over: its raw bytes are
// whatever was written into subject and text.
func (w World) Mail(uid uint32, from, subject, text string) mailroom.Mail {
	body := sha256.Sum256([]byte(text))
	raw := sha256.Sum256([]byte(from + subject + text))
	hash := hex.EncodeToString(raw[:])
	return mailroom.Mail{
		Message: mailroom.Message{
			MessageID: fmt.Sprintf("%s@mail.example", strings.ReplaceAll(subject, " ", ".")), BodyHash: hex.EncodeToString(body[:]), RawHash: hash,
			Size: int64(len(text)), Subject: subject, From: []mailroom.Address{{Name: "Someone", Addr: from}},
			To: []mailroom.Address{{Addr: w.Mailbox.Address}}, Date: time.UnixMicro(1_700_000_000_000_000).UTC(),
			ReceivedAt: time.UnixMicro(1_700_000_000_000_000 + int64(uid)).UTC(), Snippet: text, Text: text,
		},
		Placement: mailroom.Placement{UIDValidity: UIDValidity, UID: uid},
		Blob:      mailroom.BlobRef{Hash: hash, Pack: "p1", Length: 1, Size: int64(len(text)), Codec: "raw"},
	}
}

// Count is SELECT COUNT(*) FROM what follows.
func (w World) Count(t testing.TB, from string, args ...any) (n int) {
	t.Helper()
	if err := w.DB.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM `+from, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Exec runs a statement past the store.
func (w World) Exec(t testing.TB, text string, args ...any) {
	t.Helper()
	w.exec(t, text, args...)
}

func (w World) exec(t testing.TB, text string, args ...any) {
	t.Helper()
	if _, err := w.DB.ExecContext(t.Context(), text, args...); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}
