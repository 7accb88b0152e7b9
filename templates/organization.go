package templates

import (
	"fmt"
	"strings"

	"mailroom/internal/mailroom"
)

func actorName(p Page, e mailroom.AuditEvent, users map[string]mailroom.User) string {
	if e.ActorID == "" {
		return p.Text("audit.machine")
	}
	if u, ok := users[e.ActorID]; ok {
		return u.Name
	}
	return p.Text("audit.somebody")
}

// auditText is what was done; an action that no language knows is shown as it is.
func auditText(p Page, e mailroom.AuditEvent) string {
	if key := "audit.act." + e.Action; p.Has(key) {
		return p.Text(key)
	}
	return e.Action
}

// auditDetails is to what it was done: the details that a person can read.
func auditDetails(p Page, e mailroom.AuditEvent, users map[string]mailroom.User) string {
	var parts []string
	if u, ok := users[e.Subject]; ok && u.ID != e.ActorID {
		parts = append(parts, u.Name)
	}
	for _, name := range []string{"name", "address", "from", "email", "folder", "folders", "account", "provider", "host", "added"} {
		switch v := e.Details[name].(type) {
		case string:
			if v != "" {
				parts = append(parts, v)
			}
		case []string:
			parts = append(parts, p.List(v))
		case []any:
			words := make([]string, len(v))
			for i, w := range v {
				words[i] = fmt.Sprint(w)
			}
			parts = append(parts, p.List(words))
		}
	}
	return strings.Join(parts, " · ")
}
