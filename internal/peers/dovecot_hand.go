package peers

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// handTag begins every command of a hand, so that Commands can leave them out.
const handTag = "hand"

// hand is a client of a dozen commands by which a test changes a mailbox, as the
// user's other mail program would. It is not the client under test, and it trusts
// its server.
type hand struct {
	conn net.Conn
	r    *bufio.Reader
	n    int
}

func (d *DovecotServer) hand(user string) (*hand, error) { return d.handAs(user, d.control) }

func (d *DovecotServer) handAs(user, password string) (*hand, error) {
	conn, err := net.DialTimeout("tcp", d.TLSAddr, 10*time.Second)
	if err != nil {
		return nil, err
	}
	conn = d.wrapTLS(conn)
	conn.SetDeadline(time.Now().Add(2 * time.Minute))
	h := &hand{conn: conn, r: bufio.NewReader(conn)}
	if _, err := h.line(); err != nil { // the greeting
		conn.Close()
		return nil, err
	}
	if _, err := h.do("LOGIN %s %s", quote(user), quote(password)); err != nil {
		conn.Close()
		return nil, err
	}
	return h, nil
}

func (h *hand) close() {
	// A refusal to say goodbye harms nobody.
	_, _ = h.do("LOGOUT")
	h.conn.Close()
}

// line reads one response with its literals.
func (h *hand) line() (string, error) {
	var whole strings.Builder
	for {
		part, err := h.r.ReadString('\n')
		if err != nil {
			return whole.String(), err
		}
		part = strings.TrimRight(part, "\r\n")
		whole.WriteString(part)
		size, ok := literalSize(part)
		if !ok {
			return whole.String(), nil
		}
		if _, err := io.CopyN(&whole, h.r, size); err != nil {
			return whole.String(), err
		}
	}
}

var literalEnd = regexp.MustCompile(`\{(\d+)\+?\}$`)

func literalSize(line string) (int64, bool) {
	m := literalEnd.FindStringSubmatch(line)
	if m == nil {
		return 0, false
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	return n, err == nil
}

// do sends one command and returns its untagged answers and the tagged one, last.
func (h *hand) do(format string, args ...any) ([]string, error) {
	h.n++
	tag := fmt.Sprintf("%s%d", handTag, h.n)
	command := fmt.Sprintf(format, args...)
	if _, err := io.WriteString(h.conn, tag+" "+command+"\r\n"); err != nil {
		return nil, err
	}
	var answers []string
	for {
		line, err := h.line()
		if err != nil {
			return answers, fmt.Errorf("%.60s: %w", command, err)
		}
		answers = append(answers, line)
		if rest, ok := strings.CutPrefix(line, tag+" "); ok {
			if !strings.HasPrefix(rest, "OK") {
				return answers, fmt.Errorf("%.60s: %s", command, rest)
			}
			return answers, nil
		}
	}
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// uidSet writes UIDs as a sequence set, runs folded.
func uidSet(uids []uint32) string {
	var parts []string
	for i := 0; i < len(uids); {
		j := i
		for j+1 < len(uids) && uids[j+1] == uids[j]+1 {
			j++
		}
		part := strconv.FormatUint(uint64(uids[i]), 10)
		if j > i {
			part += ":" + strconv.FormatUint(uint64(uids[j]), 10)
		}
		parts = append(parts, part)
		i = j + 1
	}
	return strings.Join(parts, ",")
}
