package portal

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"mailroom/internal/mailroom"
)

// listingLimit is how long a person waits for a live folder list.
const listingLimit = 20 * time.Second

// RefreshFolders asks the server for its folders, keeps them and returns the
// mapping page with them. When the server does not answer in time or refuses,
// the page still comes, with the last known list and the Problem.
func (p *Portal) RefreshFolders(ctx context.Context, u mailroom.User) (MappingPage, error) {
	row, err := p.ownMailbox(ctx, u)
	if err != nil {
		return MappingPage{}, err
	}
	problem := p.listLive(ctx, row)
	page, err := p.MappingPage(ctx, u)
	if err != nil {
		return page, err
	}
	page.Live, page.Problem = problem == nil, mailroom.ProblemOf(problem, p.now())
	p.sign(ctx, page.Mailbox, page.Problem)
	return page, nil
}

// listLive reads the folder list once for all who wait for it. It is finished
// and kept even when the asking browser has gone.
func (p *Portal) listLive(ctx context.Context, row mailroom.MailboxRow) error {
	if !row.Ready() {
		return mailroom.E(mailroom.NeedsConsent, "mailbox.error.not_ready")
	}
	done := p.listings.DoChan(row.Mailbox.ID, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), listingLimit)
		defer cancel()
		folders, err := p.d.LiveFolders(ctx, row.Mailbox)
		if errors.Is(err, context.DeadlineExceeded) || err != nil && ctx.Err() != nil {
			return nil, mailroom.E(mailroom.Unavailable, "folder.error.slow", err).With("seconds", int(listingLimit.Seconds()))
		}
		if err == nil {
			err = p.d.Store.SaveFolders(ctx, row.Mailbox.ID, folders, p.now())
		}
		return nil, err
	})
	select {
	case r := <-done:
		return r.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// AddOTYSFolder adds a folder to the user's OTYS mailbox.
func (p *Portal) AddOTYSFolder(ctx context.Context, u mailroom.User, name string) (mailroom.OTYSFolder, error) {
	name, err := checkName("name", name, "folder.error.name")
	if err == nil && utf8.RuneCountInString(name) > 100 {
		err = invalid("name", "folder.error.name")
	}
	if err != nil {
		return mailroom.OTYSFolder{}, err
	}
	f := mailroom.OTYSFolder{
		ID: mailroom.NewID(mailroom.PrefixOTYSFolder), OrgID: u.OrgID, UserID: u.ID, Name: name, CreatedAt: p.now(),
	}
	return f, p.d.Store.AddOTYSFolder(ctx, f, p.event(u, "folder.added", f.ID, map[string]any{"name": name}))
}

// defaultFolder is the folder that a person makes to hand-pick mail for OTYS.
const defaultFolder = "OTYS"

// CreateIMAPFolder makes a folder in the mailbox itself, "OTYS" unless named.
// Nothing else in Mailroom changes a mailbox.
func (p *Portal) CreateIMAPFolder(ctx context.Context, u mailroom.User, name string) error {
	if strings.TrimSpace(name) == "" {
		name = defaultFolder
	}
	name, err := checkName("name", name, "folder.error.imap_name")
	if err != nil {
		return err
	}
	// Separators and wildcards of IMAP would make another folder than was typed.
	if utf8.RuneCountInString(name) > 100 || strings.ContainsAny(name, `/\.%*"`) || strings.ContainsFunc(name, unicode.IsControl) {
		return invalid("name", "folder.error.imap_name")
	}
	row, err := p.ownMailbox(ctx, u)
	if err != nil {
		return err
	}
	if !row.Ready() {
		return mailroom.E(mailroom.Conflict, "mailbox.error.not_ready")
	}
	folders, err := p.d.Store.Folders(ctx, row.Mailbox.ID)
	if err != nil {
		return err
	}
	for _, f := range folders {
		if f.GoneAt.IsZero() && strings.EqualFold(f.Name, name) {
			return mailroom.E(mailroom.Conflict, "folder.error.exists").On("name").With("name", name)
		}
	}
	limited, cancel := context.WithTimeout(ctx, listingLimit)
	defer cancel()
	if err := p.d.CreateFolder(limited, row.Mailbox, name); err != nil {
		return err
	}
	return p.d.Store.SaveAudit(ctx, p.event(u, "folder.created_in_mailbox", row.Mailbox.ID, map[string]any{"name": name}))
}

// mappable are the folders that may be chosen: the inbox first, then as a tree.
func mappable(all []mailroom.Folder) []mailroom.Folder {
	var out []mailroom.Folder
	for _, f := range all {
		if f.Mappable() {
			out = append(out, f)
		}
	}
	slices.SortStableFunc(out, func(a, b mailroom.Folder) int {
		if ai, bi := a.Role == mailroom.RoleInbox, b.Role == mailroom.RoleInbox; ai != bi {
			if ai {
				return -1
			}
			return 1
		}
		return slices.CompareFunc(treePath(a), treePath(b), strings.Compare)
	})
	return out
}

func treePath(f mailroom.Folder) []string {
	if len(f.Path) == 0 {
		return []string{strings.ToLower(f.Name)}
	}
	out := make([]string, len(f.Path))
	for i, part := range f.Path {
		out[i] = strings.ToLower(part)
	}
	return out
}
