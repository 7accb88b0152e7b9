package world

import (
	"slices"
	"strings"

	"mailroom/internal/pretend/graph"
	"mailroom/internal/pretend/imapd"
	"mailroom/internal/pretend/issuer"
)

// addSwitches puts on the provider's first page what goes wrong in the directory and at the mail server,
// where each has to say the same.
func (w *World) addSwitches() {
	sanne, thomas := w.Users[0], w.Users[1]
	for _, s := range []issuer.Switch{
		{ID: "users-consent", Label: "Users may let an application read their mail without an administrator", Get: w.Issuer.UsersConsent, Set: w.SetUsersConsent},
		{ID: "assigned", Label: thomas.Email + " is assigned to the application", Get: func() bool { return w.assigned(thomas.Email) }, Set: func(on bool) { w.Assign(thomas.Email, on) }},
		{ID: "licence", Label: sanne.Email + " has a licence with a mailbox", Get: func() bool { return w.licensed(sanne.Email) }, Set: func(on bool) { w.License(sanne.Email, on) }},
		w.faultSwitch("imap", "IMAP is switched off for "+thomas.Email, func(f *imapd.Faults) *bool { return &f.NotConnected }, thomas.Mailbox),
		w.faultSwitch("outage", "The mail server refuses everybody's sign-in", func(f *imapd.Faults) *bool { return &f.RefuseLogin }, w.mailboxes()...),
		{ID: "revoke", Label: sanne.Email + " takes permission back at the provider", Set: func(bool) { w.Issuer.RevokeAccount(sanne.Email) }},
	} {
		w.Issuer.AddSwitch(s)
	}
}

func (w *World) mailboxes() (out []string) {
	for _, u := range w.Users {
		out = append(out, u.Mailbox)
	}
	return out
}

// faultSwitch turns a fault of mailboxes on and off; what is signed in is dropped when it comes.
func (w *World) faultSwitch(id, label string, fault func(*imapd.Faults) *bool, addresses ...string) issuer.Switch {
	return issuer.Switch{ID: id, Label: label, Get: func() bool {
		f := w.IMAP.Account(addresses[0]).Faults()
		return *fault(&f)
	}, Set: func(on bool) {
		for _, address := range addresses {
			a := w.IMAP.Account(address)
			f := a.Faults()
			*fault(&f) = on
			a.SetFaults(f)
			if on {
				w.IMAP.DropConnections(address)
			}
		}
	}}
}

// SetUsersConsent says whether the agency's users may let Mailroom read their mail without an
// administrator. They may at first; false is what Microsoft's own policy says.
func (w *World) SetUsersConsent(may bool) {
	w.Issuer.SetUsersConsent(may)
	w.Graph.Change(func(t *graph.Tenant) {
		t.Policies = []string{graph.Recommended}
		if may {
			t.Policies = []string{graph.Legacy}
		}
	})
}

// Assign puts somebody on the application's list, or takes them off: the directory says so, and the
// provider refuses who is not on it.
func (w *World) Assign(email string, on bool) {
	w.Graph.Change(func(t *graph.Tenant) {
		g := &t.Groups[0]
		g.Members = slices.DeleteFunc(slices.Clone(g.Members), func(m string) bool { return strings.EqualFold(m, email) })
		if on {
			g.Members = append(g.Members, email)
		}
	})
	a, _ := w.Issuer.Account(email)
	a.Play.Consent = nil
	if !on {
		a.Play.Consent = unassigned()
	}
	w.Issuer.SetPlay(email, a.Play)
}

func (w *World) assigned(email string) (is bool) {
	w.Graph.Change(func(t *graph.Tenant) { is = slices.Contains(t.Groups[0].Members, email) })
	return is
}

// License gives somebody a licence with a mailbox, or leaves one without.
func (w *World) License(email string, on bool) {
	w.Graph.Change(func(t *graph.Tenant) {
		t.Users = slices.Clone(t.Users)
		if u := t.User(email); u != nil {
			u.Licences = []graph.Licence{graph.Basic()}
			if on {
				u.Licences = []graph.Licence{graph.Business()}
			}
		}
	})
	w.faultSwitch("", "", func(f *imapd.Faults) *bool { return &f.NotConnected }, email).Set(!on)
}

func (w *World) licensed(email string) (is bool) {
	w.Graph.Change(func(t *graph.Tenant) {
		u := t.User(email)
		is = u != nil && len(u.Licences) > 0 && len(u.Licences[0].Plans) > 1
	})
	return is
}
