package mailroom

import (
	"fmt"
	"strings"
	"testing"
)

func addrs(s string) []Address {
	var out []Address
	for _, a := range strings.Fields(s) {
		out = append(out, Address{Addr: a})
	}
	return out
}

func TestNormalAddress(t *testing.T) {
	for in, want := range map[string]string{
		"Anna.de.Vries@Example.COM":  "anna.de.vries@example.com",
		"  <a@b.example>  ":          "a@b.example",
		"mailto:A@b.example":         "a@b.example",
		"<mailto:a@b.example>\r\n":   "a@b.example",
		"a+jobs@b.example":           "a+jobs@b.example", // a tag may be another person
		"":                           "",
		"<>":                         "",
		"postmaster":                 "postmaster",
		"müller@bücher.example":      "müller@bücher.example",
		"\tmailto: x@y.example ":     "x@y.example",
		"MAILTO:Someone@Y.example> ": "someone@y.example",
	} {
		if got := NormalAddress(in); got != want {
			t.Errorf("%q → %q, want %q", in, got, want)
		}
	}
}

// Whom a mail belongs to: From of what came in, To, Cc and Bcc of what was sent.
func TestMatch(t *testing.T) {
	const owner = "Recruiter@Agency.example"
	holders := []Holder{
		{"anna@home.example", "per_anna"}, {"anna@work.example", "per_anna"},
		{"bob@client.example", "per_bob"},
		{"office@client.example", "per_bob"}, {"office@client.example", "per_carla"},
		{"recruiter@agency.example", "per_herself"},
		{"twice@x.example", "per_dave"}, {"twice@x.example", "per_dave"},
	}
	for _, c := range []struct {
		name, from, to, cc, bcc string
		want                    string // person/header/address, choices with "?"
	}{
		{"incoming, one person", "Anna@Home.example", owner, "", "", "per_anna/from/anna@home.example"},
		{"incoming, others in To do not count", "x@stranger.example", owner + " bob@client.example", "", "", ""},
		{"incoming, second address", "anna@work.example", owner, "", "", "per_anna/from/anna@work.example"},
		{"incoming, two authors", "anna@home.example bob@client.example", owner, "", "", "per_anna/from/anna@home.example per_bob/from/bob@client.example"},
		{"incoming, address of two persons", "office@client.example", owner, "", "", "?/from/office@client.example"},
		{"sent, To Cc and Bcc", owner, "anna@home.example", "bob@client.example", "office@client.example",
			"per_anna/to/anna@home.example per_bob/cc/bob@client.example ?/bcc/office@client.example"},
		{"sent, From in other case", strings.ToUpper(owner), "bob@client.example", "", "", "per_bob/to/bob@client.example"},
		{"sent, one person by two addresses links once", owner, "anna@home.example anna@work.example", "", "", "per_anna/to/anna@home.example"},
		{"sent, same address twice links once", owner, "bob@client.example", "Bob@Client.example", "", "per_bob/to/bob@client.example"},
		{"sent to oneself", owner, owner, "", "", ""},
		{"stranger", "x@stranger.example", owner, "", "", ""},
		{"no From", "", owner + " bob@client.example", "", "", ""},
		{"one person holding an address twice is one person", "twice@x.example", owner, "", "", "per_dave/from/twice@x.example"},
	} {
		m := Message{From: addrs(c.from), To: addrs(c.to), Cc: addrs(c.cc), Bcc: addrs(c.bcc)}
		got := Match(m, owner, holders)
		var parts []string
		for _, l := range got.Links {
			if l.Reason != ByAddress || l.MadeBy != "" {
				t.Errorf("%s: link says it was made by %q for %q", c.name, l.MadeBy, l.Reason)
			}
			parts = append(parts, fmt.Sprintf("%s/%s/%s", l.PersonID, l.Role, l.Address))
		}
		for _, l := range got.Choices {
			parts = append(parts, fmt.Sprintf("?%s/%s/%s", l.PersonID, l.Role, l.Address))
		}
		if s := strings.Join(parts, " "); s != c.want {
			t.Errorf("%s: %q, want %q", c.name, s, c.want)
		}
	}
}

// A mailbox without an address has sent nothing, not even mail without a From.
func TestIsSentWithoutOwner(t *testing.T) {
	if (Message{From: []Address{{Addr: ""}}}).IsSent("") {
		t.Error("a mail from nobody counts as sent by nobody")
	}
}
