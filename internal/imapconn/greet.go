package imapconn

import (
	"context"
	"strings"

	"mailroom/internal/mailroom"
)

// Greet connects and secures without signing in, and gives the one of the account's
// mechanisms that the server announces. Errors: NeedsVendor
// "imap.error.mechanism" when it announces others only, else those of Open.
func Greet(ctx context.Context, a Account) (mechanism string, err error) {
	c := &Conn{account: a}
	if err := c.connect(ctx); err != nil {
		return "", c.fail(err)
	}
	defer c.wire.Close()
	if !c.wire.KnowsCapabilities() {
		if _, err := c.wire.Capability().Wait(ctx); err != nil {
			return "", c.fail(err)
		}
	}
	for _, name := range a.SASL {
		if c.wire.Has("AUTH=" + name) {
			return name, nil
		}
	}
	return "", mailroom.E(mailroom.NeedsVendor, "imap.error.mechanism").With("host", a.Endpoint.Host).With("wanted", strings.Join(a.SASL, ", "))
}
