package peers

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// DovecotOptions say what kind of server a test wants. The zero value is a server
// with everything that Dovecot 2.3 can do, for which no user has a password.
type DovecotOptions struct {
	// Users maps addresses to passwords, for PLAIN and LOGIN.
	Users map[string]string
	// OAuth, if set, admits every address for which XOAUTH2 or OAUTHBEARER brings
	// a token that introspection calls active. A user need not exist before.
	OAuth *DovecotOAuth
	// Folders are made for every user beside INBOX; nil means StandardFolders.
	Folders []DovecotFolder
	// Separator is the hierarchy delimiter, "/" if empty.
	Separator string
	// Prefix is the personal namespace, as in "INBOX." (Courier's manner).
	Prefix string
	// Without names capabilities that the server must not announce, as in "CONDSTORE".
	Without []string
	// Hibernate hands connections that have idled so long, in whole seconds, to one
	// process that holds thousands and tells of new mail sooner. Zero leaves it off.
	Hibernate time.Duration
	// FailureDelay is the pause before a refused sign-in is answered. Dovecot's own
	// is 2 s; here it is none unless asked for.
	FailureDelay time.Duration
	// RequireTLS refuses to authenticate on a plain connection (LOGINDISABLED).
	RequireTLS bool
	// Format is "maildir" (if empty), "sdbox" or "mdbox". Only Maildir lets Deliver
	// write files; with the others it appends over IMAP.
	Format string
	// Extra is appended to the configuration.
	Extra string
}

// DovecotOAuth is where Dovecot asks whether a token is good (RFC 7662).
type DovecotOAuth struct {
	IntrospectionURL       string
	ClientID, ClientSecret string
	// Attribute holds the user's address in the answer; "email" if empty.
	Attribute string
}

// DovecotFolder is made at a user's first sign-in.
type DovecotFolder struct {
	Name string // UTF-8, without the namespace prefix
	Role string // as in `\Sent` (RFC 6154); may be empty
}

// StandardFolders returns what a user has beside INBOX when a test says nothing.
func StandardFolders() []DovecotFolder {
	return []DovecotFolder{{"Sent", `\Sent`}, {"Drafts", `\Drafts`}, {"Trash", `\Trash`}, {"Junk", `\Junk`}}
}

// The capabilities of Dovecot 2.3.19 after sign-in.
const dovecotCapability = "IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE SORT SORT=DISPLAY THREAD=REFERENCES THREAD=REFS " +
	"THREAD=ORDEREDSUBJECT MULTIAPPEND URL-PARTIAL CATENATE UNSELECT CHILDREN NAMESPACE UIDPLUS LIST-EXTENDED I18NLEVEL=1 " +
	"CONDSTORE QRESYNC ESEARCH ESORT SEARCHRES WITHIN CONTEXT=SEARCH LIST-STATUS BINARY MOVE SNIPPET=FUZZY PREVIEW=FUZZY " +
	"PREVIEW STATUS=SIZE SAVEDATE LITERAL+ NOTIFY SPECIAL-USE"

// DovecotServer is a running Dovecot. Its methods end the test when they fail, so
// they are for the test's own goroutine.
type DovecotServer struct {
	Addr    string // host:port; plain, with STARTTLS
	TLSAddr string // host:port; implicit TLS
	Host    string // 127.0.0.1, or 127.0.0.2 with RequireTLS; the certificate names both, and localhost
	Port    int    // of Addr
	TLSPort int    // of TLSAddr
	CAFile  string // PEM of the authority behind the certificate
	Cert    *Certificate

	t       testing.TB
	opts    DovecotOptions
	dir     string
	cred    *syscall.Credential
	control string // the password by which the test's own hand signs in as anybody
	child   *child
	serial  atomic.Int64
}

// Dovecot starts a private server and stops it when the test ends.
func Dovecot(t testing.TB, opts DovecotOptions) *DovecotServer {
	t.Helper()
	if opts.Separator == "" {
		opts.Separator = "/"
	}
	if opts.Format == "" {
		opts.Format = "maildir"
	}
	if opts.Folders == nil {
		opts.Folders = StandardFolders()
	}
	d := &DovecotServer{t: t, opts: opts, Host: "127.0.0.1", control: rand.Text()}
	if opts.RequireTLS {
		// To Dovecot a connection is secure if both ends have the same address.
		d.Host = "127.0.0.2"
	}
	if err := d.prepare(); err != nil {
		t.Fatalf("Dovecot: %v", err)
	}
	t.Cleanup(func() {
		d.Stop()
		os.RemoveAll(d.dir)
	})
	for try := 1; ; try++ {
		ports, err := freePorts(2)
		if err != nil {
			t.Fatalf("Dovecot: %v", err)
		}
		d.Port, d.TLSPort = ports[0], ports[1]
		d.Addr = net.JoinHostPort(d.Host, strconv.Itoa(d.Port))
		d.TLSAddr = net.JoinHostPort(d.Host, strconv.Itoa(d.TLSPort))
		if err = d.start(); err == nil {
			return d
		}
		if try == attempts || !strings.Contains(err.Error(), "Address already in use") {
			t.Fatalf("Dovecot: %v", err)
		}
	}
}

