package courier_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// postOffice is a mail server of the test's own: enough of RFC 5321, 3207 and
// 4954 for one conversation at a time.
type postOffice struct {
	addr  string
	roots *x509.CertPool

	noTLS    bool   // announces no STARTTLS
	implicit bool   // TLS from the first byte
	password string // "" takes mail without signing in
	rcpt     string // answer to RCPT, "" for 250

	mu       sync.Mutex
	mails    []string // what DATA brought
	rcpts    []string
	plain    []string // commands that came before TLS
	sessions int
	conf     *tls.Config
}

func openPostOffice(t *testing.T, change func(*postOffice)) *postOffice {
	t.Helper()
	p := &postOffice{}
	if change != nil {
		change(p)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	p.roots = x509.NewCertPool()
	p.roots.AddCert(cert)
	p.conf = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.addr = l.Addr().String()
	var open sync.WaitGroup
	open.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			open.Go(func() { p.serve(conn) })
		}
	})
	t.Cleanup(func() { l.Close(); open.Wait() })
	return p
}

// serve holds one conversation.
func (p *postOffice) serve(conn net.Conn) {
	defer func() { conn.Close() }()
	secure, signedIn := false, p.password == ""
	if p.implicit {
		conn, secure = tls.Server(conn, p.conf), true
	}
	p.note(func() { p.sessions++ })
	r := bufio.NewReader(conn)
	say := func(line string) { fmt.Fprint(conn, line+"\r\n") }
	say("220 post.example ESMTP")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		if !secure {
			p.note(func() { p.plain = append(p.plain, line) })
		}
		verb, rest, _ := strings.Cut(line, " ")
		switch strings.ToUpper(verb) {
		case "EHLO":
			say("250-post.example")
			if !p.noTLS && !secure {
				say("250-STARTTLS")
			}
			say("250-AUTH PLAIN LOGIN")
			say("250 8BITMIME")
		case "STARTTLS":
			say("220 go ahead")
			conn = tls.Server(conn, p.conf)
			r, secure = bufio.NewReader(conn), true
		case "AUTH":
			if signedIn = p.auth(rest, say, r); !signedIn {
				say("535 5.7.8 user mailroom with password hunter22 is not right")
				continue
			}
			say("235 welcome")
		case "MAIL":
			if !signedIn {
				say("530 5.7.0 sign in first")
				continue
			}
			say("250 ok")
		case "RCPT":
			if p.rcpt != "" {
				say(p.rcpt)
				continue
			}
			p.note(func() { p.rcpts = append(p.rcpts, rest) })
			say("250 ok")
		case "DATA":
			say("354 go on")
			var body strings.Builder
			for {
				line, err := r.ReadString('\n')
				if err != nil || line == ".\r\n" {
					break
				}
				body.WriteString(line)
			}
			p.note(func() { p.mails = append(p.mails, body.String()) })
			say("250 kept")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func (p *postOffice) auth(rest string, say func(string), r *bufio.Reader) bool {
	mechanism, initial, _ := strings.Cut(rest, " ")
	if mechanism == "PLAIN" {
		text, _ := base64.StdEncoding.DecodeString(initial)
		return string(text) == "\x00mailroom\x00"+p.password
	}
	var words []string
	for _, ask := range []string{"Username:", "Password:"} {
		say("334 " + base64.StdEncoding.EncodeToString([]byte(ask)))
		line, err := r.ReadString('\n')
		if err != nil {
			return false
		}
		text, _ := base64.StdEncoding.DecodeString(strings.TrimSpace(line))
		words = append(words, string(text))
	}
	return words[0] == "mailroom" && words[1] == p.password
}

func (p *postOffice) note(f func()) { p.mu.Lock(); defer p.mu.Unlock(); f() }

func (p *postOffice) kept() (mails, rcpts, plain []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mails, p.rcpts, p.plain
}
