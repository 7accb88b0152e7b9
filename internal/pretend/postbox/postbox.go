// Package postbox is a pretend mail server on loopback that takes what Mailroom
// sends and keeps it: enough of SMTP (RFC 5321) for one sender that needs no
// signing in and no TLS.
//
// It delivers to nobody, and knows no mailbox.
package postbox

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/textproto"
	"strings"
	"sync"
	"time"
)

// Mail is a mail that was taken.
type Mail struct {
	To, Subject, Text string
}

// Server takes mail.
type Server struct {
	l    net.Listener
	open sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
	mails []Mail
	told  func(Mail)
}

// Start listens on loopback; "127.0.0.1:0" if addr is empty.
func Start(addr string) (*Server, error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	s := &Server{l: l, conns: map[net.Conn]bool{}}
	s.open.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns[conn] = true
			s.mu.Unlock()
			s.open.Go(func() { s.serve(conn) })
		}
	})
	return s, nil
}

// Close ends the server and its conversations.
func (s *Server) Close() error {
	err := s.l.Close()
	s.mu.Lock()
	for conn := range s.conns {
		conn.Close()
	}
	s.mu.Unlock()
	s.open.Wait()
	return err
}

// URL is what MAILROOM_SMTP is set to.
func (s *Server) URL() string { return "smtp://" + s.l.Addr().String() + "?tls=none" }

// Tell has a function hear of each mail that comes.
func (s *Server) Tell(told func(Mail)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = told
}

// Mails lists what came.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Mail(nil), s.mails...)
}

// serve holds one conversation.
func (s *Server) serve(conn net.Conn) {
	defer func() {
		conn.Close()
		s.mu.Lock()
		delete(s.conns, conn)
		s.mu.Unlock()
	}()
	if conn.SetDeadline(time.Now().Add(5*time.Minute)) != nil {
		return
	}
	r := textproto.NewReader(bufio.NewReader(conn))
	say := func(line string) { fmt.Fprint(conn, line+"\r\n") }
	say("220 postbox.example ESMTP, pretended")
	var to []string
	for {
		line, err := r.ReadLine()
		if err != nil {
			return
		}
		switch verb, rest, _ := strings.Cut(line, " "); strings.ToUpper(verb) {
		case "EHLO":
			say("250-postbox.example\r\n250 8BITMIME")
		case "HELO", "NOOP":
			say("250 postbox.example")
		case "MAIL", "RSET":
			to = nil
			say("250 OK")
		case "RCPT":
			to = append(to, address(rest))
			say("250 OK")
		case "DATA":
			say("354 Go ahead")
			raw, err := r.ReadDotBytes()
			if err != nil {
				return
			}
			if err := s.take(to, raw); err != nil {
				say("554 " + err.Error())
				continue
			}
			say("250 Taken")
		case "QUIT":
			say("221 Bye")
			return
		default:
			say("502 Not known")
		}
	}
}

// address is what stands between the angle brackets of RCPT TO.
func address(rest string) string {
	_, rest, _ = strings.Cut(rest, "<")
	at, _, _ := strings.Cut(rest, ">")
	return at
}

// take keeps a mail, once for each of whom it is for.
func (s *Server) take(to []string, raw []byte) error {
	m, err := mail.ReadMessage(strings.NewReader(string(raw)))
	if err != nil {
		return errors.New("no mail")
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil {
		subject = m.Header.Get("Subject")
	}
	body := m.Body
	if strings.EqualFold(m.Header.Get("Content-Transfer-Encoding"), "quoted-printable") {
		body = quotedprintable.NewReader(m.Body)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return errors.New("no text")
	}
	for _, who := range to {
		got := Mail{To: who, Subject: subject, Text: strings.ReplaceAll(string(text), "\r\n", "\n")}
		s.mu.Lock()
		s.mails = append(s.mails, got)
		told := s.told
		s.mu.Unlock()
		if told != nil {
			told(got)
		}
	}
	return nil
}
