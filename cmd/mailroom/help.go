package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"

	"mailroom/internal/app"
)

// printHelp writes help that fits a terminal of 80 columns: one table of all
// settings for the program, and only what is its own for a command. The parser's
// own help repeats every setting under every command, and knows no secrets.
func printHelp(_ kong.HelpOptions, ctx *kong.Context) error {
	w := ctx.Stdout
	cmd := ctx.Selected()
	if cmd == nil || cmd.Name == "serve" {
		helpProgram(w, ctx.Model)
		return nil
	}
	fmt.Fprintf(w, "Usage: mailroom %s\n\n%s\n", cmd.Summary(), cmd.Help)
	if len(cmd.Children) > 0 {
		fmt.Fprintln(w)
		helpCommands(w, cmd.Leaves(true))
	}
	if len(cmd.Positional) > 0 {
		fmt.Fprint(w, "\nArguments:\n")
		for _, p := range cmd.Positional {
			entry(w, p.Summary(), "", p.Help)
		}
	}
	if len(cmd.Flags) > 0 {
		fmt.Fprint(w, "\nFlags:\n")
		for _, f := range cmd.Flags {
			entry(w, flagName(f), "", f.Help)
		}
	}
	fmt.Fprint(w, "\nIt works on the database of --data or --database, while Mailroom runs or not.\n`mailroom --help` shows all settings.\n")
	return nil
}

func helpProgram(w io.Writer, m *kong.Application) {
	fmt.Fprintf(w, "Usage: mailroom [command] [flags]\n\n%s\n\n", m.Help)
	helpCommands(w, m.Leaves(true))
	fmt.Fprint(w, "\nSettings, by flag or by environment variable; the flag wins:\n")
	for _, f := range m.Flags {
		if len(f.Envs) > 0 {
			entry(w, flagName(f), f.Envs[0], f.Help)
		}
	}
	for _, s := range app.Secrets() {
		entry(w, "(a secret: no flag)", s.Name, s.Help)
	}
	fmt.Fprint(w, "\n`mailroom COMMAND --help` tells more of a command.\n")
}

func helpCommands(w io.Writer, cmds []*kong.Node) {
	fmt.Fprintln(w, "Commands:")
	for _, c := range cmds {
		entry(w, strings.TrimSuffix(c.Summary(), " [flags]"), "", c.Help)
	}
}

// entry is one row of a table: a name, perhaps a second one, and what it means
// in the line below.
func entry(w io.Writer, name, second, help string) {
	fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("  %-33s %s", name, second), " "))
	line := "     "
	for word := range strings.FieldsSeq(help) {
		if len(line)+1+len(word) > 80 {
			fmt.Fprintln(w, line)
			line = "     "
		}
		line += " " + word
	}
	if strings.TrimSpace(line) != "" {
		fmt.Fprintln(w, line)
	}
}

func flagName(f *kong.Flag) string {
	switch {
	case f.IsBool():
		return "--" + f.Name
	case f.HasDefault:
		return "--" + f.Name + "=" + f.Default
	case f.PlaceHolder != "":
		return "--" + f.Name + "=" + f.PlaceHolder
	}
	return "--" + f.Name + "=" + strings.ToUpper(f.Name)
}
