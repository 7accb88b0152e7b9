package peers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// Source is a mailbox as other programs are told of it.
type Source struct {
	Host           string
	Port           int
	TLS            bool // from the first byte; the certificate must name localhost
	CAFile         string
	User, Password string
}

// Source is a user's mailbox at this server, by either door.
func (d *DovecotServer) Source(user, password string, secure bool) Source {
	s := Source{Host: d.Host, Port: d.Port, User: user, Password: password}
	if secure {
		s.Host, s.Port, s.TLS, s.CAFile = "localhost", d.TLSPort, true, d.CAFile
	}
	return s
}

const benchHint = "run `tools/setup.sh bench` (it installs what the benchmarks compare with)"

// Mbsync is a command that pulls a mailbox's INBOX into a Maildir of dir, whole at
// first and what has changed when it is run again (Debian's isync, 1.4).
func Mbsync(t testing.TB, s Source, dir string, fsync bool) *exec.Cmd {
	t.Helper()
	binary, err := exec.LookPath("mbsync")
	if err != nil {
		t.Fatalf("mbsync is not installed: %s", benchHint)
	}
	yes := map[bool]string{true: "yes", false: "no"}
	security := "SSLType None"
	if s.TLS {
		security = "SSLType IMAPS\nCertificateFile " + s.CAFile
	}
	conf := fmt.Sprintf(`FSync %s
IMAPAccount far
Host %s
Port %d
User %s
Pass "%s"
AuthMechs LOGIN
%s

IMAPStore far
Account far

MaildirStore near
Path %[7]s/mail/
Inbox %[7]s/mail/INBOX
SubFolders Verbatim

Channel pull
Far :far:
Near :near:
Patterns INBOX
Create Near
Sync Pull
SyncState %[7]s/state/
`, yes[fsync], s.Host, s.Port, s.User, s.Password, security, dir)
	for _, sub := range []string{"mail", "state"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	name := filepath.Join(dir, "mbsyncrc")
	if err := os.WriteFile(name, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	return exec.Command(binary, "-q", "-c", name, "pull")
}

// ImapFlow is a command that fetches every message of INBOX with imapflow and
// throws it away, parsed by mailparser's simpleParser if asked for (npm; what
// EmailEngine stands on). It prints how many there were.
func ImapFlow(t testing.TB, s Source, parse bool) *exec.Cmd {
	t.Helper()
	dir, err := npmDir()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "imapflow", "package.json")); err != nil {
		t.Fatalf("imapflow is not installed: %s", benchHint)
	}
	node, err := program(filepath.Join(dir, ".node", "node_modules", "node-linux-*", "bin", "node"), "node")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(node, filepath.Join(dir, "imapflow.mjs"))
	cmd.Env = append(os.Environ(), "IMAP_HOST="+s.Host, "IMAP_PORT="+strconv.Itoa(s.Port), "IMAP_USER="+s.User, "IMAP_PASSWORD="+s.Password)
	if s.TLS {
		cmd.Env = append(cmd.Env, "IMAP_TLS=yes", "NODE_EXTRA_CA_CERTS="+s.CAFile)
	}
	if parse {
		cmd.Env = append(cmd.Env, "PARSE=yes")
	}
	return cmd
}
