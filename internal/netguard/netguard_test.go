package netguard_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"

	"mailroom/internal/mailroom"
	"mailroom/internal/netguard"
)

func TestPublic(t *testing.T) {
	for addr, want := range map[string]bool{
		"52.97.146.1":            true,
		"2603:1026:c0b::1":       true,
		"127.0.0.1":              false,
		"127.8.9.1":              false,
		"0.0.0.0":                false,
		"0.1.2.3":                false,
		"10.0.0.1":               false,
		"172.16.0.1":             false,
		"172.32.0.1":             true,
		"192.168.1.1":            false,
		"169.254.169.254":        false, // cloud metadata
		"100.64.0.1":             false,
		"192.0.0.8":              false,
		"198.19.0.1":             false,
		"224.0.0.1":              false,
		"255.255.255.255":        false,
		"::":                     false,
		"::1":                    false,
		"fe80::1%eth0":           false,
		"fd00::1":                false,
		"fec0::1":                false,
		"ff02::1":                false,
		"::ffff:127.0.0.1":       false,
		"::ffff:52.97.146.1":     true,
		"::127.0.0.1":            false,
		"64:ff9b::10.0.0.1":      false,
		"64:ff9b::52.97.146.1":   true,
		"64:ff9b:1::1":           false,
		"2002:7f00:1::1":         false,
		"2002:3461:9201::1":      true,
		"2001:0:1::1":            false,
		"::ffff:0:169.254.169.1": false,
	} {
		if got := netguard.Public(netip.MustParseAddr(addr)); got != want {
			t.Errorf("Public(%s) = %v, want %v", addr, got, want)
		}
	}
}

func TestCheckHost(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		host    string
		private bool
		key     string
	}{
		{"52.97.146.1", false, ""},
		{"[2603:1026:c0b::1]", false, ""},
		{"10.1.2.3", false, "host.error.private"},
		{"10.1.2.3", true, ""},
		{"localhost", false, "host.error.private"},
		{"LOCALHOST.", false, "host.error.private"},
		{"localhost", true, ""},
		{"imap.office.local", false, "host.error.private"},
		{"metadata.google.internal", false, "host.error.private"},
		{"127.1", false, "host.error.private"},
		{"0x7f.0x1", false, "host.error.private"},
		{"2130706433", false, "host.error.private"},
		{"", false, "host.error.form"},
		{"user@imap.example.org", true, "host.error.form"},
		{"imap.example.org/x", true, "host.error.form"},
	} {
		err := netguard.CheckHost(ctx, c.host, c.private)
		got := ""
		if err != nil {
			got = mailroom.AsError(err).Key
		}
		if got != c.key {
			t.Errorf("CheckHost(%q, %v) = %v, want %q", c.host, c.private, err, c.key)
		}
	}
}

func TestDialerRefusesWhereTheNameLeads(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())

	for _, addr := range []string{ln.Addr().String(), net.JoinHostPort("localhost", port)} {
		conn, err := netguard.Dialer(false).DialContext(context.Background(), "tcp", addr)
		if err == nil {
			conn.Close()
			t.Fatalf("connected to %s", addr)
		}
		var e *mailroom.Error
		if !errors.As(err, &e) || e.Key != "host.error.private" || e.Kind != mailroom.Invalid {
			t.Errorf("%s: refused with %v, want host.error.private", addr, err)
		}
	}
	conn, err := netguard.Dialer(true).DialContext(context.Background(), "tcp", ln.Addr().String())
	if err != nil {
		t.Fatalf("allowed, but refused: %v", err)
	}
	conn.Close()
}
