package access_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mailroom/internal/access"
	"mailroom/internal/mailroom"
	"mailroom/internal/store/storetest"
)

const login = "a.berg@corp.example" // the account that granted

// sight is what each address shows at a played mail server.
type sight struct {
	mu     sync.Mutex
	shows  map[string]mailroom.MailboxLook
	fails  map[string]error
	asked  []string
	tokens []string
}

func (s *sight) look(_ context.Context, _ mailroom.Provider, mailboxID, token, user string) (mailroom.MailboxLook, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked, s.tokens = append(s.asked, strings.ToLower(user)), append(s.tokens, token)
	if err := s.fails[strings.ToLower(user)]; err != nil {
		return mailroom.MailboxLook{}, err
	}
	l, ok := s.shows[strings.ToLower(user)]
	if !ok {
		return l, mailroom.E(mailroom.NeedsAdmin, "imap.error.not_connected")
	}
	return l, nil
}

// box is a mailbox of some age, with its newest mail.
func box(next uint32, newest string) mailroom.MailboxLook {
	return mailroom.MailboxLook{Inbox: mailroom.FolderMark{UIDValidity: 14, UIDNext: next}, Newest: map[uint32]string{next - 1: newest},
		Folders: map[string]mailroom.FolderMark{"Sent": {UIDValidity: 15, UIDNext: 300}}}
}

// elsewhere has the house's grants come back from another address.
func (h *house) elsewhere(shows map[string]mailroom.MailboxLook) *sight {
	s := &sight{shows: shows, fails: map[string]error{}}
	h.oauth.grant.Addresses = []string{login}
	h.deps.Look = s.look
	h.Access = access.New(h.deps)
	return s
}

const typed = "anna@werk.example"

func TestAnAliasIsTheMailbox(t *testing.T) {
	h := newHouse(t)
	s := h.elsewhere(map[string]mailroom.MailboxLook{typed: box(900, "<a>"), login: box(901, "<b>")})
	out, err := h.finish(h.begin(binding))
	if err != nil || out.Choice != nil || out.Grant.Via != mailroom.ViaAlias || out.Grant.Account != login {
		t.Fatalf("%+v, %v", out, err)
	}
	if !slices.Equal(s.asked, []string{typed, login}) || s.tokens[0] != "ACCESS-TOKEN-1" {
		t.Errorf("looked as %v with %v", s.asked, s.tokens)
	}
	h.wantToken("ACCESS-TOKEN-1")
	if n := h.world.Count(t, `pending_grants WHERE mailbox_id = $1`, h.box.ID); n != 0 {
		t.Error("something waits still")
	}
	// The same account again: known, and no mail server is needed to mend a grant.
	s.fails[typed] = mailroom.E(mailroom.Unavailable, "imap.error.network")
	h.oauth.grant.Access = "ACCESS-TOKEN-2"
	if out, err := h.finish(h.begin(binding)); err != nil || out.Grant.Via != mailroom.ViaAlias || len(s.asked) != 2 {
		t.Errorf("again: %+v, %v, looked %d times", out, err, len(s.asked))
	}
	// Another account never takes its place, whatever it opens.
	h.oauth.grant.Subject, h.oauth.grant.Addresses = "tenant/bob", []string{"bob@werk.example"}
	_, err = h.finish(h.begin(binding))
	wants(t, err, mailroom.Conflict, "grant.error.other_subject")
	h.wantToken("ACCESS-TOKEN-2")
}

func TestASharedMailboxIsAnExplicitChoice(t *testing.T) {
	h := newHouse(t)
	h.elsewhere(map[string]mailroom.MailboxLook{typed: box(900, "<a>"), login: box(4000, "<b>")})
	out, err := h.finish(h.begin(binding))
	if err != nil || out.Choice == nil || !out.Choice.Shared || out.Choice.Account != login || out.Choice.Mailbox != typed {
		t.Fatalf("%+v, %v", out, err)
	}
	if h.world.Count(t, `grants WHERE mailbox_id = $1`, h.box.ID) != 0 {
		t.Fatal("granted before anybody chose")
	}
	if found := h.onDisk("ACCESS-TOKEN", "REFRESH-TOKEN", binding); len(found) > 0 {
		t.Errorf("in clear on disk while it waits: %v", found)
	}
	ctx, id := t.Context(), out.Choice.ID
	// Nobody else's to choose, nor another session's, nor another than was shown.
	for name, try := range map[string]func() error{
		"another session": func() error { _, err := h.Choose(ctx, h.user, "session-of-mallory", id); return err },
		"no session":      func() error { _, err := h.Choose(ctx, h.user, "", id); return err },
		"another user": func() error {
			_, err := h.Choose(ctx, mailroom.User{ID: "usr_x", OrgID: h.user.OrgID}, binding, id)
			return err
		},
		"another organization": func() error {
			_, err := h.Choose(ctx, mailroom.User{ID: h.user.ID, OrgID: "org_x"}, binding, id)
			return err
		},
		"another choice": func() error { _, err := h.Choose(ctx, h.user, binding, "pen_other"); return err },
	} {
		if e := mailroom.AsError(try()); e == nil || e.Key != "grant.error.choice_gone" {
			t.Errorf("%s: %v", name, e)
		}
	}
	if c, err := h.Pending(ctx, h.user, binding); err != nil || c == nil || c.ID != id {
		t.Fatalf("pending: %+v, %v", c, err)
	}
	out, err = h.Choose(ctx, h.user, binding, id)
	if err != nil || out.Grant.Via != mailroom.ViaShared {
		t.Fatalf("%+v, %v", out, err)
	}
	h.wantToken("ACCESS-TOKEN-1")
	g, err := h.store.Grant(ctx, h.user.OrgID, h.box.ID)
	if err != nil || g.Via != mailroom.ViaShared {
		t.Errorf("stored %+v, %v", g, err)
	}
	_, err = h.Choose(ctx, h.user, binding, id) // the other tab
	wants(t, err, mailroom.Conflict, "grant.error.choice_gone")
}

