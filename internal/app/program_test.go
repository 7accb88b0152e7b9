package app_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"mailroom/internal/app"
)

// TestHelp: one table holds every variable, and it fits a terminal.
func TestHelp(t *testing.T) {
	s := newSite(t)
	out, errs, code := s.tool(t, "", "--help")
	if code != 0 || errs != "" {
		t.Fatal(code, errs)
	}
	_, table, ok := strings.Cut(out, "Settings, by flag or by environment variable")
	if !ok {
		t.Fatal("no table of settings in:\n" + out)
	}
	want := []string{}
	for i, typ := 0, reflect.TypeFor[app.Config](); i < typ.NumField(); i++ {
		if v := typ.Field(i).Tag.Get("env"); v != "" {
			want = append(want, v)
		}
	}
	for _, v := range app.Secrets() {
		want = append(want, v.Name)
	}
	if len(want) < 19 {
		t.Fatal("this test knows too few variables: ", want)
	}
	for _, v := range want {
		if n := len(regexp.MustCompile(`(?m) `+v+`$`).FindAllString(table, -1)); n != 1 {
			t.Errorf("%s stands %d times in the table", v, n)
		}
	}
	for _, line := range strings.Split(out, "\n") {
		if len([]rune(line)) > 80 {
			t.Errorf("wider than a terminal: %q", line)
		}
	}
	for _, c := range []string{"serve", "migrate", "users add", "users role", "users disable", "users password", "people import", "keys list", "keys add", "keys rotate", "keys drop"} {
		if !strings.Contains(out, "\n  "+c) {
			t.Errorf("%s is not listed", c)
		}
	}
	out, _, code = s.tool(t, "", "users", "add", "--help")
	if code != 0 || !strings.Contains(out, "--organization=NAME") || !strings.Contains(out, "--role=recruiter") || strings.Contains(out, "MAILROOM_POLL") {
		t.Errorf("help of a command: %d\n%s", code, out)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"frob"}, "`mailroom --help`"},
		{[]string{"users"}, "`mailroom users --help`"},
		{[]string{"users", "role", "a@b.example", "boss"}, "`mailroom users role --help`"},
		{[]string{"--poll=often"}, "--poll"},
	} {
		out, errs, code := s.tool(t, "", c.args...)
		if code != 2 || out != "" || !strings.Contains(errs, c.want) || strings.Count(errs, "\n") > 3 {
			t.Errorf("%v: %d, %q %q", c.args, code, out, errs)
		}
	}
}

