package world

import (
	_ "embed"
	"strings"
)

// The threads are text files: a head "=== name candidate|client", subjects "S: ", and steps that begin with
// a line ">" (the other writes) or "<" (we write) and the names of attachments.
var (
	//go:embed threads_en.txt
	threadsEN string
	//go:embed threads_nl.txt
	threadsNL string
)

// script is a conversation in templates.
type script struct {
	name     string
	client   bool // with a client, else with a candidate
	subjects []string
	steps    []step
}

type step struct {
	ours   bool
	attach []string
	paras  []string
}

func parseScripts(text string) []script {
	var out []script
	var s *script
	var body []string
	flush := func() {
		if s != nil && len(s.steps) > 0 {
			last := &s.steps[len(s.steps)-1]
			for _, p := range strings.Split(strings.Join(body, "\n"), "\n\n") {
				if p = strings.TrimSpace(p); p != "" {
					last.paras = append(last.paras, p)
				}
			}
		}
		body = nil
	}
	for _, l := range strings.Split(text, "\n") {
		switch {
		case strings.HasPrefix(l, "=== "):
			flush()
			words := strings.Fields(l)
			out = append(out, script{name: words[1], client: words[2] == "client"})
			s = &out[len(out)-1]
		case strings.HasPrefix(l, "S: "):
			s.subjects = append(s.subjects, strings.TrimSpace(l[3:]))
		case l == ">" || l == "<" || strings.HasPrefix(l, "> ") || strings.HasPrefix(l, "< "):
			flush()
			s.steps = append(s.steps, step{ours: l[0] == '<', attach: strings.Fields(l[1:])})
		default:
			body = append(body, l)
		}
	}
	flush()
	return out
}