func TestChoiceIsOverAfterTenMinutesAndWhenDeclined(t *testing.T) {
	h := newHouse(t)
	h.elsewhere(map[string]mailroom.MailboxLook{typed: box(900, "<a>"), login: box(4000, "<b>")})
	out, err := h.finish(h.begin(binding))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Decline(t.Context(), h.user, binding, out.Choice.ID); err != nil {
		t.Fatal(err)
	}
	if c, err := h.Pending(t.Context(), h.user, binding); c != nil || err != nil {
		t.Errorf("declined, and it waits: %+v, %v", c, err)
	}
	if got := h.audited(); !slices.Equal(got, []string{"grant.refused"}) {
		t.Errorf("audit %v", got)
	}
	if out, err = h.finish(h.begin(binding)); err != nil {
		t.Fatal(err)
	}
	h.deps.Now = func() time.Time { return time.Now().Add(10*time.Minute + time.Second) }
	h.Access = access.New(h.deps)
	_, err = h.Choose(t.Context(), h.user, binding, out.Choice.ID)
	wants(t, err, mailroom.Conflict, "grant.error.choice_gone")
}

func TestWhatDoesNotOpenIsTheWrongAccount(t *testing.T) {
	h := newHouse(t)
	h.elsewhere(map[string]mailroom.MailboxLook{login: box(900, "<a>")})
	_, err := h.finish(h.begin(binding))
	wants(t, err, mailroom.Invalid, "grant.error.wrong_account")
	if e := mailroom.AsError(err); e.Args["granted"] != login || e.Args["mailbox"] != typed {
		t.Errorf("not both addresses are named: %v", e.Args)
	}
	if c, _ := h.Pending(t.Context(), h.user, binding); c != nil {
		t.Error("tokens of the wrong account are kept")
	}
	if got := h.audited(); !slices.Equal(got, []string{"grant.refused"}) {
		t.Errorf("audit %v", got)
	}
}

// The code is used up: what cannot be told now must not cost another consent.
func TestWhatCannotBeToldIsLookedAtAgain(t *testing.T) {
	s := storetest.Open(t)
	for name, c := range map[string]struct {
		typed, own error
		key        string
	}{
		"server down":      {mailroom.E(mailroom.Unavailable, "imap.error.network"), nil, "imap.error.network"},
		"wants a pause":    {&mailroom.Error{Kind: mailroom.Throttled, Key: "imap.error.throttled"}, nil, "imap.error.throttled"},
		"own cannot":       {nil, mailroom.E(mailroom.Unavailable, "imap.error.busy"), "imap.error.busy"},
		"neither opens":    {mailroom.E(mailroom.NeedsAdmin, "imap.error.not_connected"), mailroom.E(mailroom.NeedsAdmin, "imap.error.not_connected"), "grant.error.look_neither"},
		"shut, own cannot": {mailroom.E(mailroom.NeedsAdmin, "imap.error.not_connected"), mailroom.E(mailroom.Unavailable, "imap.error.network"), "imap.error.network"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouseIn(t, s)
			server := h.elsewhere(map[string]mailroom.MailboxLook{typed: box(900, "<a>"), login: box(900, "<a>")})
			server.fails[typed], server.fails[login] = c.typed, c.own
			out, err := h.finish(h.begin(binding))
			if err != nil || out.Choice == nil || out.Choice.Shared || out.Choice.Problem.Key != c.key {
				t.Fatalf("%+v %v", out.Choice, err)
			}
			_, err = h.Choose(t.Context(), h.user, binding, out.Choice.ID)
			wants(t, err, mailroom.Conflict, "grant.error.choice_gone") // nothing is known that could be chosen
			clear(server.fails)
			again, err := h.LookAgain(t.Context(), h.user, binding, out.Choice.ID)
			if err != nil || again.Grant.Via != mailroom.ViaAlias || len(h.oauth.exchanges) != 1 {
				t.Errorf("again: %+v, %v", again, err)
			}
		})
	}
}

// A process that dies while it looks loses nothing: the tokens were kept before.
func TestTokensAreKeptBeforeAnybodyLooks(t *testing.T) {
	h := newHouse(t)
	h.oauth.grant.Addresses = []string{login}
	state := h.begin(binding)
	died := errors.New("killed")
	h.deps.Look = func(context.Context, mailroom.Provider, string, string, string) (mailroom.MailboxLook, error) {
		panic(died)
	}
	h.Access = access.New(h.deps)
	func() {
		defer func() {
			if recover() != died {
				t.Error("nobody looked")
			}
		}()
		_, _ = h.finish(state)
	}()
	h.elsewhere(map[string]mailroom.MailboxLook{typed: box(900, "<a>"), login: box(900, "<a>")})
	c, err := h.Pending(t.Context(), h.user, binding)
	if err != nil || c == nil || c.Problem == nil {
		t.Fatalf("%+v, %v", c, err)
	}
	if out, err := h.LookAgain(t.Context(), h.user, binding, c.ID); err != nil || out.Grant.ID == "" {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestChooseAnotherAccount(t *testing.T) {
	h := newHouse(t)
	p, _ := providers.ByID("microsoft")
	if _, err := h.BeginOther(t.Context(), h.user, h.box, p, binding); err != nil {
		t.Fatal(err)
	}
	if asked := h.oauth.consent[0]; !asked.Select {
		t.Errorf("%s", fmt.Sprint(asked))
	}
}
