package imapwire

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http/httptest"
	"testing"
	"time"

	"mailroom/internal/imapwire/wiretest"
)

// certificates borrows net/http/httptest's test certificate, which is made out
// to example.com.
func certificates(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	s.Close()
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return &tls.Config{Certificates: s.TLS.Certificates}, &tls.Config{RootCAs: pool, ServerName: "example.com"}
}

func dialListen(t *testing.T, serve func(net.Conn)) net.Conn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		serve(conn)
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); l.Close(); <-done })
	return conn
}

// readUntil reads what the client sends up to a line end.
func readUntil(conn net.Conn) string {
	var line []byte
	b := make([]byte, 1)
	for {
		if _, err := conn.Read(b); err != nil || b[0] == '\n' {
			return string(line)
		}
		line = append(line, b[0])
	}
}

func TestStartTLS(t *testing.T) {
	server, client := certificates(t)
	c := connect(t, dialListen(t, func(conn net.Conn) {
		conn.Write([]byte("* OK [CAPABILITY IMAP4rev1 STARTTLS EVIL] ready\r\n"))
		readUntil(conn)
		conn.Write([]byte("m1 OK begin\r\n"))
		s := tls.Server(conn, server)
		readUntil(s)
		s.Write([]byte("* CAPABILITY IMAP4rev1 IDLE\r\nm2 OK\r\n"))
		readUntil(s)
		s.Write([]byte("+ idling\r\n"))
		readUntil(s)
		s.Write([]byte("m3 OK\r\n"))
		readUntil(s)
		s.Write([]byte("m4 OK\r\n"))
		readUntil(s)
	}))
	if err := c.StartTLS(t.Context(), client); err != nil {
		t.Fatal(err)
	}
	if !c.TLS() || c.Has("EVIL") {
		t.Error("what was said in the clear is still believed")
	}
	wait(t, c.Capability())
	if !c.Has("IDLE") {
		t.Error("no capabilities")
	}
	// An interrupted read must not spoil the TLS stream.
	time.AfterFunc(20*time.Millisecond, c.Interrupt)
	if end, err := c.Idle(t.Context(), time.Minute, nil); err != nil || end != IdleInterrupted {
		t.Errorf("idle over TLS ended %v, %v", end, err)
	}
	alive(t, c)
	if err := c.StartTLS(t.Context(), client); err != ErrAlreadyTLS {
		t.Errorf("a second STARTTLS gives %v", err)
	}
}

func TestDataInjectedBeforeTLSIsRefused(t *testing.T) {
	_, client := certificates(t)
	c := open(t, "STARTTLS", `
		C: {a} STARTTLS
		R: "{a} OK begin\r\n* CAPABILITY IMAP4rev1 AUTH=EVIL\r\n"
	`)
	if err := c.StartTLS(t.Context(), client); !errors.Is(err, ErrInjected) {
		t.Errorf("error %v", err)
	}
	if _, err := c.Noop().Wait(t.Context()); !errors.Is(err, ErrInjected) {
		t.Errorf("connection still usable: %v", err)
	}
}

func TestStartTLSWithAStrangersCertificate(t *testing.T) {
	server, client := certificates(t)
	client.ServerName = "imap.elsewhere.example"
	c := connect(t, dialListen(t, func(conn net.Conn) {
		conn.Write([]byte("* OK ready\r\n"))
		readUntil(conn)
		conn.Write([]byte("m1 OK begin\r\n"))
		tls.Server(conn, server).Handshake()
	}))
	err := c.StartTLS(t.Context(), client)
	var name x509.HostnameError
	if !errors.As(err, &name) || c.TLS() {
		t.Errorf("error %v", err)
	}
}

func TestStartTLSRefusedOrForbidden(t *testing.T) {
	c := open(t, "", "C: {a} STARTTLS\nS: {a} BAD not here\n"+aliveScript)
	wantErr[*ResponseError](t, c.StartTLS(t.Context(), &tls.Config{}))
	alive(t, c)
	c = connect(t, wiretest.Play(t, "S: * PREAUTH welcome back"))
	if err := c.StartTLS(t.Context(), &tls.Config{}); err != ErrPreauth {
		t.Errorf("error %v", err)
	}
}
