package syncer_test

import (
	"context"
	"net"
	"strconv"
	"sync/atomic"
	"testing"

	"mailroom/internal/imapconn"
	"mailroom/internal/mailroom"
	"mailroom/internal/pretend/imapd"
	"mailroom/internal/store"
	"mailroom/internal/store/storetest"
	"mailroom/internal/syncer"
)

// A mail server that lets nobody of a tenant in any more, as in January 2026
// (EX1215307, docs/providers.md 3.1), has a fault: nobody is asked to grant again,
// and all are read again when it has passed.
func TestMailServerRefusesEverybody(t *testing.T) {
	engines(t, func(t *testing.T, st *store.Store) {
		s := newSite(t, st, imapd.Exchange())
		worlds := []storetest.World{s.world}
		for range 6 {
			worlds = append(worlds, s.world.AddRecruiter(t))
		}
		for i, w := range worlds {
			w.Exec(t, `UPDATE grants SET tenant_id = 'tid' WHERE mailbox_id = $1`, w.Mailbox.ID)
			if i == 0 {
				continue
			}
			account, err := s.server.AddAccount(imapd.AccountConfig{Address: w.Mailbox.Address})
			if err != nil {
				t.Fatal(err)
			}
			account.AddFolder("Sent Items", imapd.FolderOptions{Role: `\Sent`})
		}
		var refusing atomic.Bool
		host, port, _ := net.SplitHostPort(s.server.Addr())
		n, _ := strconv.Atoi(port)
		defer s.runAs("one", syncer.Config{Open: func(ctx context.Context, m mailroom.Mailbox) (syncer.Conn, error) {
			token := "good"
			if refusing.Load() {
				token = "worthless"
			}
			conn, err := imapconn.Open(ctx, imapconn.Account{Endpoint: mailroom.Endpoint{Host: host, Port: n, TLS: mailroom.PlainText},
				Username: m.Address, SASL: []string{"XOAUTH2"}, Token: token})
			if err != nil {
				return nil, err
			}
			return conn, nil
		}})()
		all := func(what, where string, args ...any) {
			t.Helper()
			s.until(what, func() bool {
				for _, w := range worlds {
					if w.Count(t, `mailboxes m WHERE id = $1 AND `+where, append([]any{w.Mailbox.ID}, args...)...) != 1 {
						return false
					}
				}
				return true
			})
		}
		all("all are read", `problem = '' AND NOT EXISTS (SELECT 1 FROM progress p WHERE p.mailbox_id = m.id AND p.checked_at = 0)`)

		refusing.Store(true)
		for _, w := range worlds { // their tokens run out, one after another
			s.server.DropConnections(w.Mailbox.Address)
		}
		all("all show the provider's fault", `problem LIKE $2`, `%"unavailable","key":"`+mailroom.KeyProviderFault+`"%`)
		faults := mailroom.Faults(must(st.Refusals(t.Context(), s.world.OrgID)))
		if len(faults) != 1 || len(faults[0].Mailboxes) != len(worlds) || faults[0].Reason.Key != "imap.error.auth" {
			t.Errorf("told as %+v", faults)
		}

		refusing.Store(false)
		// What is due in some minutes, now.
		s.world.Exec(t, `UPDATE mailboxes SET retry_at = 0 WHERE owner = ''`)
		all("all are read again", `problem = ''`)
		if left := must(st.Refusals(t.Context(), s.world.OrgID)); len(left) != 0 {
			t.Errorf("refusals stand: %+v", left)
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