// TestBadValueNamesItsVariable, at start and before anything is made.
func TestBadValueNamesItsVariable(t *testing.T) {
	for _, c := range []struct {
		variable string
		set      func(*app.Config)
	}{
		{"MAILROOM_ADDR", func(c *app.Config) { c.Addr = "localhost" }},
		{"MAILROOM_ADDR", func(c *app.Config) { c.Addr = ":8080" }},
		{"MAILROOM_ADDR", func(c *app.Config) { c.Addr = "127.0.0.1:http-ish" }},
		{"MAILROOM_ADDR", func(c *app.Config) { c.Addr = "127.0.0.1:70000" }},
		{"MAILROOM_DATA", func(c *app.Config) { c.Data = "" }},
		{"MAILROOM_DATABASE", func(c *app.Config) { c.Database = "mysql://db" }},
		{"MAILROOM_BASE_URL", func(c *app.Config) { c.BaseURL = "mailroom.example.com" }},
		{"MAILROOM_BASE_URL", func(c *app.Config) { c.BaseURL = "http://mailroom.example.com" }},
		{"MAILROOM_BASE_URL", func(c *app.Config) { c.BaseURL = "https://example.com/mailroom" }},
		{"MAILROOM_BASE_URL", func(c *app.Config) { c.Addr = "0.0.0.0:8080" }},
		{"MAILROOM_POLL", func(c *app.Config) { c.Poll = time.Second }},
		{"MAILROOM_POLL", func(c *app.Config) { c.Poll = 2 * time.Hour }},
		{"MAILROOM_MAX_MESSAGE_MB", func(c *app.Config) { c.MaxMessage = 0 }},
		{"MAILROOM_MAX_MESSAGE_MB", func(c *app.Config) { c.MaxMessage = 5000 }},
		{"MAILROOM_LOG_LEVEL", func(c *app.Config) { c.LogLevel = "loud" }},
		{"MAILROOM_LOG_FORMAT", func(c *app.Config) { c.LogFormat = "xml" }},
		{"MAILROOM_MICROSOFT_CLIENT_SECRET", func(c *app.Config) { c.MicrosoftClientID = "id" }},
		{"MAILROOM_GOOGLE_CLIENT_SECRET", func(c *app.Config) { c.GoogleClientSecret = "secret" }},
		{"MAILROOM_SMTP", func(c *app.Config) { c.SMTP = "mail.example:25" }},
		{"MAILROOM_MAIL_FROM", func(c *app.Config) { c.SMTP = "smtps://mail.example" }},
		{"MAILROOM_WEBHOOK", func(c *app.Config) { c.Webhook = "https://hooks.example" }},
		{"MAILROOM_TELL_LATER", func(c *app.Config) { c.TellLater = time.Minute }},
		{"MAILROOM_MICROSOFT_SECRET_EXPIRES", func(c *app.Config) { c.MicrosoftSecretExpires = "next year" }},
		{"MAILROOM_KEY", func(c *app.Config) { c.Key = "not a key" }},
		{"MAILROOM_KEY_FILE", func(c *app.Config) { c.KeyFile = "/dev/null" }},
		{"MAILROOM_PROVIDERS", func(c *app.Config) { c.ProvidersFile = "/nowhere/providers.json" }},
		{"MAILROOM_CA_FILE", func(c *app.Config) { c.CAFile = "/dev/null" }},
		{"MAILROOM_DATABASE", func(c *app.Config) { c.Database = "postgres://nobody@127.0.0.1:1/none?connect_timeout=2" }},
	} {
		cfg := configured(newSite(t))
		c.set(&cfg)
		a, err := app.New(t.Context(), cfg)
		if err == nil {
			a.Close()
			t.Errorf("%s: no complaint", c.variable)
			continue
		}
		if n := strings.Count(err.Error(), "MAILROOM_"); !strings.Contains(err.Error(), c.variable+": ") || n != 1 {
			t.Errorf("%s: the complaint is %q", c.variable, err)
		}
	}
	all := app.Config{}
	for _, v := range []string{"ADDR", "DATA", "POLL", "MAX_MESSAGE_MB", "LOG_LEVEL", "LOG_FORMAT"} {
		if err := all.Check(); !strings.Contains(err.Error(), "MAILROOM_"+v+": ") {
			t.Errorf("not all complaints at once: MAILROOM_%s is missing in\n%v", v, err)
		}
	}
	s := newSite(t, "MAILROOM_POLL=1s", "MAILROOM_LOG_FORMAT=xml")
	if _, errs, code := s.tool(t, ""); code != 1 || !strings.Contains(errs, "MAILROOM_POLL: ") || !strings.Contains(errs, "MAILROOM_LOG_FORMAT: ") {
		t.Errorf("%d %s", code, errs)
	}
	if _, err := os.Stat(s.data); err == nil {
		t.Error("a data folder was made all the same")
	}
	s = newSite(t, "MAILROOM_DATABASE=postgres://mailroom:hush@127.0.0.1:1/none?connect_timeout=2")
	if _, errs, code := s.tool(t, "", "migrate"); code != 1 || !strings.Contains(errs, "MAILROOM_DATABASE: ") ||
		!strings.Contains(errs, "127.0.0.1:1") || strings.Contains(errs, "hush") {
		t.Errorf("a database that is not there: %d %s", code, errs)
	}
}

var setupLink = regexp.MustCompile(`(?m)^\s*(http://\S+/setup\?token=\S+)$`)

// TestFirstStart makes a key for its eyes only and shows the way in, once.
func TestFirstStart(t *testing.T) {
	s := newSite(t)
	p := s.serve(t)
	key := filepath.Join(s.data, "mailroom.key")
	for path, want := range map[string]os.FileMode{key: 0o600, s.data: 0o700, filepath.Join(s.data, "mailroom.db"): 0o600, filepath.Join(s.data, "mail"): 0o700} {
		st, err := os.Stat(path)
		must(t, err)
		if st.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", path, st.Mode().Perm(), want)
		}
	}
	link := setupLink.FindStringSubmatch(p.out.String())
	if link == nil {
		t.Fatal("no setup link in:\n" + p.out.String())
	}
	if code, page := ask(t, link[1]); code != 200 || !strings.Contains(page, "organization") {
		t.Errorf("the setup link: %d", code)
	}
	if strings.Contains(p.errs.String(), "token=") {
		t.Error("the setup link stands in the log")
	}

	// A second one on the same data, or the same address, is told why not.
	if _, errs, code := s.tool(t, ""); code != 1 || !strings.Contains(errs, "MAILROOM_DATA: ") || !strings.Contains(errs, "in use") {
		t.Errorf("a second Mailroom on the same data: %d %s", code, errs)
	}
	taken := newSite(t, "MAILROOM_ADDR="+strings.TrimPrefix(p.url(), "http://"))
	if _, errs, code := taken.tool(t, ""); code != 1 || !strings.Contains(errs, "MAILROOM_ADDR: ") || !strings.Contains(errs, "in use") {
		t.Errorf("a second Mailroom at the same address: %d %s", code, errs)
	}

	founded := found(t, p.url(), link[1])
	if code, took := p.terminate(); code != 0 || took > 10*time.Second {
		t.Errorf("ended with %d after %s", code, took)
	}
	p = s.serve(t)
	if setupLink.MatchString(p.out.String()) {
		t.Error("it shows a setup link although there is an organization")
	}
	if code, _ := ask(t, strings.Replace(link[1], founded, p.url(), 1)); code == 200 {
		t.Error("the setup link works twice")
	}
	if out, errs, code := s.tool(t, "", "users", "role", "boss@agency.example", "administrator"); code != 0 {
		t.Error("the user of the first start is not there at the second:", out, errs)
	}
	p.terminate()

	must(t, os.Chmod(key, 0o640))
	if _, errs, code := s.tool(t, ""); code != 1 || !strings.Contains(errs, "MAILROOM_KEY_FILE: ") || !strings.Contains(errs, "chmod 600") || !strings.Contains(errs, key) {
		t.Errorf("a key that others can read: %d %s", code, errs)
	}
}

