package web

import (
	"context"
	"crypto/rand"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/alexedwards/scs/v2"

	"mailroom/internal/mailroom"
)

// What a session holds.
const (
	sessionUser     = "user"
	sessionEpoch    = "epoch"
	sessionSeen     = "seen"     // Unix seconds, see idleLifetime
	sessionBinding  = "binding"  // ties OAuth requests to this session
	sessionLanguage = "language" // chosen before signing in
	sessionFlash    = "flash"
)

const (
	// idleLifetime signs a person out who did nothing for so long, and
	// absoluteLifetime whatever they did.
	idleLifetime     = 8 * time.Hour
	absoluteLifetime = 7 * 24 * time.Hour
	// seenEvery keeps "seen" from writing to the database with every request.
	seenEvery = 5 * time.Minute
)

func newSessions(store scs.Store, public *url.URL) *scs.SessionManager {
	m := scs.New()
	m.Store = store
	m.Lifetime = absoluteLifetime
	m.IdleTimeout = 0 // ours: scs would write to the store with every request
	secure := public.Scheme == "https" || !isLoopback(public.Hostname())
	m.Cookie = scs.SessionCookie{
		Name: "mailroom", Path: "/", HttpOnly: true, Secure: secure,
		// Lax, not Strict: the provider sends the browser back by a top-level
		// GET, and that request must carry the session.
		SameSite: http.SameSiteLaxMode,
		Persist:  true,
	}
	if secure { // RFC 6265bis §4.1.3.2
		m.Cookie.Name = "__Host-mailroom"
	}
	m.HashTokenInStore = true
	return m
}

func isLoopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// signedIn is the session's user, read afresh; the zero User when nobody is
// signed in. An error is a fault, not a stranger.
func (s *Server) signedIn(r *http.Request) (mailroom.User, error) {
	ctx := r.Context()
	id := s.sessions.GetString(ctx, sessionUser)
	if id == "" {
		return mailroom.User{}, nil
	}
	now := s.Now()
	seen := time.Unix(s.sessions.GetInt64(ctx, sessionSeen), 0)
	if now.Sub(seen) > idleLifetime {
		return mailroom.User{}, s.forget(ctx)
	}
	u, err := s.Portal.UserForSession(ctx, id, s.sessions.GetInt64(ctx, sessionEpoch))
	if mailroom.KindOf(err) == mailroom.NotFound {
		return mailroom.User{}, s.forget(ctx)
	}
	if err != nil {
		return mailroom.User{}, err
	}
	if now.Sub(seen) > seenEvery {
		s.sessions.Put(ctx, sessionSeen, now.Unix())
	}
	return u, nil
}

// forget signs the session out but keeps its language and messages.
func (s *Server) forget(ctx context.Context) error {
	for _, key := range []string{sessionUser, sessionEpoch, sessionSeen, sessionBinding} {
		s.sessions.Remove(ctx, key)
	}
	return s.sessions.RenewToken(ctx)
}

// remember signs a user in. The token is renewed, so that a session that
// somebody else planted is worth nothing.
func (s *Server) remember(ctx context.Context, u mailroom.User) error {
	if err := s.sessions.RenewToken(ctx); err != nil {
		return err
	}
	s.sessions.Put(ctx, sessionUser, u.ID)
	s.sessions.Put(ctx, sessionEpoch, u.SessionEpoch)
	s.sessions.Put(ctx, sessionSeen, s.Now().Unix())
	s.sessions.Put(ctx, sessionBinding, rand.Text())
	return nil
}

// binding ties an OAuth request to this browser session (RFC 9700 §4.7).
func (c *call) binding() string {
	return c.sessions.GetString(c.r.Context(), sessionBinding)
}

func lastField(list string) string {
	parts := strings.Split(list, ",")
	last := strings.TrimSpace(parts[len(parts)-1])
	if host, _, err := net.SplitHostPort(last); err == nil {
		return host
	}
	return last
}
