package peers

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Command is one command line that a client sent after it had signed in.
type Command struct {
	Session string // the connection; sorts by its beginning
	Name    string // upper case, with UID in front where the client wrote it
	Line    string // as sent, without tag; a literal's content is left out
}

// Commands returns what clients have sent until now, the test's own hand left out,
// in order within each session. Dovecot's rawlog sees what TLS hides from a proxy,
// and begins after sign-in, so it holds no secret.
func (d *DovecotServer) Commands() []Command {
	d.t.Helper()
	files, err := filepath.Glob(filepath.Join(d.dir, "rawlog", "*.in"))
	if err != nil {
		d.t.Fatalf("Dovecot: %v", err)
	}
	slices.Sort(files)
	var all []Command
	for _, f := range files {
		content, err := os.ReadFile(f)
		if err != nil {
			d.t.Fatalf("Dovecot: %v", err)
		}
		all = append(all, commands(strings.TrimSuffix(filepath.Base(f), ".in"), content)...)
	}
	return all
}

// ForgetCommands makes Commands begin anew for sessions yet to come. Call it
// while nobody but the test is signed in.
func (d *DovecotServer) ForgetCommands() {
	d.t.Helper()
	files, _ := filepath.Glob(filepath.Join(d.dir, "rawlog", "*"))
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			d.t.Fatalf("Dovecot: %v", err)
		}
	}
}

// Each line of a rawlog begins with the time, as in "1790000000.123456 ".
var rawlogTime = regexp.MustCompile(`^\d+\.\d+ `)

func commands(session string, log []byte) []Command {
	var all []Command
	var skip int64
	for line := range bytes.Lines(log) {
		text := rawlogTime.ReplaceAllString(string(line), "")
		if n := int64(len(text)); skip >= n {
			skip -= n
			continue
		}
		continued := skip > 0
		text = strings.TrimRight(text[skip:], "\r\n")
		skip, _ = literalSize(text)
		if continued {
			all[len(all)-1].Line += text
			continue
		}
		tag, rest, _ := strings.Cut(text, " ")
		if strings.HasPrefix(tag, handTag) {
			return nil
		}
		// DONE ends IDLE and has no tag.
		if strings.EqualFold(tag, "DONE") && rest == "" {
			rest = tag
		}
		all = append(all, Command{Session: session, Name: commandName(rest), Line: rest})
	}
	return all
}

func commandName(line string) string {
	words := strings.Fields(strings.ToUpper(line))
	switch {
	case len(words) == 0:
		return ""
	case words[0] == "UID" && len(words) > 1:
		return "UID " + words[1]
	}
	return words[0]
}

// harmless are the commands of which RFC 3501 and its extensions say that they
// leave a mailbox as it is. FETCH is looked at more closely. SELECT is not among
// them: it takes away \Recent.
var harmless = []string{
	"CAPABILITY", "NOOP", "LOGOUT", "STARTTLS", "ENABLE", "ID", "NAMESPACE", "LIST", "LSUB", "STATUS", "EXAMINE",
	"UNSELECT", "SEARCH", "UID SEARCH", "SORT", "UID SORT", "THREAD", "UID THREAD", "FETCH", "UID FETCH", "IDLE", "DONE",
	"NOTIFY", "GETQUOTA", "GETQUOTAROOT", "COMPRESS", "",
}

var (
	bodyItem = regexp.MustCompile(`(?i)\b(BODY|BINARY)\[`)
	textItem = regexp.MustCompile(`(?i)\bRFC822(\.TEXT)?[ )]|\bRFC822(\.TEXT)?$`)
)

// Changes reports whether the command can change the mailbox: everything that is
// not known to be harmless, and a FETCH that sets \Seen by naming a body without
// PEEK (RFC 3501, 6.4.5).
func (c Command) Changes() bool {
	if !slices.Contains(harmless, c.Name) {
		return true
	}
	if c.Name == "FETCH" || c.Name == "UID FETCH" {
		return bodyItem.MatchString(c.Line) || textItem.MatchString(c.Line)
	}
	return false
}

// ChangingCommands returns the commands that can have changed a mailbox. A reader
// leaves none.
func (d *DovecotServer) ChangingCommands() []Command {
	d.t.Helper()
	return slices.DeleteFunc(d.Commands(), func(c Command) bool { return !c.Changes() })
}
