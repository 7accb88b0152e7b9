// Command demo runs Mailroom inside a pretend world: an OAuth provider, a mail
// server that behaves like Exchange Online, people and mail, all on loopback
// and all made up. It needs nothing but Go.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/sync/errgroup"

	"mailroom/internal/app"
	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
	"mailroom/internal/pretend/postbox"
	"mailroom/internal/pretend/world"
)

type options struct {
	Addr    string        `default:"127.0.0.1:8080" env:"MAILROOM_ADDR" help:"Address and port of the portal, on loopback."`
	Data    string        `help:"Folder to keep; without it everything is gone at Ctrl-C." placeholder:"DIR"`
	Seed    uint64        `default:"1" help:"Other people and other mail."`
	Every   time.Duration `default:"3m" help:"How often new mail arrives."`
	Verbose bool          `help:"Show the log."`
}

func main() {
	var o options
	kong.Parse(&o, kong.Name("demo"), kong.Description("Mailroom in a pretend world, on loopback."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
	fmt.Println("Stopped.")
}

func run(ctx context.Context, o options) error {
	host, _, err := net.SplitHostPort(o.Addr)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("--addr must be on loopback, such as 127.0.0.1:8080: this world's passwords are public")
	}
	if o.Data == "" {
		if o.Data, err = os.MkdirTemp("", "mailroom-demo-"); err != nil {
			return err
		}
		defer os.RemoveAll(o.Data)
	}
	began, err := beginning(o.Data)
	if err != nil {
		return err
	}
	log := slog.New(slog.DiscardHandler)
	if o.Verbose {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
	}
	w, err := world.Start(world.Options{
		Seed: o.Seed, Now: began, Log: log, RedirectURIs: []string{"http://" + o.Addr + "/oauth/callback/microsoft"},
	})
	if err != nil {
		return err
	}
	defer w.Close()

	cfg := app.Defaults()
	cfg.Addr, cfg.Data, cfg.Log = o.Addr, o.Data, log
	p := w.Provider()
	p.SecretExpires = began.AddDate(0, 0, 25) // so that there is something to see under "What will break"
	cfg.Providers = mailroom.Providers{p}
	cfg.SMTP, cfg.MailFrom = w.Post.URL(), "mailroom@"+world.Domain
	w.Post.Tell(func(m postbox.Mail) { fmt.Printf("\nMail to %s: %s\n%s\n", m.To, m.Subject, m.Text) })
	cfg.AllowPrivateHosts = true // its other mail server is on loopback too
	a, err := app.New(ctx, cfg)
	if err != nil {
		return err
	}
	if err := settle(ctx, a, w); err != nil {
		a.Close()
		return err
	}
	tell(a.URL(), o, w)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.Run(ctx) })
	g.Go(func() error { return w.RunArrivals(ctx, 20*time.Second, o.Every) })
	return g.Wait()
}

// beginning is when this world was made: a kept folder goes on where it was, so
// that the mail server shows the same mail under the same UIDs.
func beginning(data string) (time.Time, error) {
	file := filepath.Join(data, "demo.json")
	var kept struct{ Began time.Time }
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &kept) // before kept is read: the order within one return is not fixed
		return kept.Began, err
	}
	if !errors.Is(err, os.ErrNotExist) {
		return time.Time{}, err
	}
	kept.Began = time.Now().Truncate(time.Second)
	if err := os.MkdirAll(data, 0o700); err != nil {
		return time.Time{}, err
	}
	b, err = json.Marshal(kept)
	if err != nil {
		return time.Time{}, err
	}
	return kept.Began, os.WriteFile(file, b, 0o600)
}

// settle makes the organization, its users and people, once.
func settle(ctx context.Context, a *app.App, w *world.World) error {
	token, err := a.Portal.SetupToken(ctx)
	if err != nil || token == "" {
		return err
	}
	var admin world.User
	for _, u := range w.Users {
		if u.Role == string(mailroom.Administrator) {
			admin = u
		}
	}
	boss, err := a.Portal.Setup(ctx, token, portal.SetupForm{Organization: w.Organization, Name: admin.Name, Email: admin.Email, Password: admin.Password})
	if err != nil {
		return err
	}
	for _, u := range w.Users {
		if u.Email == admin.Email {
			continue
		}
		added, _, err := a.Portal.AddUser(ctx, boss, portal.UserForm{Email: u.Email, Name: u.Name, Role: mailroom.Role(u.Role)})
		if err != nil {
			return err
		}
		if err := a.Portal.SetPassword(ctx, boss, added.ID, u.Password); err != nil {
			return err
		}
	}
	_, err = a.Portal.ImportPeople(ctx, boss, bytes.NewReader(w.PeopleCSV()))
	return err
}

func tell(url string, o options, w *world.World) {
	fmt.Printf("\nMailroom is at %s\n\nSign in as\n", url)
	for _, u := range w.Users {
		fmt.Printf("  %-14s %-36s password %s\n", u.Role, u.Email, u.Password)
	}
	fmt.Printf("\nThen: Settings > Integrations, your address as IMAP username, Outlook, Grant Permission,\nand map your folders. New mail arrives after 20 seconds, then every %s.\n", o.Every)
	fmt.Printf("\nWhere an administrator must agree first:\n"+
		"  1. IMAP username needs-admin@%s, Outlook, Grant Permission, and choose that account: you are refused.\n"+
		"  2. Ask your administrator: make the link, and open it in a private window, as somebody in IT would.\n"+
		"  3. Go on to the provider, choose %s, Accept.\n"+
		"  4. Back in the first window: Grant Permission works now, and the link's page turns green by itself.\n", world.Domain, w.ITAdmin)
	fmt.Printf("\nA shared mailbox: %s as IMAP username, and grant as %s.\n", w.SharedMailbox, w.Users[0].Email)
	fmt.Printf("\nThe doctor is under Settings, Administration; let it look as %s.\n", w.ITAdmin)
	fmt.Println("\nWhat Mailroom mails to people is shown here; Settings > What will break sends a test.")
	fmt.Printf("\nSwitches (provider down, secret expired, IMAP off, taken off the list, no licence, …): %s/\n", w.Issuer.URL())
	fmt.Printf("\nAn account for \"Other\": %s, app password %s, server %s port %d, no encryption.\n",
		w.OtherUser.Address, w.OtherUser.Password, w.OtherUser.Host, w.OtherUser.Port)
	if len(w.Plays) > 0 {
		fmt.Println("\nIMAP usernames that go wrong on purpose:")
		for _, p := range w.Plays {
			fmt.Printf("  %-36s %s\n", p.Address, p.What)
		}
	}
	fmt.Println("\nCtrl-C stops it.")
}
