// Package world fills the pretend servers: a recruitment agency with its users, candidates, contact
// persons and their mail in English and Dutch, all invented and made from a seed, and accounts that
// misbehave on purpose. It starts the servers and says how to reach them.
//
// It does not speak IMAP or OAuth itself (imapd and issuer do), does not configure or start the
// program under demonstration, and keeps nothing on disk.
package world

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"mailroom/internal/mailroom"
	"mailroom/internal/pretend/graph"
	"mailroom/internal/pretend/imapd"
	"mailroom/internal/pretend/issuer"
	"mailroom/internal/pretend/postbox"
)

// IMAPScope is what the pretend mail server asks of a token.
const IMAPScope = "https://outlook.office.com/IMAP.AccessAsUser.All"

// Options of a world. The zero value is usable.
type Options struct {
	Seed uint64    // 1 if 0
	Now  time.Time // the newest mail is shortly before; time.Now if zero
	// Large, Small and Huge are numbers of mails: 5000, 30 and 20000 if 0. Huge is made when huge@ is opened.
	Large, Small, Huge int
	// RedirectURIs of the program under demonstration; the port of a loopback host is not compared. Beside
	// each …/oauth/callback/… the one of administrator consent and, for the doctor's registration, its own
	// are known too.
	RedirectURIs                                 []string
	IssuerAddr, IMAPAddr, IMAPTLSAddr, GraphAddr string // 127.0.0.1:0 if empty
	TokenLife                                    time.Duration
	// ImageBase is where newsletters have their pictures; their senders' own domains if empty.
	ImageBase string
	Log       *slog.Logger
}

// World is the running servers with what is in them.
type World struct {
	Organization string
	Users        []User
	OtherUser    OtherUser
	People       []Person
	Plays        []Play
	Shared       string // an address that two candidates have
	Late         Person // has mail, and is not in People
	// SharedMailbox is an address without a person, which the first recruiter's token opens too.
	SharedMailbox string
	// ITAdmin may consent for the agency at the provider, and has no account in the portal and no mailbox.
	ITAdmin string
	// DoctorID and DoctorSecret are the registration that reads the directory.
	DoctorID, DoctorSecret string

	Issuer *issuer.Server
	IMAP   *imapd.Server
	Other  *imapd.Server
	Graph  *graph.Server // the agency's directory
	Post   *postbox.Server

	mu         sync.Mutex
	generators map[string]*generator
}

// OtherUser is an account at the server without OAuth.
type OtherUser struct {
	Address, Password, Host string
	Port                    int
}

