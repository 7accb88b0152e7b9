package app

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"mailroom/internal/mailroom"
	"mailroom/internal/oauth"
	"mailroom/internal/vault"
)

// Config is everything that can be set, by flag or by environment variable. The
// tags are read by the command line; the zero value is not usable, Defaults is.
type Config struct {
	Addr     string `name:"addr" env:"MAILROOM_ADDR" default:"127.0.0.1:8080" help:"Address and port to listen on."`
	Data     string `name:"data" env:"MAILROOM_DATA" default:"data" help:"Folder for the database, raw mail and the key file." placeholder:"DIR"`
	Database string `name:"database" env:"MAILROOM_DATABASE" help:"postgres://… when several nodes share one; default is SQLite in the data folder." placeholder:"URL"`
	BaseURL  string `name:"base-url" env:"MAILROOM_BASE_URL" help:"Address under which browsers reach Mailroom, for redirect URIs; default is http://ADDR." placeholder:"URL"`

	Key     string `kong:"-"`
	KeyFile string `name:"key-file" env:"MAILROOM_KEY_FILE" help:"Key-encryption keys; made on first start, mode 0600. MAILROOM_KEY holds them instead of a file. Default is mailroom.key in the data folder." placeholder:"FILE"`

	ProvidersFile         string `name:"providers" env:"MAILROOM_PROVIDERS" help:"JSON file with OAuth providers beside, or over, the shipped ones." placeholder:"FILE"`
	MicrosoftClientID     string `name:"microsoft-client-id" env:"MAILROOM_MICROSOFT_CLIENT_ID" help:"Application (client) ID of the app registration in Entra." placeholder:"ID"`
	MicrosoftClientSecret string `kong:"-"`
	GoogleClientID        string `name:"google-client-id" env:"MAILROOM_GOOGLE_CLIENT_ID" help:"OAuth client ID of the Google Cloud project." placeholder:"ID"`
	GoogleClientSecret    string `kong:"-"`

	Telling

	CAFile            string        `name:"ca-file" env:"MAILROOM_CA_FILE" help:"Certificate authorities (PEM) to trust beside the system's, for mail servers and providers." placeholder:"FILE"`
	AllowPrivateHosts bool          `name:"allow-private-hosts" env:"MAILROOM_ALLOW_PRIVATE_HOSTS" help:"Let typed mail servers be on private addresses, for every organization."`
	TrustProxy        bool          `name:"trust-proxy" env:"MAILROOM_TRUST_PROXY" help:"Take browsers' addresses from X-Forwarded-For; only behind a proxy that sets it."`
	Poll              time.Duration `name:"poll" env:"MAILROOM_POLL" default:"60s" help:"How often folders are checked behind IDLE (5s to 1h)."`
	MaxMessage        int64         `name:"max-message-mb" env:"MAILROOM_MAX_MESSAGE_MB" default:"150" help:"Larger messages go to quarantine (1 to 2000)." placeholder:"MB"`
	MetricsToken      string        `kong:"-"`
	LogLevel          string        `name:"log-level" env:"MAILROOM_LOG_LEVEL" default:"info" help:"debug, info, warn or error."`
	LogFormat         string        `name:"log-format" env:"MAILROOM_LOG_FORMAT" default:"json" help:"json or text."`
	Node              string        `name:"node" env:"MAILROOM_NODE" help:"Name of this node among several; default is host name and process id." placeholder:"NAME"`

	// Providers are added by a program, not by a person: the demo's and tests' world.
	Providers mailroom.Providers `kong:"-"`
	// RootCAs replaces what CAFile gives.
	RootCAs *x509.CertPool `kong:"-"`
	// Log replaces the logger that LogLevel and LogFormat ask for.
	Log *slog.Logger `kong:"-"`
}

// Secret is a setting that is read from the environment only, so that it never
// stands in a process list.
type Secret struct{ Name, Help string }

// Secrets are all of them, for --help.
func Secrets() []Secret {
	var out []Secret
	for _, s := range (&Config{}).secrets() {
		out = append(out, s.Secret)
	}
	return out
}

type secret struct {
	Secret
	to *string
}

func (c *Config) secrets() []secret {
	return []secret{
		{Secret{"MAILROOM_KEY", "Key-encryption keys, instead of a key file."}, &c.Key},
		{Secret{"MAILROOM_MICROSOFT_CLIENT_SECRET", "Client secret of the app registration in Entra."}, &c.MicrosoftClientSecret},
		{Secret{"MAILROOM_GOOGLE_CLIENT_SECRET", "Client secret of the Google Cloud project."}, &c.GoogleClientSecret},
		{Secret{"MAILROOM_SMTP", "Mail server for notices, smtps://user:password@host:465 or smtp://user:password@host:587 (STARTTLS)."}, &c.SMTP},
		{Secret{"MAILROOM_WEBHOOK", "https address that is told of notices (Standard Webhooks)."}, &c.Webhook},
		{Secret{"MAILROOM_WEBHOOK_SECRET", "What its events are signed with: whsec_ and 24 to 64 bytes in base64; two with a space between while one takes the other's place."}, &c.WebhookSecret},
		{Secret{"MAILROOM_METRICS_TOKEN", "Bearer token for /metrics; without it only this machine may read them."}, &c.MetricsToken},
	}
}

// ReadSecrets takes the secrets from the environment.
func (c *Config) ReadSecrets(getenv func(string) string) {
	for _, s := range c.secrets() {
		if v := getenv(s.Name); v != "" {
			*s.to = v
		}
	}
}