// found opens the setup link and fills in its form, as a browser without
// scripts does.
func found(t *testing.T, base, link string) string {
	t.Helper()
	form := "token=" + link[strings.Index(link, "token=")+6:] +
		"&organization=Agency&name=Boss&email=boss%40agency.example&password=" + strings.ReplaceAll(longEnough, " ", "+")
	r, err := http.NewRequestWithContext(t.Context(), "POST", base+"/setup", strings.NewReader(form))
	must(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", base)
	res, err := (&http.Transport{}).RoundTrip(r)
	must(t, err)
	defer res.Body.Close()
	if res.StatusCode != http.StatusSeeOther {
		body, _ := io.ReadAll(res.Body)
		t.Fatalf("setup: %s\n%s", res.Status, body)
	}
	return base
}

// TestTools: what an operator does at the command line, while the program runs
// on the same database.
func TestTools(t *testing.T) {
	s := newSite(t)
	do := func(wantCode int, stdin string, args ...string) (out, errs string) {
		t.Helper()
		out, errs, code := s.tool(t, stdin, args...)
		if code != wantCode {
			t.Errorf("%v: code %d\n%s%s", args, code, out, errs)
		}
		return out, errs
	}
	says := func(text, want string) {
		t.Helper()
		if !strings.Contains(text, want) {
			t.Errorf("%q does not say %q", text, want)
		}
	}
	out, _ := do(0, "", "migrate")
	says(out, "applied 0001_init.sql")
	out, _ = do(0, "", "migrate")
	if strings.Contains(out, "applied") {
		t.Error("migrated twice")
	}
	says(out, "up to date")
	_, errs := do(1, "", "users", "add", "x@agency.example", "--name=X")
	says(errs, "no organization yet")

	p := s.serve(t)
	found(t, p.url(), setupLink.FindStringSubmatch(p.out.String())[1])
	out, _ = do(0, "", "users", "add", "Rik@Agency.example", "--name=Rik Recruiter")
	password := regexp.MustCompile(`password: (\S+)`).FindStringSubmatch(out)
	if password == nil {
		t.Fatal("no password in " + out)
	}
	signsIn(t, p.url(), "rik@agency.example", password[1], true)
	_, errs = do(1, "", "users", "add", "rik@agency.example", "--name=Twin")
	says(errs, "already")
	_, errs = do(1, "", "users", "role", "nobody@agency.example", "administrator")
	says(errs, "nobody signs in with that address")
	for _, args := range [][]string{{"users", "role", "boss@agency.example", "recruiter"}, {"users", "disable", "boss@agency.example"}} {
		_, errs = do(1, "", args...)
		says(errs, "only administrator")
	}
	do(0, "", "users", "role", "rik@agency.example", "administrator")
	do(0, "", "users", "role", "boss@agency.example", "recruiter")
	do(0, "", "users", "disable", "boss@agency.example")
	signsIn(t, p.url(), "boss@agency.example", longEnough, false)
	do(0, "", "users", "disable", "boss@agency.example", "--undo")
	signsIn(t, p.url(), "boss@agency.example", longEnough, true)
	do(0, "another long password\n", "users", "password", "boss@agency.example", "--stdin")
	signsIn(t, p.url(), "boss@agency.example", longEnough, false)
	signsIn(t, p.url(), "boss@agency.example", "another long password", true)
	_, errs = do(1, "short\n", "users", "password", "boss@agency.example", "--stdin")
	says(errs, "12")
	do(1, "", "users", "password", "boss@agency.example", "--stdin")

	file := filepath.Join(t.TempDir(), "people.csv")
	must(t, os.WriteFile(file, []byte("kind,name,emails,company,reference\n"+
		"candidate,Carla Candidate,carla@home.example,,C1\nwizard,Merlin,merlin@camelot.example,,\n"+
		"contact,Coen Contact,coen@client.example coen@home.example,Client BV,P1\ncandidate,No Address,not-an-address,,C3\n"), 0o600))
	out, errs = do(1, "", "people", "import", file)
	says(out, "2 added, 0 updated, 0 unchanged, 2 not imported")
	says(errs, "line 3: ")
	says(errs, "line 5: ")
	if strings.Contains(errs, "person.import") || strings.Contains(errs, "{") {
		t.Errorf("not in words: %s", errs)
	}
	out, _ = do(1, "", "people", "import", file)
	says(out, "0 added, 0 updated, 2 unchanged, 2 not imported")
	must(t, os.WriteFile(file, []byte("kind,name,emails\ncandidate,Dora,dora@home.example\n"), 0o600))
	out, errs = do(0, "", "people", "import", file)
	says(out, "1 added")
	if errs != "" {
		t.Error("a clean import complains: " + errs)
	}
	if n := number(t, s.database(t), `SELECT COUNT(*) FROM persons`); n != 3 {
		t.Errorf("%d people", n)
	}
	if code, _ := p.terminate(); code != 0 {
		t.Errorf("ended with %d", code)
	}
}

// signsIn tries an address and a password at the door.
func signsIn(t *testing.T, base, email, password string, want bool) {
	t.Helper()
	form := "email=" + strings.ReplaceAll(email, "@", "%40") + "&password=" + strings.ReplaceAll(password, " ", "+")
	r, err := http.NewRequestWithContext(t.Context(), "POST", base+"/sign-in", strings.NewReader(form))
	must(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", base)
	res, err := (&http.Transport{}).RoundTrip(r)
	must(t, err)
	res.Body.Close()
	if in := res.StatusCode == http.StatusSeeOther; in != want {
		t.Errorf("%s signs in: %v (%s)", email, in, res.Status)
	}
}

// TestToldToStop in the middle of a backfill: it ends in order and soon, hands
// its mailbox back, and the next start goes on at once.
func TestToldToStop(t *testing.T) {
	d := dovecot(t)
	const n = 2500
	d.Deliver(owner, "INBOX", mails(0, n)...)
	s := newSite(t, "MAILROOM_ALLOW_PRIVATE_HOSTS=true")
	s.settle(t, d)
	p := s.serve(t)
	// A browser that watches must not hold it up, nor one that says nothing.
	silent, err := net.Dial("tcp", strings.TrimPrefix(p.url(), "http://"))
	must(t, err)
	defer silent.Close()
	fmt.Fprint(silent, "GET / HTTP/1.1\r\nHost: x\r\n")
	within(t, "the backfill runs", func() bool { return filed(t, p.url()) > 0 })
	code, took := p.terminate()
	if code != 0 || took > 15*time.Second {
		t.Errorf("ended with %d after %s", code, took)
	}
	db := s.database(t)
	first := number(t, db, `SELECT COUNT(*) FROM placements`)
	if first == 0 || first == n {
		t.Fatalf("%d of %d were filed when it was told to stop: this proves nothing", first, n)
	}
	if held := number(t, db, `SELECT COUNT(*) FROM mailboxes WHERE owner <> '' OR lease_until <> 0`); held != 0 {
		t.Error("the lease was not handed back")
	}
	if open := number(t, db, `SELECT COUNT(*) FROM runs WHERE ended_at = 0`); open != 0 {
		t.Error("a run was left open")
	}
	if said := p.errs.String(); !strings.Contains(said, "mailroom has stopped") || strings.Contains(said, `"level":"ERROR"`) {
		t.Errorf("it said:\n%s", said)
	}
	p = s.serve(t)
	if !holds(2*time.Minute, func() bool { return number(t, db, `SELECT COUNT(*) FROM placements`) == n }) {
		t.Error("the rest did not come after the restart")
	}
	within(t, "the rest is counted", func() bool { return filed(t, p.url()) >= n-int(first) })
	if again := filed(t, p.url()); again != n-int(first) {
		t.Errorf("%d filed, then %d of %d: some were read twice", first, again, n)
	}
	p.terminate()
}

// TestAddressInUse within the process, as the demo starts it.
func TestAddressInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	cfg := configured(newSite(t))
	cfg.Addr = l.Addr().String()
	err = app.Run(context.Background(), cfg, io.Discard)
	if err == nil || !strings.HasPrefix(err.Error(), "MAILROOM_ADDR: ") {
		t.Errorf("%v", err)
	}
}
