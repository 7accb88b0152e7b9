package imapconn_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mailroom/internal/mailroom"
	"mailroom/internal/peers"
)

// A preview tells how many, how old, how large and from whom, and neither reads
// nor changes a mail.
func TestPreviewCountsMeasuresAndQuotesTheNewest(t *testing.T) {
	d := dovecot(t, peers.DovecotOptions{})
	first := time.Date(2020, 1, 1, 12, 0, 0, 0, time.UTC)
	var octets int64
	var list []peers.Mail
	for i := range 1300 {
		m := mail(i + 1)
		m.Raw = append(m.Raw, strings.Repeat("a line of text\r\n", 100)...)
		m.Date = first.AddDate(0, 0, i)
		octets += int64(len(m.Raw))
		list = append(list, m)
	}
	d.Deliver(anna, "INBOX", list...)
	d.Deliver(anna, "Empty")
	before := d.Snapshot(anna)
	c := open(t, plain(d))
	p, err := c.Preview(t.Context(), "INBOX", time.Time{})
	if err != nil || p.Messages != 1300 || p.Matching != 1300 || len(p.Headers) != 200 {
		t.Fatalf("%d messages, %d match, %d headers, %v", p.Messages, p.Matching, len(p.Headers), err)
	}
	if !p.Oldest.Equal(first) || !p.Newest.Equal(first.AddDate(0, 0, 1299)) {
		t.Errorf("from %s to %s", p.Oldest, p.Newest)
	}
	if !p.BytesExact || p.Bytes != octets {
		t.Errorf("%d octets (exact: %v), want %d", p.Bytes, p.BytesExact, octets)
	}
	if !strings.Contains(string(p.Headers[0]), "c1300@example.org") || !strings.Contains(string(p.Headers[199]), "c1101@example.org") {
		t.Errorf("headers from %q to %q", p.Headers[0], p.Headers[199])
	}

	// Within a date limit the size is reckoned.
	p, err = c.Preview(t.Context(), "INBOX", first.AddDate(0, 0, 100))
	if err != nil || p.Messages != 1300 || p.Matching != 1200 || p.BytesExact || p.Oldest.Before(first.AddDate(0, 0, 100)) {
		t.Fatalf("since: %+v, %v", p.Matching, err)
	}
	if part := octets / 1300 * 1200; p.Bytes < part*99/100 || p.Bytes > part*101/100 {
		t.Errorf("about %d octets, want %d", p.Bytes, part)
	}
	p, err = c.Preview(t.Context(), "INBOX", first.AddDate(0, 0, 1290))
	if err != nil || p.Matching != 10 || !p.BytesExact || len(p.Headers) != 10 {
		t.Errorf("the last ten: %+v, %v", p.Matching, err)
	}
	p, err = c.Preview(t.Context(), "INBOX", first.AddDate(10, 0, 0))
	if err != nil || p.Messages != 1300 || p.Matching != 0 || p.Bytes != 0 {
		t.Errorf("none: %+v, %v", p, err)
	}
	if _, err = c.Preview(t.Context(), "Nowhere", time.Time{}); mailroom.KindOf(err) != mailroom.NotFound {
		t.Errorf("a folder that is not there: %v", err)
	}
	if read := c.Stats().BytesRead; read > uint64(octets)/2 {
		t.Errorf("%d octets read for a preview of %d", read, octets)
	}
	if cmds := d.ChangingCommands(); len(cmds) > 0 || fmt.Sprint(before) != fmt.Sprint(d.Snapshot(anna)) {
		t.Errorf("a preview changed the mailbox: %v", cmds)
	}
}
