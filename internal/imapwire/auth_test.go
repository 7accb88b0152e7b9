package imapwire

import (
	"encoding/base64"
	"strings"
	"testing"
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestXOAuth2InOneLine(t *testing.T) {
	var sent []string
	c := open(t, "SASL-IR AUTH=XOAUTH2", `
		C: {a} AUTHENTICATE XOAUTH2 `+b64("user=ann@example.com\x01auth=Bearer tok\x01\x01")+`
		S: {a} OK AUTHENTICATE completed.
	`, func(o *Options) { o.OnCommand = func(l string) { sent = append(sent, l) } })
	if err := c.Authenticate(t.Context(), XOAuth2("ann@example.com", "tok")); err != nil {
		t.Fatal(err)
	}
	if n := c.Stats().RoundTrips; n != 1 {
		t.Errorf("%d round trips", n)
	}
	if len(sent) != 1 || !strings.HasSuffix(sent[0], " AUTHENTICATE XOAUTH2 ***") {
		t.Errorf("shown %q", sent)
	}
}

func TestRefusedXOAuth2IsAnsweredWithAnEmptyLine(t *testing.T) {
	c := open(t, "SASL-IR", `
		C: {a} AUTHENTICATE XOAUTH2 {*}
		S: + `+b64(`{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}`)+`
		C: 
		S: {a} NO [AUTHENTICATIONFAILED] Invalid credentials
	`+aliveScript)
	e := wantErr[*AuthError](t, c.Authenticate(t.Context(), XOAuth2("u", "t")))
	if e.JSONStatus != "400" || e.JSONScope != "https://mail.google.com/" || e.Err.Code != "AUTHENTICATIONFAILED" || e.Mechanism != "XOAUTH2" {
		t.Errorf("error %+v, %+v", e, e.Err)
	}
	alive(t, c)
}

func TestRefusedOAuthBearerIsAnsweredWithControlA(t *testing.T) {
	c := open(t, "SASL-IR", `
		C: {a} AUTHENTICATE OAUTHBEARER `+b64("n,a=a=2Cb@x=3Dy,\x01auth=Bearer tok\x01\x01")+`
		S: + `+strings.TrimRight(b64(`{"status":"invalid_token","scope":"mail"}`), "=")+`
		C: `+b64("\x01")+`
		S: {a} NO failed
	`+aliveScript)
	e := wantErr[*AuthError](t, c.Authenticate(t.Context(), OAuthBearer("a,b@x=y", "tok")))
	if e.JSONStatus != "invalid_token" || e.JSONScope != "mail" {
		t.Errorf("error %+v", e)
	}
	alive(t, c)
}

func TestMicrosoftRefusesWithoutChallenge(t *testing.T) {
	c := open(t, "SASL-IR", "C: {a} AUTHENTICATE XOAUTH2 {*}\nS: {a} NO AUTHENTICATE failed.\n"+aliveScript)
	e := wantErr[*AuthError](t, c.Authenticate(t.Context(), XOAuth2("u", "t")))
	if e.Challenge != "" || e.Err.Text != "AUTHENTICATE failed." || e.Err.Status != "NO" {
		t.Errorf("error %+v", e)
	}
	alive(t, c)
}

func TestChallengeThatIsNoBase64IsKeptAsItIs(t *testing.T) {
	c := open(t, "SASL-IR", "C: {a} AUTHENTICATE XOAUTH2 {*}\nS: + {\"status\":\"401\"}\nC: \nS: {a} NO failed\n")
	if e := wantErr[*AuthError](t, c.Authenticate(t.Context(), XOAuth2("u", "t"))); e.JSONStatus != "401" {
		t.Errorf("error %+v", e)
	}
}

func TestWithoutSASLIRTheServerInvitesFirst(t *testing.T) {
	var sent []string
	c := open(t, "AUTH=PLAIN", `
		C: {a} AUTHENTICATE PLAIN
		S: +
		C: `+b64("\x00ann\x00secret")+`
		S: * CAPABILITY IMAP4rev1 IDLE
		S: {a} OK in
	`, func(o *Options) { o.OnCommand = func(l string) { sent = append(sent, l) } })
	if err := c.Authenticate(t.Context(), Plain("ann", "secret")); err != nil {
		t.Fatal(err)
	}
	if !c.Has("IDLE") {
		t.Error("capabilities told during sign-in were lost")
	}
	if strings.Contains(strings.Join(sent, "\n"), b64("\x00ann\x00secret")) || sent[1] != "***" {
		t.Errorf("shown %q", sent)
	}
}

func TestATokenTooLongForALineGoesInTheAnswer(t *testing.T) {
	token := strings.Repeat("x", 9000)
	c := open(t, "SASL-IR", `
		C: {a} AUTHENTICATE XOAUTH2
		S: +
		C: `+b64("user=u\x01auth=Bearer "+token+"\x01\x01")+`
		S: {a} OK in
	`)
	if err := c.Authenticate(t.Context(), XOAuth2("u", token)); err != nil {
		t.Fatal(err)
	}
}

func TestLoginQuotesAndHidesItsSecrets(t *testing.T) {
	var sent []string
	c := open(t, "", `
		C: {a} LOGIN "ann \"x\"" {7}
		S: + go on
		B: 7
		C: 
		S: {a} NO [AUTHENTICATIONFAILED] no
	`+aliveScript, func(o *Options) { o.OnCommand = func(l string) { sent = append(sent, l) } })
	e := wantErr[*AuthError](t, c.Login(t.Context(), `ann "x"`, "p\xc3\xa4ssw\xc3"))
	if e.Mechanism != "LOGIN" || e.Err.Code != "AUTHENTICATIONFAILED" {
		t.Errorf("error %+v", e)
	}
	if strings.Contains(sent[0], "ann") || strings.Contains(sent[0], "ssw") {
		t.Errorf("shown %q", sent)
	}
	alive(t, c)
}
