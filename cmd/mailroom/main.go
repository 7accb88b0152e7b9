// Command mailroom runs Mailroom: the portal and its syncer in one process.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"mailroom/internal/app"
	"mailroom/internal/mailroom"
)

type cli struct {
	app.Config

	Serve   struct{}  `cmd:"" default:"1" help:"Run the portal and the syncer; the default."`
	Migrate struct{}  `cmd:"" help:"Bring the database to this version and stop."`
	Users   usersCmd  `cmd:"" help:"Manage the people who sign in."`
	People  peopleCmd `cmd:"" help:"Manage candidates and contact persons."`
	Keys    keysCmd   `cmd:"" help:"Manage the keys that seal tokens, passwords and client secrets."`
}

type usersCmd struct {
	Add struct {
		Email string `arg:"" help:"Mail address to sign in with."`
		Name  string `required:"" help:"Full name."`
		Role  string `default:"recruiter" enum:"recruiter,administrator" help:"recruiter or administrator."`
		where
	} `cmd:"" help:"Add a user; prints a first password."`
	Role struct {
		Email string `arg:""`
		Role  string `arg:"" enum:"recruiter,administrator"`
	} `cmd:"" help:"Make a user recruiter or administrator."`
	Disable struct {
		Email string `arg:""`
		Undo  bool   `help:"Let the user in again."`
	} `cmd:"" help:"Keep a user out; stops the sync of their mailbox."`
	Password struct {
		Email string `arg:""`
		Stdin bool   `help:"Read the new password from standard input instead of making one."`
	} `cmd:"" help:"Give a user a new password and sign them out everywhere."`
}

type peopleCmd struct {
	Import struct {
		File string `arg:"" type:"existingfile" help:"CSV with a header row: kind, name, emails, company, reference."`
		where
	} `cmd:"" help:"Import candidates and contact persons; running it twice changes nothing."`
}

type where struct {
	Organization string `help:"Name of the organization; needed only if there are several." placeholder:"NAME"`
}

func main() {
	var c cli
	parser := kong.Must(&c, kong.Name("mailroom"), kong.Help(printHelp),
		kong.Description("Connects recruiters' mailboxes to OTYS. Without a command it serves."))
	k, err := parser.Parse(os.Args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "mailroom: %v\n%s\n", err, hint(err))
		os.Exit(misused)
	}
	c.ReadSecrets(os.Getenv)
	surviveFileLimit()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks for an orderly end, the second one ends.
	context.AfterFunc(ctx, stop)
	defer stop()
	if err := run(ctx, &c, k.Command()); err != nil {
		fmt.Fprintln(os.Stderr, explain(err))
		os.Exit(1)
	}
}

// misused is the exit code for a command line that makes no sense.
const misused = 2

// hint says where to read on about the command that was meant.
func hint(err error) string {
	var p *kong.ParseError
	name := "mailroom"
	if errors.As(err, &p) && p.Context != nil {
		if cmd := p.Context.Selected(); cmd != nil && cmd.Name != "serve" {
			name += " " + cmd.Path()
		}
	}
	return "`" + name + " --help` shows how it is used."
}

// explain puts an error that was written for people into words; what an
// operator needs beside them follows.
func explain(err error) string {
	var e *mailroom.Error
	if !errors.As(err, &e) {
		return "mailroom: " + err.Error()
	}
	where, _, _ := strings.Cut(err.Error(), e.Error())
	text := "mailroom: " + where + app.Words(e)
	if e.Err != nil {
		text += "\n  " + e.Err.Error()
	}
	return text
}

func run(ctx context.Context, c *cli, command string) error {
	if err := c.Config.Check(); err != nil {
		return fmt.Errorf("the configuration is not usable:\n%w", err)
	}
	if command == "serve" {
		return app.Run(ctx, c.Config, os.Stdout)
	}
	tool, err := app.OpenTool(ctx, c.Config)
	if err != nil {
		return err
	}
	defer tool.Close()
	switch command {
	case "migrate":
		for _, name := range tool.Applied {
			fmt.Println("applied", name)
		}
		fmt.Println("the database is up to date")
		return nil
	case "users add <email>":
		a := c.Users.Add
		password, err := tool.AddUser(ctx, a.Organization, a.Email, a.Name, mailroom.Role(a.Role))
		if err == nil {
			fmt.Printf("added %s; first password: %s\n", a.Email, password)
		}
		return err
	case "users role <email> <role>":
		return tool.ChangeRole(ctx, c.Users.Role.Email, mailroom.Role(c.Users.Role.Role))
	case "users disable <email>":
		return tool.Disable(ctx, c.Users.Disable.Email, !c.Users.Disable.Undo)
	case "users password <email>":
		return newPassword(ctx, tool, c)
	case "people import <file>":
		return importPeople(ctx, tool, c)
	case "keys list", "keys add", "keys rotate", "keys drop <id>":
		return keys(ctx, tool, c, command)
	}
	return fmt.Errorf("unknown command %q", command)
}

func newPassword(ctx context.Context, tool *app.Tool, c *cli) error {
	typed := ""
	if c.Users.Password.Stdin {
		line, err := bufio.NewReader(os.Stdin).ReadString('\n')
		if typed = strings.TrimRight(line, "\r\n"); typed == "" {
			return fmt.Errorf("no password on standard input: %w", err)
		}
	}
	password, err := tool.SetPassword(ctx, c.Users.Password.Email, typed)
	if err == nil && typed == "" {
		fmt.Println("new password:", password)
	}
	return err
}

func importPeople(ctx context.Context, tool *app.Tool, c *cli) error {
	f, err := os.Open(c.People.Import.File)
	if err != nil {
		return err
	}
	defer f.Close()
	report, err := tool.ImportPeople(ctx, c.People.Import.Organization, f)
	if err != nil {
		return err
	}
	for _, b := range report.Bad {
		fmt.Fprintf(os.Stderr, "line %d: %s\n", b.Line, app.Words(b.Problem))
	}
	fmt.Printf("%d added, %d updated, %d unchanged, %d not imported; %d messages linked\n",
		report.Added, report.Updated, report.Unchanged, len(report.Bad), report.Linked)
	if len(report.Bad) > 0 {
		return fmt.Errorf("%d rows were not imported", len(report.Bad))
	}
	return nil
}
