package graph_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"mailroom/internal/graph"
	"mailroom/internal/mailroom"
	pretend "mailroom/internal/pretend/graph"
)

const mailApp = "11111111-2222-4333-8444-555555555555"

// open starts a directory with Noor, who is in a group in a group, and reads it
// with the scopes.
func open(t *testing.T, scopes ...string) (*pretend.Server, *graph.Directory) {
	t.Helper()
	tenant := pretend.Tenant{
		Users: []pretend.User{
			{Email: "noor@werk.example", Name: "Noor", SignIn: "n.o'hara@werk.example", Aliases: []string{"n.noor@werk.example"},
				Licences: []pretend.Licence{pretend.Business(), pretend.Basic()}},
			{Email: "pim@werk.example", Name: "Pim", Disabled: true},
		},
		Groups:   []pretend.Group{{Name: "Recruiters", Members: []string{"noor@werk.example"}}, {Name: "Everybody", Members: []string{"Recruiters"}}},
		Apps:     []pretend.App{{AppID: mailApp, Name: "Mailroom", AssignmentRequired: true, Assigned: []string{"Everybody", "pim@werk.example", "Recruiters"}}},
		Policies: []string{pretend.Recommended}, Requests: true, Reviewers: 3,
	}
	tenant.Consent(mailApp, "Mailroom", "https://outlook.office.com/IMAP.AccessAsUser.All", "offline_access")
	s, err := pretend.Start(pretend.Options{Tenant: tenant, PageSize: 1, Read: func(token string) (pretend.Reader, bool) {
		return pretend.Reader{Email: "noor@werk.example", Scopes: scopes}, token == "good"
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, directory(s.URL(), "good")
}

func directory(url, token string) *graph.Directory {
	return graph.New(graph.Options{}).Directory(mailroom.Provider{Name: "Outlook", Loopback: true, Directory: &mailroom.Directory{URL: url}}, token)
}

const _ = 0

var everything = []string{"https://graph.microsoft.com/Directory.Read.All", "Policy.Read.All"}

func TestReadsWhatTheDoctorAsks(t *testing.T) {
	_, d := open(t, everything...)
	ctx := t.Context()
	app, err := d.Application(ctx, mailApp)
	if err != nil || app.AppID != mailApp || !app.Enabled || !app.AssignmentRequired || app.Disabled != "" {
		t.Fatalf("application %+v %v", app, err)
	}
	for _, address := range []string{"N.O'Hara@werk.example", "noor@werk.example", "n.noor@WERK.example"} {
		u, err := d.User(ctx, address)
		if err != nil || u.SignIn != "n.o'hara@werk.example" || !slices.Equal(u.Addresses, []string{"noor@werk.example", "n.noor@werk.example"}) || !*u.Enabled {
			t.Errorf("%s: %+v %v", address, u, err)
		}
	}
	u, _ := d.User(ctx, "noor@werk.example")
	as, err := d.Assignments(ctx, u.ID, app.ID)
	if err != nil || len(as) != 1 || !as[0].Group || as[0].PrincipalName != "Recruiters" {
		t.Errorf("assignments %+v %v", as, err)
	}
	to, err := d.Assigned(ctx, app.ID)
	if err != nil || len(to) != 3 {
		t.Errorf("all three pages of those assigned: %+v %v", to, err)
	}
	gs, err := d.Groups(ctx, u.ID)
	if err != nil || len(gs) != 2 || gs[0].Name != "Recruiters" || gs[0].Nested || gs[1].Name != "Everybody" || !gs[1].Nested {
		t.Errorf("groups %+v %v", gs, err)
	}
	mail, err := d.Application(ctx, pretend.MailService)
	if err != nil {
		t.Fatal(err)
	}
	cs, err := d.Consents(ctx, app.ID)
	if err != nil || len(cs) != 2 || !cs[0].Everybody || cs[0].ResourceID != mail.ID || !slices.Equal(cs[0].Scopes, []string{"IMAP.AccessAsUser.All"}) {
		t.Errorf("consents %+v %v", cs, err)
	}
	ps, err := d.ConsentPolicies(ctx)
	if err != nil || !slices.Equal(ps, []string{pretend.Recommended}) {
		t.Errorf("policies %v %v", ps, err)
	}
	if r, err := d.ConsentRequests(ctx); err != nil || r != (mailroom.DirectoryRequests{Enabled: true, Reviewers: 3}) {
		t.Errorf("requests %+v %v", r, err)
	}
	plans, err := d.Plans(ctx, u.ID)
	if err != nil || len(plans) != 4 || plans[1].Name != "EXCHANGE_S_STANDARD" || plans[1].Status != "Success" || !plans[3].Company {
		t.Errorf("plans %+v %v", plans, err)
	}
}

func TestOneselfNeedsUserReadOnly(t *testing.T) {
	_, d := open(t, "User.Read")
	me, err := d.Me(t.Context())
	if err != nil || me.SignIn != "n.o'hara@werk.example" {
		t.Errorf("%+v %v", me, err)
	}
	if plans, err := d.Plans(t.Context(), ""); err != nil || len(plans) != 4 {
		t.Errorf("own plans %+v %v", plans, err)
	}
	if _, err := d.Application(t.Context(), mailApp); mailroom.KindOf(err) != mailroom.Forbidden {
		t.Errorf("the application with User.Read: %v", err)
	}
}

func TestRefusalsAreClassified(t *testing.T) {
	s, d := open(t, everything...)
	ctx := t.Context()
	if _, err := d.Application(ctx, "99999999-2222-4333-8444-555555555555"); mailroom.KindOf(err) != mailroom.NotFound {
		t.Errorf("an application that never came: %v", err)
	}
	if _, err := d.User(ctx, "nobody@werk.example"); mailroom.KindOf(err) != mailroom.NotFound {
		t.Errorf("nobody: %v", err)
	}
	if _, err := directory(s.URL(), "stale").Me(ctx); mailroom.AsError(err).Key != "doctor.error.token" {
		t.Errorf("a token that is no good: %v", err)
	}
	before := time.Now()
	for _, c := range []struct {
		reply pretend.Reply
		kind  mailroom.Kind
		key   string
	}{
		{pretend.Reply{Status: 403, Body: `{"error":{"code":"Authorization_RequestDenied","message":"noor@werk.example may not"}}`}, mailroom.Forbidden, "doctor.error.forbidden"},
		{pretend.Reply{Status: 429, Header: http.Header{"Retry-After": {"120"}}}, mailroom.Throttled, "doctor.error.throttled"},
		{pretend.Reply{Status: 503, Header: http.Header{"Retry-After": {"120"}}}, mailroom.Throttled, "doctor.error.throttled"},
		{pretend.Reply{Status: 500, Body: "<html>"}, mailroom.Unavailable, "doctor.error.unavailable"},
		{pretend.Reply{Status: 400, Body: `{"error":{"code":"BadRequest"}}`}, mailroom.NeedsVendor, "doctor.error.request"},
		{pretend.Reply{Status: 302, Header: http.Header{"Location": {"http://127.0.0.1:1/"}}}, mailroom.NeedsVendor, "doctor.error.request"},
		{pretend.Reply{Status: 200, Body: "<html>"}, mailroom.Unavailable, "doctor.error.malformed"},
		{pretend.Reply{Status: 200, Body: `{"value":7}`}, mailroom.Unavailable, "doctor.error.malformed"},
		{pretend.Reply{Status: 200, Body: `{"a":"` + strings.Repeat("x", 3<<20) + `"}`}, mailroom.Unavailable, "doctor.error.too_long"},
		{pretend.Reply{Status: -1}, mailroom.Unavailable, "doctor.error.network"},
	} {
		// Twice: net/http tries once more when a connection that was used before breaks.
		s.FailNext("oauth2PermissionGrants", 2, c.reply)
		_, err := d.Consents(ctx, mailApp)
		e := mailroom.AsError(err)
		if e == nil || e.Kind != c.kind || e.Key != c.key {
			t.Errorf("%d: %v, want %s %s", c.reply.Status, err, c.kind, c.key)
			continue
		}
		if strings.Contains(e.Error(), "noor") {
			t.Errorf("the error names a person: %v", e)
		}
		if wait := e.Until.Sub(before); c.kind == mailroom.Throttled && (wait < 115*time.Second || wait > 150*time.Second) {
			t.Errorf("to wait %v", wait)
		}
		s.StopFailing()
	}
}

// A next page elsewhere would be shown the token.
func TestPagesStayInTheDirectory(t *testing.T) {
	s, d := open(t, everything...)
	for _, next := range []string{"http://127.0.0.1:1/v1.0/x", "https://evil.example/v1.0/x", "http://me@" + s.URL()[7:] + "/x",
		strings.TrimSuffix(s.URL(), "/v1.0") + "/other", "/v1.0/relative"} {
		s.FailNext("oauth2PermissionGrants", 1, pretend.Reply{Status: 200, Body: `{"value":[],"@odata.nextLink":"` + next + `"}`})
		if _, err := d.Consents(t.Context(), mailApp); mailroom.AsError(err).Key != "doctor.error.malformed" {
			t.Errorf("%s: %v", next, err)
		}
	}
	// A list without an end has one.
	s.FailNext("oauth2PermissionGrants", -1, pretend.Reply{Status: 200, Body: `{"value":[],"@odata.nextLink":"` + s.URL() + `/oauth2PermissionGrants?again"}`})
	if _, err := d.Consents(t.Context(), mailApp); mailroom.AsError(err).Key != "doctor.error.too_long" {
		t.Errorf("without an end: %v", err)
	}
	if n := len(s.Requests()); n > 70 {
		t.Errorf("%d requests", n)
	}
}

func TestAddressOfTheDirectoryIsChecked(t *testing.T) {
	for _, url := range []string{"", "graph.microsoft.com", "ftp://x/v1.0", "https://a:b@x/v1.0", "https://x/v1.0?q"} {
		if _, err := directory(url, "good").Me(t.Context()); mailroom.AsError(err).Key != "doctor.error.address" {
			t.Errorf("%q: %v", url, err)
		}
	}
	guarded := graph.New(graph.Options{})
	p := mailroom.Provider{Directory: &mailroom.Directory{URL: "http://graph.example/v1.0"}}
	if _, err := guarded.Directory(p, "x").Me(t.Context()); mailroom.AsError(err).Key != "doctor.error.address" {
		t.Errorf("plain http: %v", err)
	}
	p.Directory.URL = "https://127.0.0.1:1/v1.0"
	if _, err := guarded.Directory(p, "x").Me(t.Context()); mailroom.AsError(err).Key != "host.error.private" {
		t.Errorf("a private address: %v", err)
	}
}
