package imapd

import (
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"time"
)

// authenticate plays AUTHENTICATE with XOAUTH2, OAUTHBEARER (RFC 7628) and PLAIN (RFC 4616), with
// and without initial response (RFC 4959).
func (c *conn) authenticate(cmd command) error {
	if len(cmd.args) == 0 || len(cmd.args) > 2 {
		return bad("Command Argument Error. 12")
	}
	mech := strings.ToUpper(cmd.args[0].text)
	if !c.offers(mech) {
		return no("AUTHENTICATE failed.")
	}
	var answer string
	if len(cmd.args) == 2 {
		answer = cmd.args[1].text
	} else {
		if err := c.line("+ "); err != nil {
			return err
		}
		line, err := c.readLine(64 << 10)
		if err != nil {
			return err
		}
		answer = line
	}
	if answer == "*" {
		return bad("AUTHENTICATE cancelled.")
	}
	if answer == "=" {
		answer = ""
	}
	raw, err := base64.StdEncoding.DecodeString(answer)
	if err != nil {
		return bad("Command Argument Error. 12")
	}
	switch mech {
	case "PLAIN":
		parts := strings.Split(string(raw), "\x00")
		if len(parts) != 3 {
			return bad("Command Argument Error. 12")
		}
		return c.password(parts[1], parts[2])
	case "XOAUTH2":
		user, token := parseXOAUTH2(string(raw))
		return c.bearer(user, token)
	default:
		user, token := parseBearer(string(raw))
		return c.bearer(user, token)
	}
}

func (c *conn) offers(mech string) bool {
	if c.srv.opts.StartTLS && !c.secure {
		return false
	}
	for _, m := range c.dialect().Mechanisms {
		if m == mech {
			return true
		}
	}
	return false
}

// parseXOAUTH2 reads "user=" user ^A "auth=Bearer " token ^A ^A.
func parseXOAUTH2(s string) (user, token string) {
	for _, f := range strings.Split(s, "\x01") {
		if v, found := strings.CutPrefix(f, "user="); found {
			user = v
		}
		if len(f) > 12 && strings.EqualFold(f[:12], "auth=Bearer ") {
			token = f[12:]
		}
	}
	return user, token
}

// parseBearer reads a GS2 header with the user in "a=", then key=value pairs.
func parseBearer(s string) (user, token string) {
	fields := strings.Split(s, "\x01")
	for _, f := range strings.Split(fields[0], ",") {
		if v, found := strings.CutPrefix(f, "a="); found {
			user = strings.NewReplacer("=2C", ",", "=3D", "=").Replace(v)
		}
	}
	_, token = parseXOAUTH2(s)
	return user, token
}

func (c *conn) bearer(user, token string) error {
	v := Verdict{}
	if user != "" && token != "" {
		v = c.srv.opts.Check(user, token)
	}
	var acc *Account
	if v.OK && v.Mailbox != "" {
		acc = c.srv.Account(v.Mailbox)
	}
	if !v.OK || (acc != nil && acc.Faults().RefuseLogin) {
		if c.dialect().RefusalJSON {
			challenge := base64.StdEncoding.EncodeToString([]byte(`{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}`))
			if err := c.line("+ %s", challenge); err != nil {
				return err
			}
			if _, err := c.readLine(64 << 10); err != nil {
				return err
			}
		}
		return no("%s", c.dialect().RefusalText)
	}
	if acc == nil {
		c.notReally = true
		return ok("AUTHENTICATE completed.")
	}
	return c.enter(acc, v.Expires)
}

func (c *conn) login(cmd command) error {
	if !c.dialect().Login || (c.srv.opts.StartTLS && !c.secure) {
		return no("LOGIN is disabled.")
	}
	if len(cmd.args) != 2 {
		return bad("Command Argument Error. 12")
	}
	return c.password(cmd.args[0].text, cmd.args[1].text)
}

func (c *conn) password(user, password string) error {
	acc := c.srv.Account(user)
	if acc == nil || acc.cfg.Password == "" || acc.Faults().RefuseLogin ||
		subtle.ConstantTimeCompare([]byte(acc.cfg.Password), []byte(password)) != 1 {
		return no("%s", c.dialect().RefusalText)
	}
	return c.enter(acc, time.Time{})
}

// enter opens an account's mailbox on this connection.
func (c *conn) enter(acc *Account, expires time.Time) error {
	fl := acc.Faults()
	if fl.MaxConns > 0 && c.srv.Connections(acc.cfg.Address) >= fl.MaxConns {
		if c.dialect().Name == "exchange" {
			c.notReally = true
			return ok("AUTHENTICATE completed.")
		}
		return no("[ALERT] Too many simultaneous connections. (Failure)")
	}
	acc.ensure()
	c.smu.Lock()
	c.account = acc
	c.smu.Unlock()
	if !expires.IsZero() {
		c.expiry = time.AfterFunc(expires.Sub(c.srv.opts.Now()), func() {
			c.bye("Session invalidated - AccessTokenExpired")
		})
	}
	if fl.OddLogin {
		return ok(`[Error="Pretend.Data.Storage.WrongServerException: [moved]" AuthResultFromPopImapEnd=0 Proxy=pretend.example:1993:SSL] AUTHENTICATE completed.`)
	}
	return ok("%s", fmt.Sprintf("[CAPABILITY %s] AUTHENTICATE completed.", c.dialect().CapsAfter))
}
