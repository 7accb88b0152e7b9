package graph

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Reader is whom a token is of, and what it may read.
type Reader struct {
	Email  string
	Scopes []string // "Directory.Read.All", with or without the address before it
}

// Options say who the directory is. Read is needed, the rest is not.
type Options struct {
	Addr string // "127.0.0.1:0" if empty
	// Read says whose a token is; false for one that is not good.
	Read func(token string) (Reader, bool)
	// Consented is what an administrator has consented to for everybody, as the
	// pretend issuer knows it: scopes by client id. It is laid over the Tenant, and an
	// application that is not there comes with it. nil: the Tenant alone says it.
	Consented func() map[string][]string
	// ConsentedBy is the same for one person, by address.
	ConsentedBy func(email string) map[string][]string
	// PageSize of lists; 2 if 0, so that nobody forgets that there are pages.
	PageSize int
	Tenant   Tenant
	Log      *slog.Logger
}

// Server is a running directory.
type Server struct {
	opts Options
	base string
	http *http.Server
	done chan struct{}

	mu       sync.Mutex
	tenant   Tenant
	fails    map[string][]Reply
	requests []string
}

// Reply replaces an answer. A zero Status means that the true answer follows
// after Delay; a Status below zero closes the connection.
type Reply struct {
	Status int
	Body   string
	Header http.Header
	Delay  time.Duration
}

// Start listens and serves until Close.
func Start(opts Options) (*Server, error) {
	if opts.Read == nil {
		return nil, errors.New("graph: who may read must be asked of somebody")
	}
	if opts.Addr == "" {
		opts.Addr = "127.0.0.1:0"
	}
	if opts.PageSize == 0 {
		opts.PageSize = 2
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	l, err := net.Listen("tcp", opts.Addr)
	if err != nil {
		return nil, err
	}
	s := &Server{opts: opts, base: "http://" + l.Addr().String(), done: make(chan struct{}), tenant: opts.Tenant, fails: map[string][]Reply{}}
	s.http = &http.Server{Handler: s.routes(), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(s.done)
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			opts.Log.Error("pretend directory ended", "err", err)
		}
	}()
	return s, nil
}

// Close ends the server, open requests included.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		s.http.Close()
	}
	<-s.done
	return nil
}

// URL is what a Directory's URL is set to.
func (s *Server) URL() string { return s.base + "/v1.0" }

// Change lets a test or the demo make the tenant wrong, or right again.
func (s *Server) Change(change func(*Tenant)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.tenant)
}

// FailNext replaces the next n answers of an endpoint: "servicePrincipals", "users",
// "me", "appRoleAssignments", "appRoleAssignedTo", "memberOf", "transitiveMemberOf",
// "oauth2PermissionGrants", "authorizationPolicy", "adminConsentRequestPolicy",
// "licenseDetails". n below zero is for ever, until StopFailing.
func (s *Server) FailNext(endpoint string, n int, r Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n < 0 {
		n = 100_000
	}
	s.fails[endpoint] = slices.Repeat([]Reply{r}, n)
}

// StopFailing takes back what FailNext still holds.
func (s *Server) StopFailing() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails = map[string][]Reply{}
}

// Requests lists the endpoints that were asked, in order.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// answer is what an endpoint gives: rows of a list, or one object; nil object
// for 404.
type answer struct {
	rows   []any
	isList bool
	object any
	status int
	code   string
}

func one(v any) answer       { return answer{object: v} }
func many(rows []any) answer { return answer{rows: rows, isList: true} }
func missing() answer        { return answer{status: 404, code: "Request_ResourceNotFound"} }
func bad(code string) answer { return answer{status: 400, code: code} }
func denied() answer         { return answer{status: 403, code: "Authorization_RequestDenied"} }
func invalidToken() answer   { return answer{status: 401, code: "InvalidAuthenticationToken"} }
func (a answer) fails() bool { return a.status != 0 }

// endpoint asks who reads, checks that they may, and plays what FailNext asked
// for. One of the scopes is enough.
func (s *Server) endpoint(name string, scopes []string, serve func(*http.Request, Reader, *Tenant) answer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, name)
		var reply *Reply
		if q := s.fails[name]; len(q) > 0 {
			reply, s.fails[name] = &q[0], q[1:]
		}
		s.mu.Unlock()
		if reply != nil && !play(w, r, *reply) {
			return
		}
		reader, ok := s.reader(r)
		var a answer
		switch {
		case !ok:
			a = invalidToken()
		case !reader.may(scopes):
			a = denied()
		default:
			s.mu.Lock()
			t := s.current()
			a = serve(r, reader, &t)
			s.mu.Unlock()
		}
		s.write(w, r, a)
	}
}

// play gives a made-up answer; true when the true one is to follow.
func play(w http.ResponseWriter, r *http.Request, reply Reply) bool {
	select {
	case <-time.After(reply.Delay):
	case <-r.Context().Done():
		return false
	}
	if reply.Status == 0 {
		return true
	}
	if reply.Status < 0 {
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			conn.Close()
		}
		return false
	}
	for k, v := range reply.Header {
		w.Header()[k] = v
	}
	w.WriteHeader(reply.Status)
	fmt.Fprint(w, reply.Body)
	return false
}

func (s *Server) reader(r *http.Request) (Reader, bool) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || token == "" {
		return Reader{}, false
	}
	return s.opts.Read(token)
}

func (r Reader) may(scopes []string) bool {
	return slices.ContainsFunc(r.Scopes, func(given string) bool {
		return slices.Contains(scopes, given[strings.LastIndexByte(given, '/')+1:])
	})
}

// current is the tenant with the issuer's consents laid over it.
func (s *Server) current() Tenant {
	t := s.tenant
	t.Apps = slices.Clone(t.Apps)
	for i := range t.Apps {
		t.Apps[i].Consents = slices.Clone(t.Apps[i].Consents)
	}
	if s.opts.Consented != nil {
		for appID, scopes := range s.opts.Consented() {
			t.Consent(appID, "Mailroom", scopes...)
		}
	}
	if s.opts.ConsentedBy == nil {
		return t
	}
	for _, u := range t.Users {
		for appID, scopes := range s.opts.ConsentedBy(u.Email) {
			t.consentBy(u.Email, appID, "Mailroom", scopes...)
		}
	}
	return t
}

// write gives an answer in Graph's form, lists in pages.
func (s *Server) write(w http.ResponseWriter, r *http.Request, a answer) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("request-id", guid(r.URL.String()))
	if a.fails() {
		w.WriteHeader(a.status)
		json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"code": a.code,
			"message":    "Pretended: " + a.code + " for " + r.URL.Path,
			"innerError": map[string]string{"request-id": guid(r.URL.String())}}})
		return
	}
	if !a.isList {
		json.NewEncoder(w).Encode(a.object)
		return
	}
	from, _ := strconv.Atoi(r.URL.Query().Get("$skiptoken"))
	from = min(max(from, 0), len(a.rows))
	to := min(from+s.opts.PageSize, len(a.rows))
	page := map[string]any{"@odata.context": s.URL() + "/$metadata", "value": append([]any{}, a.rows[from:to]...)}
	if to < len(a.rows) {
		q := r.URL.Query()
		q.Set("$skiptoken", strconv.Itoa(to))
		page["@odata.nextLink"] = s.base + r.URL.EscapedPath() + "?" + q.Encode()
	}
	json.NewEncoder(w).Encode(page)
}
