package web

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"

	"mailroom/internal/mailroom"
)

// While the database is away every page is a calm one: what happened, who is to
// look, a reference, and a way to try again; fragments leave the page as it is.
func TestDatabaseIsAway(t *testing.T) {
	d := &brokenSessions{}
	s := openSite(t, d.breaks)
	b := s.as(s.admin)
	d.away.Store(true)
	for _, path := range []string{"/mail?folder=all", integrationsPath, "/admin/sync", "/nowhere", "/sign-in"} {
		a := b.get(path).wants(503).shows("h1", "Mailroom is out of order for a moment").shows("#error", "goes on by itself").
			shows("#error", "Whoever runs Mailroom is the one to look").shows("#error", "Reference for the help desk")
		if a.attr("#error a.button", "href") != path || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: try again leads to %q", path, a.attr("#error a.button", "href"))
		}
		for _, leak := range []string{"sql", "goroutine", ".go:", "closed"} {
			if strings.Contains(strings.ToLower(a.text("body")), leak) {
				t.Errorf("%s tells %q: %s", path, leak, a.text("body"))
			}
		}
		_, ref, _ := strings.Cut(a.text("#error"), "help desk: ")
		if !s.log.says("request=" + ref) {
			t.Errorf("%s: the log knows no %s", path, ref)
		}
	}
	a := b.post("/settings/integrations/sync").wants(503)
	if to := a.attr("#error a.button", "href"); to != "/" {
		t.Errorf("a POST is tried again at %q", to)
	}
	b.header.Set("HX-Request", "true")
	a = b.get("/mail").wants(503)
	if a.header.Get("HX-Refresh") != "" {
		t.Error("a fragment throws the page away")
	}
	b.header.Set("Accept-Language", "nl")
	b.get("/mail").wants(503).shows("h1", "even buiten werking")
}

// brokenSessions stands between the pages and the database: away, or on a full
// disk, where it reads and does not write.
type brokenSessions struct {
	scs.CtxStore
	away, full atomic.Bool
}

func (f *brokenSessions) breaks(d *Deps) { f.CtxStore, d.Sessions = d.Sessions.(scs.CtxStore), f }

func (f *brokenSessions) FindCtx(ctx context.Context, token string) ([]byte, bool, error) {
	if f.away.Load() {
		return nil, false, mailroom.E(mailroom.Unavailable, "error.database", errors.New("sql: connection refused"))
	}
	return f.CtxStore.FindCtx(ctx, token)
}

func (f *brokenSessions) CommitCtx(ctx context.Context, token string, b []byte, expiry time.Time) error {
	if f.full.Load() {
		return mailroom.E(mailroom.Unavailable, "error.disk_full", errors.New("no space left on device"))
	}
	return f.CtxStore.CommitCtx(ctx, token, b, expiry)
}

// A full disk keeps nobody from reading: only what has to be written is refused,
// once and by name.
func TestDiskIsFull(t *testing.T) {
	d := &brokenSessions{}
	a := openAgency(t, d.breaks)
	b := a.as(a.noor)
	d.full.Store(true)
	now := time.Now().Add(10 * time.Minute) // the visit would be noted
	a.clock = func() time.Time { return now }
	p := b.get("/mail").wants(200).shows("#mails", "My CV, as promised").lacks("#error")
	if n := strings.Count(p.raw, "<!doctype html>") + strings.Count(p.raw, "<!DOCTYPE html>"); n != 1 {
		t.Errorf("%d pages in one answer", n)
	}
	p = b.post("/settings/integrations/sync").wants(503).shows("#error", "disk of Mailroom's server is full")
	if strings.Count(strings.ToLower(p.raw), "<!doctype html>") != 1 {
		t.Errorf("two answers in one:\n%s", p.raw)
	}
}

// Administrators read on Sync state that nothing is being read, and why.
func TestSyncStateSaysThatReadingHasStopped(t *testing.T) {
	s := openSite(t)
	s.connected(s.addUser("Noor", "noor@werk.example", mailroom.Recruiter))
	b := s.as(s.admin)
	b.get("/admin/sync").wants(200).lacks(".notice.bad")
	sqlExec(t, s, `INSERT INTO nodes(name, seen_at) VALUES ('a', $1)`, mailroom.Micros(time.Date(2026, 11, 20, 9, 30, 0, 0, time.UTC)))
	b.get("/admin/sync").wants(200).shows(".notice.bad", "Reading has stopped since 20 Nov 2026, 09:30.").shows(".notice.bad", "sign of life").
		shows(".notice.bad", "Whoever runs Mailroom")
}
