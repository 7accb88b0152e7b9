package templates

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
)

// LookedAt is the outcome of a Check, and when it was made; zero for none.
type LookedAt struct {
	At     time.Time
	Checks []mailroom.Check
}

// ProviderForm is what is kept of a provider, as its form shows it.
func ProviderForm(v portal.ProviderPage) Form {
	f := Form{}
	f.Set("client_id", v.Set.ClientID)
	f.Set("tenant", v.Set.Tenant)
	if v.Set.Testing {
		f.Set("testing", "yes")
	}
	own := v.Set.Own
	if own == nil {
		return f
	}
	for name, value := range map[string]string{
		"name": own.Name, "issuer": own.Issuer, "discovery_url": own.DiscoveryURL, "auth_url": own.AuthURL, "token_url": own.TokenURL,
		"jwks_url": own.JWKSURL, "revoke_url": own.RevokeURL, "token_auth": own.TokenAuth, "scopes": strings.Join(own.Scopes, " "),
		"host": own.IMAP.Host, "port": strconv.Itoa(own.IMAP.Port), "tls": string(own.IMAP.TLS), "sasl": saslChoice(own.SASL),
	} {
		f.Set(name, value)
	}
	var lines []string
	for _, k := range slices.Sorted(maps.Keys(own.AuthParams)) {
		lines = append(lines, k+"="+own.AuthParams[k])
	}
	f.Set("auth_params", strings.Join(lines, "\n"))
	return f
}

func saslChoice(mechanisms []string) string {
	if len(mechanisms) == 1 {
		return mechanisms[0]
	}
	return "both"
}

// sourceTone is the dot of whose a registration is.
func sourceTone(l portal.ProviderLine) string {
	switch {
	case l.Ready && len(l.Credentials) > 0 && l.Credentials[0].Problem != nil:
		return "bad"
	case l.Ready:
		return "ok"
	case l.Source == portal.ProviderNobodys:
		return "none"
	}
	return "warn"
}

// sourceKey says whether recruiters can choose a provider, and by whose doing.
func sourceKey(l portal.ProviderLine) string {
	switch {
	case l.Source == portal.ProviderNobodys:
		return "none"
	case !l.Ready:
		return "unfinished"
	case len(l.Credentials) > 0 && l.Credentials[0].Problem != nil:
		return "refused"
	case l.Source == portal.ProviderOperators:
		return "operator"
	}
	return "ready"
}

// Where a credential stands.
func credentialState(c mailroom.Credential, now time.Time) (key, tone string) {
	switch {
	case !c.ExpiresAt.IsZero() && !c.ExpiresAt.After(now):
		return "expired", "bad"
	case c.Problem != nil:
		return "refused", "bad"
	case c.ProvedAt.IsZero():
		return "trial", "warn"
	}
	return "proved", "ok"
}

func credentialKey(c mailroom.Credential, now time.Time) string {
	key, _ := credentialState(c, now)
	return key
}

func credentialTone(c mailroom.Credential, now time.Time) string {
	_, tone := credentialState(c, now)
	return tone
}

// setupSteps are how many steps a console's instructions have, by kind of account.
func setupSteps(pr mailroom.Provider) (prefix string, steps []string) {
	n := map[mailroom.AccountKind]int{mailroom.Outlook: 5, mailroom.Gmail: 5, mailroom.Other: 3}[pr.Kind]
	for i := range n {
		steps = append(steps, strconv.Itoa(i+1))
	}
	return "provider.steps." + string(pr.Kind) + ".", steps
}

// mailScope is the scope that opens the mailbox, in full.
func mailScope(pr mailroom.Provider) string {
	for _, s := range pr.Scopes {
		if strings.Contains(s, "://") {
			return s
		}
	}
	return strings.Join(pr.Scopes, " ")
}

// stepArgs fill a step in.
func stepArgs(v portal.ProviderPage) map[string]any {
	return map[string]any{"console": v.Provider.Consoles["registrations"], "scope": mailScope(v.Provider), "scopes": strings.Join(v.Provider.Scopes, " ")}
}

// lasting is how soon something runs out, as a tone: within a month it is time.
func lasting(at, now time.Time) string {
	switch {
	case at.IsZero():
		return "soft"
	case at.Before(now.Add(30 * 24 * time.Hour)):
		return "state warn"
	}
	return ""
}

// openIf opens a <details>.
func openIf(open bool) templ.Attributes {
	if !open {
		return nil
	}
	return templ.Attributes{"open": true}
}

// doctorScopes are all that the doctor's registration is to be given, each once.
func doctorScopes(pr mailroom.Provider) []string {
	var out []string
	for _, s := range slices.Concat(pr.Directory.Scopes, pr.Directory.SelfScopes) {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
