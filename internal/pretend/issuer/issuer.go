// Package issuer is a pretend identity provider on loopback: OAuth 2.0 authorization code with PKCE
// and OpenID Connect in the manner of a Microsoft tenant (issuer template with {tenantid}, tid and oid,
// refresh tokens that rotate without killing the old one, errors with AADSTS numbers), with people
// who sign in by one click and accounts that fail on purpose.
//
// It knows no passwords, no mail and no Mailroom; it does not imitate the looks of any real provider
// and says on every page that it is pretended. It is written out, rather than built on a provider
// library, because its duty is to fail exactly as Microsoft does, which a well-behaved library prevents.
package issuer

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options says who the provider is. The zero value is usable.
type Options struct {
	Addr         string // "127.0.0.1:0" if empty
	Seed         uint64 // of ids and of the key that signs opaque tokens: equal seeds know each other's tokens
	ClientID     string
	ClientSecret string
	// Domains are those of the company, in place of whose GUID they may stand in addresses.
	Domains []string
	// Scopes are the permissions that the registration lists.
	Scopes []string
	// RedirectURIs are compared exactly, but for the port of a loopback host (RFC 8252 7.3).
	RedirectURIs []string
	TokenLife    time.Duration // of access tokens; one hour if 0
	// Revocation offers RFC 7009. Microsoft has none, Google has.
	Revocation bool
	// ReuseDetection kills a token family when an old refresh token is used again (RFC 9700 4.14.2).
	// Microsoft does not.
	ReuseDetection bool
	Now            func() time.Time
	Log            *slog.Logger
}

// Server is a running provider.
type Server struct {
	TenantID     string
	ClientID     string
	ClientSecret string

	opts Options
	base string
	http *http.Server
	done chan struct{}
	key  *rsa.PrivateKey
	kid  string
	seal []byte

	mu            sync.Mutex
	accounts      []Account
	tenants       map[string][]string // GUID to lower-case domains
	clients       map[string]*Client
	codes         map[string]*code
	consents      map[string]map[string]bool // who, as in personKey and tenantKey, to scopes
	withdrawn     map[string]bool            // tenantKey: an administrator took back what everybody had
	usersConsent  bool                       // users may consent to reading mail themselves
	assertions    map[string]bool            // jti that were used
	revokedBefore map[string]time.Time       // lower-case address
	deadFamilies  map[string]bool
	usedRefresh   map[string]bool
	reuse         bool
	clientFault   *Refusal
	fails         map[string][]Reply
	broken        map[string]*Reply
	trouble       string // which of the switches for the token endpoint is on
	switches      []Switch
	hook          func(map[string]any)
	answers       func(map[string]any)
	requests      []Request
}

// Request is one request to an endpoint, as tests want to see it. It holds no secret.
type Request struct {
	Endpoint  string // "discovery", "keys", "authorize", "adminconsent", "token", "revoke"
	GrantType string // at "token"
	Client    string // client id, at "authorize", "adminconsent" and "token"
	Proof     string // at "token": "secret" or "assertion", how the client proved itself
	Account   string // when known
	Error     string // OAuth error given back; empty on success
}

// Reply replaces the answer of an endpoint. A zero Status means that the true answer follows after
// Delay; a Status below zero closes the connection.
type Reply struct {
	Status int
	Body   string
	Header http.Header
	Delay  time.Duration
}

