package app_test

import (
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"

	"mailroom/internal/mailroom"
	"mailroom/internal/pretend/imapd"
)

// TestFoldersDuringTheBackfill opens the mapping page again and again while a
// backlog is read, at a server that refuses a third connection: no person is
// refused or kept waiting, and the backlog is read to its end.
func TestFoldersDuringTheBackfill(t *testing.T) {
	const owner = "rik@agency.example"
	server, err := imapd.Start(imapd.Options{Dialect: imapd.Plain()})
	must(t, err)
	t.Cleanup(func() { server.Close() })
	box, err := server.AddAccount(imapd.AccountConfig{Address: owner, Password: "secret", Faults: imapd.Faults{MaxConns: 2, FetchDelay: 2 * time.Millisecond}})
	must(t, err)
	box.AddFolder("Sent", imapd.FolderOptions{Role: `\Sent`})
	var mails []imapd.Message
	for n := range 2500 {
		mails = append(mails, imapd.Message{Raw: imapd.Content{numbered(owner, n).Raw}, Date: time.Date(2026, 11, 1, 0, 0, n, 0, time.UTC)})
	}
	box.DeliverAll("INBOX", mails)

	host, port, _ := net.SplitHostPort(server.Addr())
	number, _ := strconv.Atoi(port)
	a := start(t, ground{mailbox: owner, known: "no such subject"}, "")
	u := connected(t, a, owner, mailroom.Endpoint{Host: host, Port: number, TLS: mailroom.PlainText}, nil)
	visits := 0
	within(t, "the backlog is read", func() bool {
		began := time.Now()
		page, err := a.Portal.RefreshFolders(t.Context(), u)
		must(t, err)
		visits++
		if took := time.Since(began); page.Problem != nil || !page.Live || took > 5*time.Second {
			t.Fatalf("visit %d took %s: %v", visits, took, page.Problem)
		}
		if n := server.Connections(owner); n > 2 {
			t.Fatalf("%d connections", n)
		}
		var stored, backlog int64
		for _, r := range page.Rows {
			stored, backlog = stored+r.Progress.Stored, backlog+r.Progress.Backlog.Len()
			if r.Progress.Problem != nil || page.Mailbox.Problem != nil {
				t.Fatal(fmt.Sprint(r.Progress.Problem, page.Mailbox.Problem))
			}
		}
		return stored == 2500 && backlog == 0
	})
	if visits < 3 {
		t.Errorf("only %d visits during the backfill", visits)
	}
}
