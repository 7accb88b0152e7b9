package storetest

import (
	"fmt"
	"slices"
	"testing"

	"mailroom/internal/mailroom"
)

// people are the names of those linked to the recruiter's mail of a subject.
func (w World) people(t testing.TB, subject string) []string {
	t.Helper()
	out := []string{}
	for _, l := range w.lines(t, mailroom.MailFilter{}) {
		if l.Message.Subject == subject {
			for _, p := range l.People {
				out = append(out, p.Person.Name+" "+string(p.Link.Reason))
			}
		}
	}
	return out
}

func (w World) linkedTo(t testing.TB, subject string, want ...string) {
	t.Helper()
	if v := w.people(t, subject); !slices.Equal(v, append([]string{}, want...)) {
		t.Fatalf("%q is linked to %v, want %v", subject, v, want)
	}
}

func (w World) id(t testing.TB, subject string) string {
	t.Helper()
	for _, l := range w.lines(t, mailroom.MailFilter{}) {
		if l.Message.Subject == subject {
			return l.Message.ID
		}
	}
	t.Fatalf("no mail %q", subject)
	return ""
}

func (w World) person(name string, addresses ...string) mailroom.Person {
	return mailroom.Person{ID: mailroom.NewID(mailroom.PrefixPerson), OrgID: w.OrgID, Kind: mailroom.Candidate, Name: name, Addresses: addresses}
}

func testLinkByHand(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	eva := w.AddPerson(t, "Eva", "eva@klant.example")
	bob := w.AddPerson(t, "Bob")
	m := w.Mail(1, "eva@klant.example", "Hello", "x")
	w.file(t, w.Inbox, m)
	id := w.id(t, "Hello")
	w.linkedTo(t, "Hello", "Eva address")

	must(t, s.Link(ctx, w.OrgID, id, bob, w.act("link.made")))
	w.audited(t, "link.made")
	w.linkedTo(t, "Hello", "Bob hand", "Eva address")

	must(t, s.Unlink(ctx, w.OrgID, id, eva, w.act("link.removed")))
	w.linkedTo(t, "Hello", "Bob hand")
	refused(t, s.Unlink(ctx, w.OrgID, id, eva, w.act("link.removed")), mailroom.NotFound, "error.not_found")

	// The machine does not undo it: not with another copy, not when the address
	// is given again.
	m.Placement.UID = 2
	w.file(t, w.Inbox, m)
	got(s.SavePerson(ctx, mailroom.Person{ID: eva, OrgID: w.OrgID, Kind: mailroom.Candidate, Name: "Eva"}, w.act("person.saved")))
	got(s.SavePerson(ctx, mailroom.Person{ID: eva, OrgID: w.OrgID, Kind: mailroom.Candidate, Name: "Eva", Addresses: []string{"eva@klant.example"}}, w.act("person.saved")))
	w.linkedTo(t, "Hello", "Bob hand")

	// A person does.
	must(t, s.Link(ctx, w.OrgID, id, eva, w.act("link.made")))
	w.linkedTo(t, "Hello", "Bob hand", "Eva hand")
	if l := w.lines(t, mailroom.MailFilter{})[0].People[1].Link; l.Address != "eva@klant.example" || l.Role != mailroom.RoleFrom || l.MadeBy != w.UserID {
		t.Fatalf("linked by hand as %+v", l)
	}

	other := Seed(t, s)
	foreign := other.AddPerson(t, "Foreign")
	refused(t, s.Link(ctx, w.OrgID, id, foreign, w.act("link.made")), mailroom.NotFound, "error.not_found")
	refused(t, s.Link(ctx, other.OrgID, id, foreign, other.act("link.made")), mailroom.NotFound, "error.not_found")
	refused(t, s.Unlink(ctx, other.OrgID, id, eva, other.act("x")), mailroom.NotFound, "error.not_found")
}

