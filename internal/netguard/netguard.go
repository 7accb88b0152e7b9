// Package netguard keeps the program from being sent to places of its own
// network by a host name that a person typed: loopback, private and link-local
// addresses, and the odd ranges that lead there.
//
// The check that counts is the Dialer's, made on the address that is really
// connected to: a name that resolves differently the second time (DNS rebinding)
// gains nothing. CheckHost gives the same answer early, for a form. It opens no
// connection and knows no protocol.
package netguard

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"mailroom/internal/mailroom"
)

// DialTimeout bounds name look-up and connecting together.
const DialTimeout = 15 * time.Second

// reserved ranges that netip's own predicates do not name (IANA special-purpose
// registries, RFC 6890).
var reserved = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),       // this network
	netip.MustParsePrefix("100.64.0.0/10"),   // shared address space, RFC 6598
	netip.MustParsePrefix("192.0.0.0/24"),    // protocol assignments
	netip.MustParsePrefix("198.18.0.0/15"),   // benchmarking
	netip.MustParsePrefix("240.0.0.0/4"),     // reserved, and broadcast
	netip.MustParsePrefix("64:ff9b:1::/48"),  // local-use NAT64, RFC 8215
	netip.MustParsePrefix("2001::/32"),       // Teredo: carries an IPv4 address in disguise
	netip.MustParsePrefix("fec0::/10"),       // site-local, deprecated
	netip.MustParsePrefix("::ffff:0:0:0/96"), // IPv4-translated, RFC 2765
}

// Public reports whether an address lies on the open internet. An IPv4 address
// inside an IPv6 one (mapped, NAT64, 6to4) is judged by itself.
func Public(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if in, ok := embedded(a); ok {
		return Public(in)
	}
	if !a.IsValid() || !a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() {
		return false
	}
	for _, p := range reserved {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// embedded is the IPv4 address that an IPv6 one leads to.
func embedded(a netip.Addr) (netip.Addr, bool) {
	if !a.Is6() {
		return netip.Addr{}, false
	}
	b := a.As16()
	switch {
	case netip.MustParsePrefix("64:ff9b::/96").Contains(a): // NAT64, RFC 6052
		return netip.AddrFrom4([4]byte(b[12:])), true
	case netip.MustParsePrefix("2002::/16").Contains(a): // 6to4, RFC 3056
		return netip.AddrFrom4([4]byte(b[2:6])), true
	case netip.MustParsePrefix("::/96").Contains(a): // IPv4-compatible; ::1 is 0.0.0.1 and refused as such
		return netip.AddrFrom4([4]byte(b[12:])), true
	}
	return netip.Addr{}, false
}

// Dialer connects to public addresses only, unless allowPrivate. Its refusal is a
// *mailroom.Error, Invalid "host.error.private".
func Dialer(allowPrivate bool) *net.Dialer {
	d := &net.Dialer{Timeout: DialTimeout, KeepAlive: 30 * time.Second}
	if allowPrivate {
		return d
	}
	d.Control = func(network, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil || !Public(ap.Addr()) {
			return mailroom.E(mailroom.Invalid, "host.error.private").With("host", address)
		}
		return nil
	}
	return d
}

// CheckHost says whether a typed host name or address may be connected to.
// Errors: Invalid "host.error.private" when any of its addresses is not public,
// "host.error.unknown" when there is no such name; Unavailable
// "host.error.lookup" when the name servers do not answer.
func CheckHost(ctx context.Context, host string, allowPrivate bool) error {
	host = strings.TrimSuffix(strings.Trim(strings.TrimSpace(host), "[]"), ".")
	if host == "" || len(host) > 253 || strings.ContainsAny(host, " /\\@?#%\t\r\n") {
		return mailroom.E(mailroom.Invalid, "host.error.form").With("host", host)
	}
	if a, err := netip.ParseAddr(host); err == nil {
		if !allowPrivate && !Public(a) {
			return private(host)
		}
		return nil
	}
	if !allowPrivate && localName(host) {
		return private(host)
	}
	ctx, cancel := context.WithTimeout(ctx, DialTimeout)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		var de *net.DNSError
		if errors.As(err, &de) && de.IsNotFound {
			return mailroom.E(mailroom.Invalid, "host.error.unknown", err).With("host", host)
		}
		return mailroom.E(mailroom.Unavailable, "host.error.lookup", err).With("host", host)
	}
	for _, a := range addrs {
		if !allowPrivate && !Public(a) {
			return private(host)
		}
	}
	return nil
}

// localName are names that never mean the open internet (RFC 6761, RFC 6762),
// and numbers in forms that some resolvers read as addresses ("127.1", "0x7f.1").
func localName(host string) bool {
	h := strings.ToLower(host)
	for _, suffix := range []string{"localhost", "local", "internal", "home.arpa"} {
		if h == suffix || strings.HasSuffix(h, "."+suffix) {
			return true
		}
	}
	last := h[strings.LastIndexByte(h, '.')+1:]
	return last == "" || (last[0] >= '0' && last[0] <= '9')
}

func private(host string) error {
	return mailroom.E(mailroom.Invalid, "host.error.private").With("host", host)
}
