package bench

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"net"

	"mailroom/internal/peers"
	"mailroom/internal/pretend/imapd"
)

// pretend is our own server, for what a real one cannot be made to do here: hold
// ten thousand connections in little memory, tell of a mail the moment it comes,
// and have the manners of Exchange.
type pretend struct {
	*imapd.Server
	t      testing.TB
	caFile string
}

// modern is a server with the extensions of its time and without their price.
func modern() imapd.Dialect {
	d := imapd.Plain()
	d.Name = "modern"
	d.CapsAfter += " ENABLE CONDSTORE ESEARCH LIST-STATUS SPECIAL-USE"
	d.Condstore, d.ESearch, d.ListStatus, d.Enable, d.Roles = true, true, true, true, true
	return d
}

// exchangeLike is Exchange's dialect to which a password signs in, as mbsync has no token.
func exchangeLike() imapd.Dialect {
	d := imapd.Exchange()
	d.CapsBefore = strings.NewReplacer("LOGINDISABLED ", "", "AUTH=XOAUTH2", "AUTH=PLAIN").Replace(d.CapsBefore)
	d.CapsAfter = strings.NewReplacer("LOGINDISABLED ", "", "AUTH=XOAUTH2", "AUTH=PLAIN").Replace(d.CapsAfter)
	d.Mechanisms, d.Login = []string{"PLAIN"}, true
	return d
}

// pretendServer has so many accounts, user0@mail.example and so on, with what fill
// gives in their inboxes.
func pretendServer(t testing.TB, dialect imapd.Dialect, accounts int, fill func(i int) []smallMail) *pretend {
	t.Helper()
	s, err := imapd.Start(imapd.Options{Dialect: dialect})
	must(t, err)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	p := &pretend{Server: s, t: t, caFile: filepath.Join(t.TempDir(), "ca.pem")}
	must(t, os.WriteFile(p.caFile, s.CAPEM(), 0o600))
	for i := range accounts {
		_, err := s.AddAccount(imapd.AccountConfig{Address: mailboxName(i), Password: mailPass, Fill: func() []imapd.Folder {
			inbox := imapd.Folder{Name: "INBOX"}
			date := time.Date(2025, 1, 1, 8, 0, 0, 0, time.UTC)
			for k, m := range fill(i) {
				inbox.Messages = append(inbox.Messages, imapd.Message{Raw: imapd.Content(m), Date: date.Add(time.Duration(k) * time.Minute)})
			}
			return []imapd.Folder{inbox}
		}})
		must(t, err)
	}
	return p
}

// source is account i as a client is told of it.
func (p *pretend) source(i int, secure bool) peers.Source {
	p.t.Helper()
	addr := p.Addr()
	if secure {
		addr = p.TLSAddr()
	}
	host, port, err := net.SplitHostPort(addr)
	must(p.t, err)
	s := peers.Source{Host: host, TLS: secure, User: mailboxName(i), Password: mailPass}
	s.Port, err = strconv.Atoi(port)
	must(p.t, err)
	if secure {
		s.CAFile = p.caFile
	}
	return s
}

// idling waits until so many accounts have a connection in IDLE.
func (p *pretend) idling(count int) {
	p.t.Helper()
	for deadline := time.Now().Add(15 * time.Minute); ; {
		seen := map[string]bool{}
		for _, c := range p.Commands() {
			if c.Name == "IDLE" {
				seen[c.Account] = true
			}
		}
		if len(seen) >= count {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%d of %d mailboxes are watched", len(seen), count)
		}
		<-time.After(200 * time.Millisecond)
	}
}