// Start starts the servers. Mailboxes are made when they are first opened.
func Start(opts Options) (*World, error) {
	if opts.Seed == 0 {
		opts.Seed = 1
	}
	if opts.Now.IsZero() {
		opts.Now = time.Now()
	}
	opts.Now = opts.Now.Truncate(time.Second).UTC()
	for _, f := range []struct {
		v *int
		n int
	}{{&opts.Large, 5000}, {&opts.Small, 30}, {&opts.Huge, 20000}} {
		if *f.v == 0 {
			*f.v = f.n
		}
	}
	w := &World{
		Organization: Organization, Users: append([]User(nil), users...), People: numbered(), Shared: SharedAddress, Late: late,
		SharedMailbox: "vacatures@" + Domain, ITAdmin: "it@" + Domain,
		generators: map[string]*generator{},
	}
	if err := w.start(opts); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

func (w *World) start(opts Options) (err error) {
	w.Issuer, err = issuer.Start(issuer.Options{
		Addr: opts.IssuerAddr, Seed: opts.Seed, TokenLife: opts.TokenLife, Log: opts.Log, Domains: []string{Domain},
		RedirectURIs: slices.Concat(opts.RedirectURIs, callbacks(opts.RedirectURIs, "consent")), Scopes: mailScopes,
	})
	if err != nil {
		return err
	}
	w.registerDoctor(opts)
	w.IMAP, err = imapd.Start(imapd.Options{Addr: opts.IMAPAddr, TLSAddr: opts.IMAPTLSAddr, Check: w.check, Log: opts.Log})
	if err != nil {
		return err
	}
	if w.Post, err = postbox.Start(""); err != nil {
		return err
	}
	if w.Other, err = imapd.Start(imapd.Options{Dialect: imapd.Plain(), StartTLS: false, Log: opts.Log}); err != nil {
		return err
	}
	if err := w.addUsers(opts); err != nil {
		return err
	}
	if err := w.addParts(opts); err != nil {
		return err
	}
	if err := w.openDirectory(opts); err != nil {
		return err
	}
	w.addSwitches()
	return nil
}

// check is how the mail server judges a token: alive, with the scope, and of somebody who may open
// that mailbox. A genuine token for another mailbox signs in to nowhere, as at Exchange.
func (w *World) check(user, token string) imapd.Verdict {
	t, ok := w.Issuer.Introspect(token)
	if !ok {
		return imapd.Verdict{}
	}
	v := imapd.Verdict{OK: true, Expires: t.Expires}
	if t.Has(IMAPScope) && t.Account.Opens(user) {
		v.Mailbox = user
	}
	return v
}

func (w *World) addUsers(opts Options) error {
	type shape struct {
		names  folderNames
		others []string
		roles  bool
		n      int
		reach  time.Duration
	}
	day := 24 * time.Hour
	shapes := []shape{
		{englishNames, otherEnglish, true, opts.Large, span},
		{dutchNames, otherDutch, false, opts.Small, 60 * day},
		{folderNames{sent: "Sent Items", drafts: "Drafts", deleted: "Deleted Items", junk: "Junk Email", archive: "Archive"}, otherEnglish, true, 12, 30 * day},
	}
	for i, u := range w.Users {
		s := shapes[i]
		g := newGenerator(opts.Seed, opts.Now, u, s.names, opts.ImageBase)
		w.generators[strings.ToLower(u.Mailbox)] = g
		who := issuer.Account{Email: u.Email, Name: u.Name, Admin: u.Role == "administrator"}
		if i == 0 {
			who.Mailboxes = []string{w.SharedMailbox}
		}
		err := w.addMailbox(opts, who, nil, imapd.Faults{}, func() []imapd.Folder {
			g.fill(s.n, s.reach, i == 0)
			return g.tree(s.others, s.roles)
		})
		if err != nil {
			return err
		}
	}
	if err := w.Issuer.AddAccount(issuer.Account{Email: w.ITAdmin, Name: "Ilse Kramer (IT)", Admin: true}); err != nil {
		return err
	}
	return w.addOthers(opts)
}

// addOthers makes the shared mailbox, and an account at the old-school server.
func (w *World) addOthers(opts Options) error {
	u := User{Name: "Vacatures Havenlicht", Email: w.SharedMailbox, Role: "recruiter", Language: "nl"}
	shared := newGenerator(opts.Seed, opts.Now, u, englishNames, opts.ImageBase)
	w.generators[strings.ToLower(u.Email)] = shared
	if _, err := w.IMAP.AddAccount(imapd.AccountConfig{Address: u.Email, FirstUID: firstUID(opts), Fill: func() []imapd.Folder {
		shared.fill(60, 45*24*time.Hour, false)
		return shared.tree(otherEnglish, true)
	}}); err != nil {
		return err
	}
	u = User{Name: "Havenlicht Info", Email: "info@" + Domain, Role: "recruiter", Language: "nl"}
	g := newGenerator(opts.Seed, opts.Now, u, folderNames{sent: "Sent", drafts: "Drafts", deleted: "Trash", junk: "Spam", archive: "Archive"}, opts.ImageBase)
	host, port := splitAddr(w.Other.Addr())
	w.OtherUser = OtherUser{Address: u.Email, Password: "app-password-vuurtoren", Host: host, Port: port}
	_, err := w.Other.AddAccount(imapd.AccountConfig{Address: u.Email, Password: w.OtherUser.Password, FirstUID: firstUID(opts), Fill: func() []imapd.Folder {
		g.fill(40, 45*24*time.Hour, false)
		return g.tree(nil, false)
	}})
	return err
}

func (w *World) addParts(opts Options) error {
	for _, p := range parts() {
		address := p.name + "@" + Domain
		w.Plays = append(w.Plays, Play{Address: address, What: p.issuer.What})
		a := issuer.Account{Email: address, Name: p.title, Play: p.issuer}
		if p.none {
			if err := w.Issuer.AddAccount(a); err != nil {
				return err
			}
			continue
		}
		var aliases []string
		if p.issuer.Username != "" {
			a.Mailboxes, aliases = []string{p.issuer.Username}, []string{p.issuer.Username}
		}
		if err := w.addMailbox(opts, a, aliases, p.imap, func() []imapd.Folder {
			return fillPart(p, opts.Seed, opts.Now, opts.Huge, opts.ImageBase)
		}); err != nil {
			return err
		}
	}
	return nil
}

// addMailbox makes an account at the provider and its mailbox.
func (w *World) addMailbox(opts Options, who issuer.Account, aliases []string, faults imapd.Faults, fill func() []imapd.Folder) error {
	if err := w.Issuer.AddAccount(who); err != nil {
		return err
	}
	_, err := w.IMAP.AddAccount(imapd.AccountConfig{Address: who.Email, Aliases: aliases, Faults: faults, FirstUID: firstUID(opts), Fill: fill})
	return err
}

// firstUID of what arrives after the start. When the world is older than now, as after a restart
// with a kept Now, it grows with time, so that no UID is ever given twice.
func firstUID(opts Options) uint32 {
	age := time.Since(opts.Now)
	if age < 10*time.Second {
		return 0
	}
	return 100_000 + uint32(min(age/time.Second, 4_000_000_000))
}

// Warm makes the users' mailboxes now instead of at the first sign-in, which the large one would
// keep waiting for a second or so.
func (w *World) Warm() {
	for _, u := range w.Users {
		w.IMAP.Account(u.Mailbox).Open()
	}
}

// Close stops the servers.
func (w *World) Close() error {
	var err error
	if w.Issuer != nil {
		err = errors.Join(err, w.Issuer.Close())
	}
	if w.Post != nil {
		err = errors.Join(err, w.Post.Close())
	}
	if w.Graph != nil {
		err = errors.Join(err, w.Graph.Close())
	}
	if w.IMAP != nil {
		err = errors.Join(err, w.IMAP.Close())
	}
	if w.Other != nil {
		err = errors.Join(err, w.Other.Close())
	}
	return err
}

// PeopleCSV is the people file in the import format.
func (w *World) PeopleCSV() []byte { return peopleCSV(w.People) }

// Provider is the pretend tenant with its mail server in the clear, in the place of Microsoft.
func (w *World) Provider() mailroom.Provider {
	host, port := splitAddr(w.IMAP.Addr())
	return w.provider(mailroom.Endpoint{Host: host, Port: port, TLS: mailroom.PlainText})
}

// ProviderTLS is Provider with implicit TLS; trust w.IMAP.CAPool.
func (w *World) ProviderTLS() mailroom.Provider {
	host, port := splitAddr(w.IMAP.TLSAddr())
	return w.provider(mailroom.Endpoint{Host: host, Port: port, TLS: mailroom.ImplicitTLS})
}

func (w *World) provider(at mailroom.Endpoint) mailroom.Provider {
	return mailroom.Provider{
		ID: "microsoft", Name: "Outlook", Company: "Microsoft", Kind: mailroom.Outlook,
		Issuer: w.Issuer.Issuer(), AuthURL: w.Issuer.AuthURL(), TokenURL: w.Issuer.TokenURL(), JWKSURL: w.Issuer.JWKSURL(),
		ClientID: w.Issuer.ClientID, ClientSecret: w.Issuer.ClientSecret, TokenAuth: "post",
		Scopes:        slices.Clone(mailScopes),
		AuthParams:    map[string]string{"prompt": "select_account", "response_mode": "query"},
		SubjectClaims: []string{"tid", "oid"}, AddressClaims: []string{"preferred_username", "email", "upn"},
		IMAP: at, SASL: []string{"XOAUTH2"}, MaxConnections: 2, IdleSeconds: 540, RefreshDays: 90, Loopback: true,
		AdminConsentURL: w.Issuer.AdminConsentURL(),
		Directory: &mailroom.Directory{
			URL: w.Graph.URL(), ClientID: w.DoctorID, ClientSecret: w.DoctorSecret,
			Scopes: slices.Clone(directoryScopes), SelfScopes: slices.Clone(selfScopes), MailService: graph.MailService,
		},
	}
}

func splitAddr(addr string) (string, int) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		panic(fmt.Sprintf("world: %q is no listener's address", addr))
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		panic(fmt.Sprintf("world: %q is no listener's address", addr))
	}
	return host, n
}