func testChoices(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	ann := w.AddPerson(t, "Ann", "info@klant.example")
	w.AddPerson(t, "Bob", "info@klant.example")
	eva := w.AddPerson(t, "Eva", "eva@klant.example")
	for i := range 3 {
		w.file(t, w.Inbox, w.Mail(uint32(i+1), "info@klant.example", fmt.Sprintf("Ask %d", i), "x"))
	}
	w.linkedTo(t, "Ask 0")
	cs := got(s.WaitingChoices(ctx, w.OrgID, w.UserID, 10))
	if len(cs) != 1 || cs[0].Message.Subject != "Ask 2" || cs[0].Others != 2 || len(cs[0].Candidates) != 2 {
		t.Fatalf("waiting: %+v", cs)
	}
	if n, _, err := s.Waiting(ctx, w.OrgID, w.UserID); n != 3 || err != nil {
		t.Fatalf("%d wait, %v", n, err)
	}
	decide := func(w World, subject, person string) error {
		_, err := s.Decide(ctx, mailroom.ChoiceDecision{OrgID: w.OrgID, UserID: w.UserID, MessageID: subject, Address: "info@klant.example", PersonID: person}, w.act("choice.decided"))
		return err
	}
	colleague := w.AddRecruiter(t)
	refused(t, decide(colleague, w.id(t, "Ask 0"), ann), mailroom.NotFound, "error.not_found")
	if cs := got(s.WaitingChoices(ctx, w.OrgID, colleague.UserID, 10)); len(cs) != 0 {
		t.Fatalf("a colleague is asked about another's mail: %+v", cs)
	}
	refused(t, decide(w, w.id(t, "Ask 0"), eva), mailroom.Invalid, "choice.error.not_candidate")
	must(t, decide(w, w.id(t, "Ask 0"), ann))
	w.audited(t, "choice.decided")
	w.linkedTo(t, "Ask 0", "Ann hand")
	refused(t, decide(w, w.id(t, "Ask 0"), ann), mailroom.Conflict, "choice.error.decided")

	// None of them: not asked again, and not linked when one is left.
	must(t, decide(w, w.id(t, "Ask 1"), ""))
	// Linking by hand answers the question, too.
	must(t, s.Link(ctx, w.OrgID, w.id(t, "Ask 2"), ann, w.act("link.made")))
	if cs := got(s.WaitingChoices(ctx, w.OrgID, w.UserID, 10)); len(cs) != 0 {
		t.Fatalf("still waiting: %+v", cs)
	}
	must(t, s.DeletePerson(ctx, w.OrgID, ann, w.act("person.deleted")))
	w.linkedTo(t, "Ask 1")
	w.linkedTo(t, "Ask 0")
}

func testChoiceOfAll(t *testing.T, w World) {
	ctx, s := t.Context(), w.Store
	w.AddPerson(t, "Ann", "info@klant.example")
	bob := w.AddPerson(t, "Bob", "info@klant.example")
	for i := range 3 {
		w.file(t, w.Inbox, w.Mail(uint32(i+1), "info@klant.example", fmt.Sprintf("Ask %d", i), "x"))
	}
	colleague := w.AddRecruiter(t)
	colleague.file(t, colleague.Inbox, colleague.Mail(1, "info@klant.example", "Not mine", "x"))
	n := got(s.Decide(ctx, mailroom.ChoiceDecision{OrgID: w.OrgID, UserID: w.UserID, MessageID: w.id(t, "Ask 1"), Address: "info@klant.example",
		PersonID: bob, All: true}, w.act("choice.decided")))
	if n != 3 {
		t.Fatalf("decided %d", n)
	}
	for i := range 3 {
		w.linkedTo(t, fmt.Sprintf("Ask %d", i), "Bob hand")
	}
	if cs := got(s.WaitingChoices(ctx, w.OrgID, colleague.UserID, 10)); len(cs) != 1 {
		t.Fatalf("a colleague's question was answered along: %+v", cs)
	}
}
