package imapwire

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
)

// Mechanism is one SASL mechanism for one sign-in.
type Mechanism interface {
	// Name as in the capability AUTH=Name.
	Name() string
	// Initial is the initial response.
	Initial() []byte
	// Next answers a challenge that follows the initial response.
	Next(challenge []byte) []byte
}

type mechanism struct {
	name    string
	initial string
	onError string
}

func (m mechanism) Name() string       { return m.name }
func (m mechanism) Initial() []byte    { return []byte(m.initial) }
func (m mechanism) Next([]byte) []byte { return []byte(m.onError) }

// XOAuth2 is Google's and Microsoft's mechanism for an OAuth access token. A
// refusing server sends a challenge that wants an empty answer before it says
// NO.
func XOAuth2(user, token string) Mechanism {
	return mechanism{name: "XOAUTH2", initial: "user=" + user + "\x01auth=Bearer " + token + "\x01\x01"}
}

// OAuthBearer is the standard's mechanism for an OAuth access token (RFC 7628).
// A refusing server sends a challenge that wants %x01 (section 3.2.3).
func OAuthBearer(user, token string) Mechanism {
	// "," and "=" end a GS2 name (RFC 5801 section 4).
	esc := strings.NewReplacer("=", "=3D", ",", "=2C").Replace(user)
	return mechanism{name: "OAUTHBEARER", initial: "n,a=" + esc + ",\x01auth=Bearer " + token + "\x01\x01", onError: "\x01"}
}

// Plain is RFC 4616, for a password. Only under TLS.
func Plain(user, password string) Mechanism {
	return mechanism{name: "PLAIN", initial: "\x00" + user + "\x00" + password}
}

// Authenticate signs in (RFC 3501 section 6.2.2), with the initial response in
// the command if the server announced SASL-IR (RFC 4959). A refusal is an
// [*AuthError], after which the connection can be used for another try.
//
// The capabilities of the new state are known afterwards only if the server
// told them unasked: see KnowsCapabilities.
func (c *Client) Authenticate(ctx context.Context, m Mechanism) error {
	if !isToken(m.Name()) {
		return ErrBadArgument
	}
	b := c.build("AUTHENTICATE").text(" " + m.Name())
	initial := base64.StdEncoding.EncodeToString(m.Initial())
	if initial == "" {
		initial = "="
	}
	sent := c.Has("SASL-IR") && len(initial) < MaxCommand-100
	if sent {
		b.buf = append(append(b.buf, ' '), initial...)
		b.shown = append(b.shown, " ***"...)
	}
	cmd, err := b.end()
	var challenge []byte
	cmd.invited = func(text []byte) ([]byte, error) {
		c.showSecret()
		if !sent {
			sent = true
			if initial == "=" {
				initial = ""
			}
			return []byte(initial + "\r\n"), nil
		}
		challenge = decodeChallenge(text)
		return append(base64.StdEncoding.AppendEncode(nil, m.Next(challenge)), "\r\n"...), nil
	}
	return c.signIn(ctx, m.Name(), cmd, err, &challenge)
}

// Login signs in by password the old way (RFC 3501 section 6.2.3), for servers
// without AUTH=PLAIN. Only under TLS, and never if LOGINDISABLED is announced.
func (c *Client) Login(ctx context.Context, user, password string) error {
	cmd, err := c.build("LOGIN").text(" ").secret(user).text(" ").secret(password).end()
	return c.signIn(ctx, "LOGIN", cmd, err, new([]byte))
}

func (c *Client) signIn(ctx context.Context, mechanism string, cmd *command, err error, challenge *[]byte) error {
	c.capsHeard = false
	err = c.alone(ctx, cmd, err)
	if err == nil {
		if !c.capsHeard {
			c.caps = nil
		}
		return nil
	}
	var re *ResponseError
	if !errors.As(err, &re) {
		return err
	}
	a := &AuthError{Mechanism: mechanism, Challenge: string(*challenge), Err: re}
	var said struct{ Status, Scope any }
	if json.Unmarshal(*challenge, &said) == nil {
		a.JSONStatus, _ = said.Status.(string)
		a.JSONScope, _ = said.Scope.(string)
	}
	return a
}

func (c *Client) showSecret() {
	if c.opt.OnCommand != nil {
		c.opt.OnCommand("***")
	}
}

// decodeChallenge undoes base64, or takes the text as it is where a server
// forgot it.
func decodeChallenge(text []byte) []byte {
	text = bytes.TrimSpace(text)
	if out, err := base64.StdEncoding.AppendDecode(nil, text); err == nil {
		return out
	}
	if out, err := base64.RawStdEncoding.AppendDecode(nil, text); err == nil {
		return out
	}
	return bytes.Clone(text)
}
