package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"text/tabwriter"

	"mailroom/internal/app"
)

type keysCmd struct {
	List struct{} `cmd:"" help:"Show the key-encryption keys, what each still seals, and which processes use them."`
	Add  struct{} `cmd:"" help:"Add a key that waits: every process can open with it, none seals with it yet."`

	Rotate struct{} `cmd:"" help:"Seal with the key that was added, and seal everything again by it. Nothing stops meanwhile; cut off, call it again."`
	Drop   struct {
		ID string `arg:"" help:"Key to take out of the key file."`
	} `cmd:"" help:"Take a key out of the key file that is needed no more."`
}

func keys(ctx context.Context, tool *app.Tool, c *cli, command string) error {
	switch command {
	case "keys list":
		return listKeys(ctx, tool)
	case "keys add":
		return addKey(tool)
	case "keys rotate":
		return tool.RotateKeys(ctx, func(format string, args ...any) { fmt.Printf(format+"\n", args...) })
	}
	err := tool.DropKey(ctx, c.Keys.Drop.ID)
	if err == nil {
		fmt.Println("dropped", c.Keys.Drop.ID)
	}
	return err
}

func addKey(tool *app.Tool) error {
	id, line, err := tool.AddKey()
	if err != nil {
		return err
	}
	if line != "" {
		fmt.Fprintln(os.Stderr, "The keys stand in MAILROOM_KEY. Add this one there, behind a comma, and start Mailroom again on every node:")
		fmt.Println(line)
		return nil
	}
	fmt.Printf("added %s, which waits. Bring the key file to every node, then call `mailroom keys rotate`.\n", id)
	return nil
}

func listKeys(ctx context.Context, tool *app.Tool) error {
	s, err := tool.Keys(ctx)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KEY\tMADE\tSEALS\t")
	here := map[string]bool{}
	unused := s.Unused()
	for _, k := range s.Keys {
		here[k.ID] = true
		made, use := "?", "opens what it sealed"
		if !k.Made.IsZero() {
			made = k.Made.Format("2006-01-02")
		}
		switch {
		case k.Seals:
			use = "seals"
		case k.Waiting:
			use = "waits for `mailroom keys rotate`"
		case slices.Contains(unused, k.ID):
			use = "needed no more"
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", k.ID, made, s.Seals[k.ID], use)
	}
	var lost []string
	for id := range s.Seals {
		if !here[id] {
			lost = append(lost, id)
		}
	}
	slices.Sort(lost)
	for _, id := range lost {
		fmt.Fprintf(w, "%s\t?\t%d\tIS NOT HERE: what it sealed does not open\n", id, s.Seals[id])
	}
	for _, n := range s.Nodes {
		fmt.Fprintf(w, "process %s\tseals with %s", n.Node, n.Newest)
		if lacks := len(s.Keys) - len(n.Known); lacks > 0 {
			fmt.Fprintf(w, " and lacks %d of these keys", lacks)
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}
