package imapd

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"
)

// state is where a command is allowed (RFC 3501 3).
type state int

const (
	anyState state = iota
	beforeLogin
	afterLogin
	selectedState
)

// handler runs a command and answers it. A returned *answer is the tagged response; any other
// error ends the connection.
type handler struct {
	state state
	run   func(*conn, command) error
}

// errAnswered says that the handler wrote the tagged response itself.
var errAnswered = errors.New("answered")

// answer is a tagged response other than a plain OK.
type answer struct{ kind, text string }

func (a *answer) Error() string { return a.kind + " " + a.text }

func ok(format string, args ...any) error  { return &answer{"OK", fmt.Sprintf(format, args...)} }
func no(format string, args ...any) error  { return &answer{"NO", fmt.Sprintf(format, args...)} }
func bad(format string, args ...any) error { return &answer{"BAD", fmt.Sprintf(format, args...)} }

// lookup finds the handler of a command.
func lookup(name string) (handler, bool) {
	switch name {
	case "CAPABILITY":
		return handler{anyState, (*conn).capability}, true
	case "NOOP", "CHECK":
		return handler{anyState, func(c *conn, _ command) error { return nil }}, true
	case "LOGOUT":
		return handler{anyState, (*conn).logout}, true
	case "ID":
		return handler{anyState, (*conn).idCommand}, true
	case "STARTTLS":
		return handler{beforeLogin, (*conn).startTLS}, true
	case "LOGIN":
		return handler{beforeLogin, (*conn).login}, true
	case "AUTHENTICATE":
		return handler{beforeLogin, (*conn).authenticate}, true
	case "ENABLE":
		return handler{afterLogin, (*conn).enable}, true
	case "NAMESPACE":
		return handler{afterLogin, (*conn).namespace}, true
	case "LIST", "LSUB":
		return handler{afterLogin, (*conn).listFolders}, true
	case "STATUS":
		return handler{afterLogin, (*conn).status}, true
	case "SELECT", "EXAMINE":
		return handler{afterLogin, (*conn).selectFolder}, true
	case "CREATE":
		return handler{afterLogin, (*conn).create}, true
	case "DELETE":
		return handler{afterLogin, (*conn).deleteFolder}, true
	case "RENAME":
		return handler{afterLogin, (*conn).rename}, true
	case "SUBSCRIBE", "UNSUBSCRIBE":
		return handler{afterLogin, (*conn).subscribe}, true
	case "APPEND":
		return handler{afterLogin, (*conn).appendMessage}, true
	case "IDLE":
		return handler{afterLogin, (*conn).idle}, true
	case "CLOSE", "UNSELECT":
		return handler{selectedState, (*conn).unselect}, true
	case "EXPUNGE", "UID EXPUNGE":
		return handler{selectedState, (*conn).expungeCommand}, true
	case "FETCH", "UID FETCH":
		return handler{selectedState, (*conn).fetch}, true
	case "SEARCH", "UID SEARCH":
		return handler{selectedState, (*conn).search}, true
	case "STORE", "UID STORE":
		return handler{selectedState, (*conn).store}, true
	case "COPY", "UID COPY", "MOVE", "UID MOVE":
		return handler{selectedState, (*conn).copyOrMove}, true
	}
	return handler{}, false
}

func (c *conn) run(cmd command) error {
	c.note(cmd)
	err := c.dispatch(cmd)
	if errors.Is(err, errAnswered) {
		return nil
	}
	var a *answer
	if err != nil && !errors.As(err, &a) {
		return err
	}
	if a == nil {
		a = &answer{"OK", cmd.name + " completed."}
	}
	if acc := c.accountNow(); acc != nil {
		if err := c.pause(acc.Faults().Delay); err != nil {
			return err
		}
		late := acc.Faults().LateNews
		if err := c.tellUnless(late, !strings.HasPrefix(cmd.name, "FETCH") && !strings.HasPrefix(cmd.name, "SEARCH") &&
			!strings.HasPrefix(cmd.name, "STORE")); err != nil {
			return err
		}
	}
	if a.kind == "BAD" {
		c.bad++
		if a != notConnected {
			c.srv.recordBad(c.noted(cmd))
		}
	}
	if err := c.line("%s %s %s", cmd.tag, a.kind, a.text); err != nil {
		return err
	}
	if a == notConnected {
		c.bye("Connection closed. 14")
		return errLogout
	}
	if m := c.dialect().MaxBad; m > 0 && c.bad >= m {
		c.bye("Connection closed. 14")
		return errLogout
	}
	if strings.HasPrefix(a.text, throttleText) {
		c.bye("Connection closed. 14")
		return errLogout
	}
	if cmd.name == "LOGOUT" {
		return errLogout
	}
	return nil
}