// Start listens and serves until Close.
func Start(opts Options) (*Server, error) {
	if opts.Addr == "" {
		opts.Addr = "127.0.0.1:0"
	}
	if opts.TokenLife == 0 {
		opts.TokenLife = time.Hour
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	seal := sha256.Sum256(fmt.Appendf(nil, "pretend tokens %d", opts.Seed))
	s := &Server{
		TenantID: guid(fmt.Sprint("tenant ", opts.Seed)), ClientID: opts.ClientID, ClientSecret: opts.ClientSecret,
		opts: opts, done: make(chan struct{}), key: key, kid: rand.Text()[:12], seal: seal[:],
		clients: map[string]*Client{}, codes: map[string]*code{}, revokedBefore: map[string]time.Time{},
		consents: map[string]map[string]bool{}, withdrawn: map[string]bool{}, usersConsent: true,
		assertions: map[string]bool{}, reuse: opts.ReuseDetection,
		deadFamilies: map[string]bool{}, usedRefresh: map[string]bool{}, fails: map[string][]Reply{}, broken: map[string]*Reply{},
	}
	if s.ClientID == "" {
		s.ClientID = guid(fmt.Sprint("client ", opts.Seed))
	}
	if s.ClientSecret == "" {
		s.ClientSecret = "pretend~" + guid(fmt.Sprint("secret ", opts.Seed))
	}
	s.tenants = map[string][]string{s.TenantID: lower(opts.Domains)}
	s.clients[s.ClientID] = &Client{ID: s.ClientID, Name: "Mailroom", Secrets: []Secret{{Value: s.ClientSecret}},
		RedirectURIs: slices.Clone(opts.RedirectURIs), Scopes: opts.Scopes}
	s.switches = s.ownSwitches()
	l, err := net.Listen("tcp", opts.Addr)
	if err != nil {
		return nil, err
	}
	s.base = "http://" + l.Addr().String()
	s.http = &http.Server{Handler: s.routes(), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(s.done)
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			opts.Log.Error("pretend identity provider ended", "err", err)
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

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{tenant}/v2.0/.well-known/openid-configuration", s.endpoint("discovery", s.discovery))
	mux.HandleFunc("GET /{tenant}/discovery/v2.0/keys", s.endpoint("keys", s.keys))
	mux.HandleFunc("GET /{tenant}/oauth2/v2.0/authorize", s.endpoint("authorize", s.authorize))
	mux.HandleFunc("GET /{tenant}/v2.0/adminconsent", s.endpoint("adminconsent", s.adminConsent))
	mux.HandleFunc("POST /{tenant}/oauth2/v2.0/account", s.chooseAccount)
	mux.HandleFunc("POST /{tenant}/oauth2/v2.0/consent", s.answerConsent)
	mux.HandleFunc("POST /{tenant}/oauth2/v2.0/token", s.endpoint("token", s.token))
	if s.opts.Revocation {
		mux.HandleFunc("POST /{tenant}/oauth2/v2.0/revoke", s.endpoint("revoke", s.revoke))
	}
	mux.Handle("POST /switch", http.NewCrossOriginProtection().Handler(http.HandlerFunc(s.turn)))
	mux.HandleFunc("GET /style.css", s.style)
	mux.HandleFunc("GET /{$}", s.home)
	return mux
}

// endpoint records a request and plays what FailNext asked for.
func (s *Server) endpoint(name string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		var reply *Reply
		if q := s.fails[name]; len(q) > 0 {
			reply, s.fails[name] = &q[0], q[1:]
		} else {
			reply = s.broken[name]
		}
		s.mu.Unlock()
		if reply == nil {
			next(w, r)
			return
		}
		if s.play(w, r, name, *reply) {
			next(w, r)
		}
	}
}

// play gives a made answer, and says whether the true one shall follow.
func (s *Server) play(w http.ResponseWriter, r *http.Request, name string, reply Reply) (goOn bool) {
	select {
	case <-time.After(reply.Delay):
	case <-r.Context().Done():
		return false
	}
	if reply.Status == 0 {
		return true
	}
	s.note(Request{Endpoint: name, Error: fmt.Sprint("made to fail: ", reply.Status)})
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

// FailNext replaces the next n answers of an endpoint: "discovery", "keys", "authorize", "adminconsent",
// "token", "revoke".
func (s *Server) FailNext(endpoint string, n int, reply Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		s.fails[endpoint] = append(s.fails[endpoint], reply)
	}
}

// Break replaces every answer of an endpoint until StopFailing, but for what FailNext asks for.
func (s *Server) Break(endpoint string, reply Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken[endpoint] = &reply
}

// StopFailing takes back what FailNext still holds, Break and RefuseClient.
func (s *Server) StopFailing() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails, s.broken, s.trouble = map[string][]Reply{}, map[string]*Reply{}, ""
	s.clientFault = nil
}

// SetReuseDetection changes Options.ReuseDetection.
func (s *Server) SetReuseDetection(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reuse = on
}

// RefuseClient answers every token request with a refusal until StopFailing, as for an expired secret.
func (s *Server) RefuseClient(r Refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clientFault = &r
}

// SetIDTokenHook lets a test spoil the claims of every ID token before it is signed; nil ends it.
func (s *Server) SetIDTokenHook(hook func(claims map[string]any)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = hook
}

// SetAnswerHook lets a test see, or spoil, every good answer of the token endpoint; nil ends it.
func (s *Server) SetAnswerHook(hook func(answer map[string]any)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = hook
}

// Requests lists the requests to endpoints so far.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.requests...)
}

func (s *Server) note(r Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.requests) > 10_000 {
		s.requests = append([]Request(nil), s.requests[5_000:]...)
	}
	s.requests = append(s.requests, r)
}

// URL is the base address, without a slash at its end.
func (s *Server) URL() string { return s.base }

// Issuer is the multi-tenant issuer with its {tenantid} still in it.
func (s *Server) Issuer() string { return s.base + "/{tenantid}/v2.0" }

// TenantIssuer is the issuer as ID tokens carry it.
func (s *Server) TenantIssuer() string { return s.issuerOf(s.TenantID) }

func (s *Server) issuerOf(tenant string) string { return s.base + "/" + tenant + "/v2.0" }

// DiscoveryURL is the metadata for accounts of any tenant.
func (s *Server) DiscoveryURL() string {
	return s.base + "/common/v2.0/.well-known/openid-configuration"
}

// AuthURL is the authorization endpoint.
func (s *Server) AuthURL() string { return s.base + "/common/oauth2/v2.0/authorize" }

// TokenURL is the token endpoint.
func (s *Server) TokenURL() string { return s.base + "/common/oauth2/v2.0/token" }

// JWKSURL is where the signing keys are.
func (s *Server) JWKSURL() string { return s.base + "/common/discovery/v2.0/keys" }

// AdminConsentURL is where an administrator consents for a company, with "{tenant}" still in it.
func (s *Server) AdminConsentURL() string { return s.base + "/{tenant}/v2.0/adminconsent" }

// RevokeURL is the revocation endpoint, or empty.
func (s *Server) RevokeURL() string {
	if !s.opts.Revocation {
		return ""
	}
	return s.base + "/common/oauth2/v2.0/revoke"
}

// guid makes a stable GUID of a text.
func guid(text string) string {
	h := sha256.Sum256([]byte(strings.ToLower(text)))
	h[6], h[8] = h[6]&0x0f|0x40, h[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[0:4], h[4:6], h[6:8], h[8:10], h[10:16])
}
