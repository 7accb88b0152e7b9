package oauth_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mailroom/internal/mailroom"
	"mailroom/internal/oauth"
)

func TestShippedProviders(t *testing.T) {
	ps := oauth.Shipped()
	ms, _ := ps.ByID("microsoft")
	switch {
	case ms.Configured():
		t.Error("the shipped data has a client id")
	case ms.AuthParams["prompt"] != "select_account":
		t.Error("Microsoft must be asked with prompt=select_account, never consent")
	case !slices.Contains(ms.Scopes, imapScope) || !slices.Contains(ms.Scopes, "offline_access") || !slices.Contains(ms.Scopes, "openid"):
		t.Errorf("Microsoft scopes %v", ms.Scopes)
	case ms.Issuer != "https://login.microsoftonline.com/{tenantid}/v2.0" || !strings.Contains(ms.AuthURL, "/common/"):
		t.Error("Microsoft must take any tenant")
	case ms.RevokeURL != "" || ms.RevokePage == "":
		t.Error("Microsoft has no revocation endpoint, and a page where a person can")
	case ms.IMAP != (mailroom.Endpoint{Host: "outlook.office365.com", Port: 993, TLS: mailroom.ImplicitTLS}) || ms.MaxConnections != 2:
		t.Errorf("Microsoft IMAP %+v, %d connections", ms.IMAP, ms.MaxConnections)
	case ms.IdleRenewal().Minutes() >= 10:
		t.Error("Exchange stops pushing: IDLE under ten minutes")
	}
	g, _ := ps.ByID("google")
	if g.AuthParams["access_type"] != "offline" || g.AuthParams["prompt"] == "consent" || g.RevokeURL == "" || !slices.Contains(g.Scopes, "https://mail.google.com/") {
		t.Errorf("Google: %+v", g)
	}
	if ic, _ := ps.ByID("icloud"); !ic.Password || ic.Configured() || ic.IMAP.Host != "imap.mail.me.com" {
		t.Errorf("iCloud: %+v", ic)
	}
}

func TestLoadProviders(t *testing.T) {
	write := func(text string) string {
		path := filepath.Join(t.TempDir(), "providers.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	base := oauth.Shipped()
	ps, err := oauth.LoadProviders(write(`[
		{"id": "microsoft", "client_id": "abc", "client_secret": "def", "auth_params": {"domain_hint": "example.org"}, "scopes": ["openid", "x"]},
		{"id": "office", "name": "Office", "kind": "other", "issuer": "https://id.example.org", "discovery_url": "https://id.example.org/.well-known/openid-configuration",
		 "client_id": "m", "scopes": ["openid", "email", "imap"], "address_claims": ["email"],
		 "imap": {"host": "imap.example.org", "port": 993, "tls": "tls"}, "sasl": ["OAUTHBEARER"], "max_connections": 3}]`), base)
	if err != nil {
		t.Fatal(err)
	}
	ms, _ := ps.ByID("microsoft")
	if ms.ClientID != "abc" || ms.IMAP.Host != "outlook.office365.com" || !slices.Equal(ms.Scopes, []string{"openid", "x"}) {
		t.Errorf("laid over: %+v", ms)
	}
	if len(ms.AuthParams) != 1 || ms.AuthParams["domain_hint"] != "example.org" {
		t.Errorf("maps are replaced whole, got %v", ms.AuthParams)
	}
	if office, ok := ps.ByID("office"); !ok || office.Kind != mailroom.Other || len(ps) != len(base)+1 {
		t.Errorf("added: %+v", office)
	}
	if before, _ := base.ByID("microsoft"); before.Configured() || len(before.Scopes) != 5 || len(before.AuthParams) != 2 {
		t.Error("the list it was laid over has changed")
	}

	const office = `"name":"O","kind":"other","issuer":"https://id.example.org","discovery_url":"https://id.example.org/d","scopes":["openid"],"address_claims":["email"],"sasl":["XOAUTH2"],"max_connections":1,`
	const imap = `"imap":{"host":"imap.example.org","port":993,"tls":"tls"}`
	for _, c := range []struct{ text, says string }{
		{`{"id":"x"}`, "list of providers"},
		{`[{"id":"Bad ID"}]`, "provider 1: id"},
		{`[{"id":"microsoft","clientid":"typo"}]`, "clientid"},
		{`[{"id":"microsoft","scopes":[]}]`, "provider microsoft: scopes"},
		{`[{"id":"microsoft","issuer":""}]`, "provider microsoft: issuer"},
		{`[{"id":"microsoft","token_url":"http://login.example.org/token"}]`, "token_url"},
		{`[{"id":"microsoft","auth_params":{"redirect_uri":"https://evil.example"}}]`, "auth_params"},
		{`[{"id":"microsoft","token_auth":"jwt"}]`, "token_auth"},
		{`[{"id":"microsoft","idle_seconds":1800}]`, "idle_seconds"},
		{`[{"id":"microsoft","sasl":["PLAIN"]}]`, "sasl"},
		{`[{"id":"microsoft","imap":{"host":"imap.example.org","port":993,"tls":"plain"}}]`, "imap.tls"},
		{`[{"id":"office",` + office + `"imap":{"host":"","port":993,"tls":"tls"}}]`, "provider office: imap.host"},
		{`[{"id":"office",` + strings.Replace(office, `"kind":"other"`, `"kind":"mail"`, 1) + imap + `}]`, "provider office: kind"},
		{`[{"id":"office",` + strings.Replace(office, `"address_claims":["email"],`, ``, 1) + imap + `}]`, "address_claims"},
		{`[{"id":"office",` + strings.Replace(office, `"discovery_url":"https://id.example.org/d",`, ``, 1) + imap + `}]`, "discovery_url"},
	} {
		path := write(c.text)
		_, err := oauth.LoadProviders(path, base)
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v, want file and %q", c.text, err, c.says)
		}
	}
	if _, err := oauth.LoadProviders("/does/not/exist.json", base); err == nil {
		t.Error("a missing file is no error")
	}
}