// notConnected is what Exchange says after a sign-in that opened no mailbox.
var notConnected = &answer{"BAD", "User is authenticated but not connected."}

const throttleText = "Request is throttled."

func (c *conn) note(cmd command) { c.srv.record(c.noted(cmd)) }

// noted is a command as it is recorded.
func (c *conn) noted(cmd command) Command {
	rec := Command{Name: cmd.name, Args: cmd.raw, Conn: c.id, Size: cmd.size}
	if cmd.name == "LOGIN" || cmd.name == "AUTHENTICATE" {
		rec.Args = ""
	}
	if a := c.accountNow(); a != nil {
		rec.Account = a.cfg.Address
	}
	return rec
}

func (c *conn) dispatch(cmd command) error {
	h, known := lookup(cmd.name)
	if !known {
		return bad("Command Error. 12")
	}
	acc := c.accountNow()
	switch {
	case h.state == beforeLogin && (acc != nil || c.notReally):
		return bad("Command received in Invalid state.")
	case h.state == anyState || h.state == beforeLogin:
		return h.run(c, cmd)
	case c.notReally:
		return notConnected
	case acc == nil:
		return bad("Command received in Invalid state.")
	case acc.Faults().NotConnected:
		return notConnected
	}
	if wait, yes := acc.throttled(0); yes {
		return throttleAnswer(wait)
	}
	if h.state == selectedState && c.selected == nil {
		return bad("Command received in Invalid state.")
	}
	return h.run(c, cmd)
}

func throttleAnswer(wait time.Duration) error {
	return no("%s Suggested Backoff Time: %d milliseconds", throttleText, wait.Milliseconds())
}

func (c *conn) capability(command) error {
	caps := c.dialect().CapsBefore
	if c.accountNow() != nil || c.notReally {
		caps = c.dialect().CapsAfter
	} else if c.srv.opts.StartTLS && !c.secure {
		caps += " STARTTLS"
	}
	return c.line("* CAPABILITY %s", caps)
}

func (c *conn) logout(command) error {
	return c.line("* BYE %s", c.dialect().ByeText)
}

func (c *conn) idCommand(command) error {
	return c.line(`* ID ("name" "Pretend IMAP server" "vendor" "Mailroom tests" "version" "1")`)
}

func (c *conn) startTLS(cmd command) error {
	if c.secure || !c.srv.opts.StartTLS {
		return bad("Command Error. 12")
	}
	if err := c.line("%s OK Begin TLS negotiation now.", cmd.tag); err != nil {
		return err
	}
	tc := tls.Server(c.nc, c.srv.tlsConfig())
	_ = tc.SetDeadline(time.Now().Add(10 * time.Second))
	if err := tc.Handshake(); err != nil {
		return err
	}
	_ = tc.SetDeadline(time.Time{})
	c.wmu.Lock()
	c.nc, c.secure = tc, true
	c.r.Reset(tc)
	c.w.Reset(&cutter{Conn: tc, c: c})
	c.wmu.Unlock()
	return errAnswered
}

func (c *conn) enable(cmd command) error {
	if !c.dialect().Enable {
		return bad("Command Error. 12")
	}
	var on []string
	for _, a := range cmd.args {
		if strings.EqualFold(a.text, "CONDSTORE") && c.dialect().Condstore {
			c.condstore = true
			on = append(on, "CONDSTORE")
		}
	}
	return c.line("* ENABLED %s", strings.Join(on, " "))
}

func (c *conn) namespace(command) error {
	return c.line(`* NAMESPACE (("" %s)) NIL NIL`, quote(c.dialect().Delimiter))
}
