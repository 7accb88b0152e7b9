package mailroom

import (
	"testing"
	"time"
)

func offered() Providers {
	return Providers{
		{ID: "microsoft", ClientID: "operator", ClientSecret: "secret", ClientKey: "key", ClientCertificate: "cert", SecretExpires: time.Unix(9, 0),
			AuthURL: "https://login.example/common/authorize", TokenURL: "https://login.example/common/token", JWKSURL: "https://login.example/common/keys",
			Issuer: "https://login.example/{tenantid}/v2.0", Loopback: true,
			Directory: &Directory{URL: "https://graph.example", ClientID: "doctor", ClientSecret: "doctor-secret"}},
		{ID: "google"},
	}
}

func TestOverlaid(t *testing.T) {
	base := offered()
	ps := base.Overlaid([]ProviderRow{
		{ID: "microsoft", Set: ProviderSet{ClientID: "ours", Tenant: "werk.example", Testing: true}},
		{ID: "house", Set: ProviderSet{ClientID: "h", Own: &Provider{ID: "other", Name: "House", ClientSecret: "smuggled", Loopback: true}}},
		{ID: "gone", Set: ProviderSet{ClientID: "x"}}, // was shipped once
	})
	if len(ps) != 3 {
		t.Fatalf("%d providers", len(ps))
	}
	m := ps[0]
	if m.ClientID != "ours" || !m.Testing || m.TokenURL != "https://login.example/werk.example/token" || m.JWKSURL != "https://login.example/werk.example/keys" || m.Issuer != base[0].Issuer {
		t.Errorf("laid over: %+v", m)
	}
	if m.ClientSecret != "" || m.ClientKey != "" || m.ClientCertificate != "" || !m.SecretExpires.IsZero() || m.Directory.ClientSecret != "" || m.Directory.ClientID != "" {
		t.Error("the operator's credentials go with an organization's registration")
	}
	h := ps[2]
	if h.ID != "house" || h.ClientID != "h" || h.ClientSecret != "" || h.Loopback {
		t.Errorf("added: %+v", h)
	}
	if base[0].ClientID != "operator" || base[0].Directory.ClientID != "doctor" || base[0].TokenURL != offered()[0].TokenURL {
		t.Error("what the installation offers has changed")
	}
	// A row that names no registration changes nothing.
	if ps := base.Overlaid([]ProviderRow{{ID: "microsoft", Set: ProviderSet{Tenant: "evil.example"}}}); ps[0].ClientSecret != "secret" || ps[0].TokenURL != base[0].TokenURL {
		t.Errorf("%+v", ps[0])
	}
}

func TestLive(t *testing.T) {
	at := func(n int64) time.Time { return time.Unix(n, 0) }
	bad := &Problem{Kind: NeedsVendor, Key: "oauth.error.secret_expired"}
	cs := []Credential{
		{ID: "old", ProviderID: "m", Use: UseMail, ClientID: "c", CreatedAt: at(1), ProvedAt: at(2)},
		{ID: "trial", ProviderID: "m", Use: UseMail, ClientID: "c", CreatedAt: at(9)},
		{ID: "refused", ProviderID: "m", Use: UseMail, ClientID: "c", CreatedAt: at(8), ProvedAt: at(8), Problem: bad},
		{ID: "newer", ProviderID: "m", Use: UseMail, ClientID: "c", CreatedAt: at(3), ProvedAt: at(4)},
		{ID: "doctor", ProviderID: "m", Use: UseDoctor, ClientID: "d", CreatedAt: at(5)},
		{ID: "other client", ProviderID: "m", Use: UseMail, ClientID: "x", CreatedAt: at(5)},
		{ID: "elsewhere", ProviderID: "g", Use: UseMail, ClientID: "c", CreatedAt: at(5)},
	}
	want := []string{"newer", "old", "trial", "refused"}
	got := Live(cs, "m", UseMail, "c")
	for i, c := range got {
		if i >= len(want) || c.ID != want[i] {
			t.Fatalf("order %v, want %v", got, want)
		}
	}
	if len(got) != len(want) || len(Live(cs, "m", UseDoctor, "")) != 1 {
		t.Errorf("found %v", got)
	}
}

func TestAsDirectory(t *testing.T) {
	p := offered()[0]
	d, ok := p.AsDirectory([]string{"read"})
	if !ok || d.ClientID != "doctor" || d.ClientSecret != "doctor-secret" || d.ClientKey != "" || d.Scopes[0] != "read" || d.TokenURL != p.TokenURL {
		t.Errorf("%+v %v", d, ok)
	}
	p.Directory.ClientID = ""
	if _, ok := p.AsDirectory(nil); ok {
		t.Error("a directory without a registration")
	}
}
