package imapd

// Dialect is the manner of a kind of server, as data.
type Dialect struct {
	Name     string
	Greeting string // text after "* OK "

	// CapsBefore and CapsAfter are the capability lines before and after sign-in. They are
	// announced as they stand; what a capability promises must be switched on below.
	CapsBefore string
	CapsAfter  string

	// Mechanisms that AUTHENTICATE takes: XOAUTH2, OAUTHBEARER, PLAIN.
	Mechanisms []string
	// Login allows the LOGIN command.
	Login bool
	// RefusalJSON: a refused token is answered with a challenge that holds a JSON object, and only
	// after the client's empty answer with a tagged NO (RFC 7628 3.2.3). Exchange says NO at once.
	RefusalJSON bool
	RefusalText string

	Delimiter string
	// Roles announces RFC 6154 attributes in LIST, whether or not SPECIAL-USE is in the caps.
	Roles bool

	Condstore  bool // RFC 7162, without QRESYNC
	ESearch    bool // RFC 4731
	ESearches  bool // answers each SEARCH by ESEARCH, as RFC 9051 has it, asked for or not
	ListStatus bool // RFC 5819
	GmailExt   bool // X-GM-EXT-1
	ObjectID   bool // RFC 8474
	Enable     bool

	// FlatSearch refuses parentheses inside SEARCH, as Exchange does.
	FlatSearch bool
	// NoLsub refuses LSUB.
	NoLsub bool
	// MaxCommand is the longest command in bytes, literals included; 0 means 1 MiB.
	MaxCommand int
	// MaxBad ends the connection after that many bad commands; 0 means never.
	MaxBad int
	// SizeError is added to every RFC822.SIZE: at Exchange the size is an estimate.
	SizeError int
	// ByeText is what LOGOUT and forced ends say.
	ByeText string
}

// Exchange is Exchange Online as measured in autumn 2026: no CONDSTORE, no ESEARCH, no SPECIAL-USE
// announcement (though LIST shows roles), no OAUTHBEARER, no ENABLE.
func Exchange() Dialect {
	return Dialect{
		Name:     "exchange",
		Greeting: "The pretend Exchange IMAP4 service is ready. [UABSAEUAVABFAE4ARAA=]",
		CapsBefore: "IMAP4 IMAP4rev1 AUTH=XOAUTH2 LOGINDISABLED SASL-IR UIDPLUS MOVE ID UNSELECT CHILDREN " +
			"IDLE NAMESPACE LITERAL+",
		CapsAfter: "IMAP4 IMAP4rev1 AUTH=XOAUTH2 LOGINDISABLED SASL-IR UIDPLUS MOVE ID UNSELECT " +
			"CLIENTACCESSRULES CLIENTNETWORKPRESENCELOCATION BACKENDAUTHENTICATE CHILDREN IDLE NAMESPACE LITERAL+",
		Mechanisms:  []string{"XOAUTH2"},
		RefusalText: "AUTHENTICATE failed.",
		Delimiter:   "/",
		Roles:       true,
		FlatSearch:  true,
		MaxCommand:  10240,
		MaxBad:      10,
		SizeError:   37,
		ByeText:     "Pretend Exchange Server IMAP4 server signing off.",
	}
}

// Gmail is Gmail-like: one message per label set, X-GM-EXT-1, CONDSTORE, LIST-STATUS, both bearer
// mechanisms, and a JSON challenge for a refused token.
func Gmail() Dialect {
	return Dialect{
		Name:       "gmail",
		Greeting:   "Pretend Gimap ready for requests",
		CapsBefore: "IMAP4rev1 UNSELECT IDLE NAMESPACE ID CHILDREN X-GM-EXT-1 SASL-IR AUTH=XOAUTH2 AUTH=PLAIN AUTH=OAUTHBEARER",
		CapsAfter: "IMAP4rev1 UNSELECT IDLE NAMESPACE ID CHILDREN X-GM-EXT-1 UIDPLUS ENABLE MOVE CONDSTORE " +
			"ESEARCH LIST-STATUS LITERAL- SPECIAL-USE APPENDLIMIT=35651584",
		Mechanisms:  []string{"XOAUTH2", "OAUTHBEARER", "PLAIN"},
		Login:       true,
		RefusalJSON: true,
		RefusalText: "[AUTHENTICATIONFAILED] Invalid credentials (Failure)",
		Delimiter:   "/",
		Roles:       true,
		Condstore:   true,
		ESearch:     true,
		ListStatus:  true,
		GmailExt:    true,
		Enable:      true,
		ByeText:     "LOGOUT Requested",
	}
}

// Plain is a small server of the old school for "Other IMAP server" with an app password: dots
// between folder names, no roles, no extensions but IDLE and NAMESPACE.
func Plain() Dialect {
	return Dialect{
		Name:        "plain",
		Greeting:    "Pretend mail server ready",
		CapsBefore:  "IMAP4rev1 LITERAL+ SASL-IR ID IDLE AUTH=PLAIN",
		CapsAfter:   "IMAP4rev1 LITERAL+ SASL-IR ID IDLE NAMESPACE UIDPLUS UNSELECT CHILDREN",
		Mechanisms:  []string{"PLAIN"},
		Login:       true,
		RefusalText: "[AUTHENTICATIONFAILED] Authentication failed.",
		Delimiter:   ".",
		ByeText:     "Logging out",
	}
}