// Check says everything that is wrong, each complaint naming its variable, and
// fills in what follows from other values.
func (c *Config) Check() error {
	var errs []error
	bad := func(name, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: "+format, append([]any{name}, args...)...))
	}
	host, port, err := net.SplitHostPort(c.Addr)
	if _, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil {
		bad("MAILROOM_ADDR", "%q is not an address with a port, such as 127.0.0.1:8080", c.Addr)
		host = "localhost" // the complaint is made
	} else if host == "" {
		bad("MAILROOM_ADDR", "%q names no address; write 0.0.0.0%s to listen on all of them", c.Addr, c.Addr)
		host = "localhost"
	}
	if c.Data == "" {
		bad("MAILROOM_DATA", "must name a folder")
	}
	if c.Database != "" && !strings.HasPrefix(c.Database, "postgres://") && !strings.HasPrefix(c.Database, "postgresql://") {
		bad("MAILROOM_DATABASE", "must begin with postgres:// (leave it empty for SQLite)")
	}
	if c.BaseURL == "" {
		c.BaseURL = "http://" + c.Addr
		if !isLocal(host) {
			bad("MAILROOM_BASE_URL", "must be set when others than this machine can reach %s: the https address that they use", c.Addr)
		}
	} else if u, err := url.Parse(c.BaseURL); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		bad("MAILROOM_BASE_URL", "%q is not an address such as https://mailroom.example.com", c.BaseURL)
	} else if u.Scheme == "http" && !isLocal(u.Hostname()) {
		bad("MAILROOM_BASE_URL", "must be https: sign-in cookies and permissions travel over it")
	}
	c.BaseURL = strings.TrimRight(c.BaseURL, "/")
	if c.Poll < 5*time.Second || c.Poll > time.Hour {
		bad("MAILROOM_POLL", "%s is not between 5s and 1h", c.Poll)
	}
	if c.MaxMessage < 1 || c.MaxMessage > 2000 {
		bad("MAILROOM_MAX_MESSAGE_MB", "%d is not between 1 and 2000", c.MaxMessage)
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		bad("MAILROOM_LOG_LEVEL", "%q is not debug, info, warn or error", c.LogLevel)
	}
	if c.LogFormat != "json" && c.LogFormat != "text" {
		bad("MAILROOM_LOG_FORMAT", "%q is not json or text", c.LogFormat)
	}
	if (c.MicrosoftClientID == "") != (c.MicrosoftClientSecret == "") {
		bad("MAILROOM_MICROSOFT_CLIENT_SECRET", "client ID and client secret go together")
	}
	if (c.GoogleClientID == "") != (c.GoogleClientSecret == "") {
		bad("MAILROOM_GOOGLE_CLIENT_SECRET", "client ID and client secret go together")
	}
	c.Telling.check(bad)
	if c.KeyFile == "" {
		c.KeyFile = filepath.Join(c.Data, "mailroom.key")
	}
	if c.Node == "" {
		name, _ := os.Hostname()
		c.Node = fmt.Sprintf("%s-%d-%s", name, os.Getpid(), mailroom.NewID("n")[2:10])
	}
	return errors.Join(errs...)
}

func isLocal(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (c *Config) logger() *slog.Logger {
	if c.Log != nil {
		return c.Log
	}
	var level slog.Level
	level.UnmarshalText([]byte(c.LogLevel))
	opts := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "text" {
		return slog.New(slog.NewTextHandler(os.Stderr, opts))
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, opts))
}

// providers are the shipped ones with the operator's credentials, those of the
// operator's file, and the program's.
func (c *Config) providers() (mailroom.Providers, error) {
	list := oauth.Shipped()
	for i := range list {
		switch list[i].ID {
		case "microsoft":
			list[i].ClientID, list[i].ClientSecret = c.MicrosoftClientID, c.MicrosoftClientSecret
			list[i].SecretExpires = c.microsoftSecretEnds()
		case "google":
			list[i].ClientID, list[i].ClientSecret = c.GoogleClientID, c.GoogleClientSecret
		}
	}
	if c.ProvidersFile != "" {
		var err error
		if list, err = oauth.LoadProviders(c.ProvidersFile, list); err != nil {
			return nil, fmt.Errorf("MAILROOM_PROVIDERS: %w", err)
		}
	}
	for _, p := range c.Providers {
		list = withProvider(list, p)
	}
	return list, nil
}

func withProvider(list mailroom.Providers, p mailroom.Provider) mailroom.Providers {
	for i := range list {
		if list[i].ID == p.ID {
			list[i] = p
			return list
		}
	}
	return append(list, p)
}

// keyring is the key-encryption keys; a key file that changes is picked up while
// the program runs.
func (c *Config) keyring(log *slog.Logger) (*vault.Keyring, error) {
	if c.Key != "" {
		k, err := vault.Parse(c.Key)
		if err != nil {
			return nil, fmt.Errorf("MAILROOM_KEY: %w", err)
		}
		return k, nil
	}
	k, err := vault.FollowFile(c.KeyFile, func(err error) { log.Error("the key file is not usable; the keys read before stay", "err", err) })
	if err != nil {
		return nil, fmt.Errorf("MAILROOM_KEY_FILE: %w", err)
	}
	return k, nil
}

// rootCAs is nil for the system's alone.
func (c *Config) rootCAs() (*x509.CertPool, error) {
	if c.RootCAs != nil || c.CAFile == "" {
		return c.RootCAs, nil
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("MAILROOM_CA_FILE: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("MAILROOM_CA_FILE: %s holds no certificate in PEM form", c.CAFile)
	}
	return pool, nil
}

// Defaults is the configuration of a program that is started without any.
func Defaults() Config {
	return Config{
		Addr: "127.0.0.1:8080", Data: "data", Poll: time.Minute, MaxMessage: 150, Telling: Telling{TellLater: 24 * time.Hour}, LogLevel: "info", LogFormat: "json",
	}
}