// prepare makes the directory with all that does not depend on the ports.
func (d *DovecotServer) prepare() (err error) {
	if d.cred, _, _, err = servant(); err != nil {
		return err
	}
	if d.dir, err = privateDir("dovecot", d.cred); err != nil {
		return err
	}
	for _, sub := range []string{"run", "state", "home", "rawlog"} {
		if err := d.mkdir(filepath.Join(d.dir, sub)); err != nil {
			return err
		}
	}
	if d.Cert, err = newCertificate([]string{"127.0.0.1", "127.0.0.2", "localhost"}); err != nil {
		return err
	}
	d.CAFile = filepath.Join(d.dir, "ca.pem")
	files := map[string][]byte{
		"ca.pem": d.Cert.CAPEM, "cert.pem": d.Cert.CertPEM, "key.pem": d.Cert.KeyPEM,
		"users": d.users(), "oauth2.conf": d.oauth2Config(),
	}
	for name, content := range files {
		if err := d.write(name, content); err != nil {
			return err
		}
	}
	return nil
}

func (d *DovecotServer) mkdir(path string) error {
	if err := os.Mkdir(path, 0o700); err != nil {
		return err
	}
	return give(path, d.cred)
}

func (d *DovecotServer) write(name string, content []byte) error {
	path := filepath.Join(d.dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return err
	}
	return give(path, d.cred)
}

func (d *DovecotServer) start() error {
	binary, err := program("/usr/sbin/dovecot", "dovecot")
	if err != nil {
		return err
	}
	conf, err := d.config()
	if err != nil {
		return err
	}
	if err := d.write("dovecot.conf", conf); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(d.dir, ".keep")); err != nil {
		return err
	}
	d.child, err = start(spawn{
		name: "dovecot",
		args: []string{binary, "-F", "-c", filepath.Join(d.dir, "dovecot.conf")},
		cred: d.cred,
		dir:  d.dir,
		stop: "KILL", // an orderly end takes Dovecot a second, and no test wants one
	})
	if err != nil {
		return err
	}
	err = d.child.ready(func(ctx context.Context) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", d.Addr)
		if err != nil {
			return err
		}
		defer conn.Close()
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err == nil && !strings.HasPrefix(line, "* OK") {
			err = errors.New("greeted with " + line)
		}
		return err
	})
	if err != nil {
		err = errors.Join(err, d.child.stop(), d.prepare())
		d.child = nil
	}
	return err
}

// Start brings a stopped server back on the same ports, with the same mail.
func (d *DovecotServer) Start() {
	d.t.Helper()
	if err := d.start(); err != nil {
		d.t.Fatalf("Dovecot: %v", err)
	}
}

// Stop ends the server and every connection to it: an outage. Stopping twice is fine.
func (d *DovecotServer) Stop() {
	if d.child == nil {
		return
	}
	// Start wants to find the mail again.
	if err := d.write(".keep", nil); err != nil {
		d.t.Errorf("Dovecot: %v", err)
	}
	if err := d.child.stop(); err != nil {
		d.t.Errorf("Dovecot: %v", err)
	}
	if d.t.Failed() {
		d.t.Logf("dovecot said:\n%s", d.child.log)
	}
	d.child = nil
}

// Kick ends the connections of user without a word, as a server does that
// restarts a process.
func (d *DovecotServer) Kick(user string) {
	d.t.Helper()
	d.doveadm("kick", user)
}

// Connections counts the signed-in IMAP connections of user.
func (d *DovecotServer) Connections(user string) int {
	d.t.Helper()
	n := 0
	for line := range strings.Lines(d.doveadm("who", "-1", user)) {
		if strings.Contains(line, "imap") {
			n++
		}
	}
	return n
}

func (d *DovecotServer) doveadm(args ...string) string {
	d.t.Helper()
	binary, err := program("/usr/bin/doveadm", "doveadm")
	if err != nil {
		d.t.Fatal(err)
	}
	cmd := exec.Command(binary, append([]string{"-c", filepath.Join(d.dir, "dovecot.conf")}, args...)...)
	cmd.Dir = d.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: d.cred}
	out, err := cmd.CombinedOutput()
	if err != nil {
		d.t.Fatalf("doveadm %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Log returns what the server has logged since it started.
func (d *DovecotServer) Log() string {
	if d.child == nil {
		return ""
	}
	return d.child.log.String()
}

// SetPassword changes the password of user, or makes the user; the empty
// password refuses every sign-in by PLAIN and LOGIN.
func (d *DovecotServer) SetPassword(user, password string) {
	d.t.Helper()
	users := make(map[string]string, len(d.opts.Users)+1)
	for u, p := range d.opts.Users {
		users[u] = p
	}
	users[user] = password
	d.opts.Users = users
	if err := d.write("users", d.users()); err != nil {
		d.t.Fatalf("Dovecot: %v", err)
	}
	// The auth process looks at the file once a second.
	err := within(5*time.Second, func() error {
		h, err := d.handAs(user, password)
		if err == nil {
			h.close()
		}
		if refused := err != nil; refused != (password == "") {
			return fmt.Errorf("the password of %s has not changed (%v)", user, err)
		}
		return nil
	})
	if err != nil {
		d.t.Fatalf("Dovecot: %v", err)
	}
}
