package portal

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"mailroom/internal/envelope"
	"mailroom/internal/mailroom"
)

// AssumedRate is messages a second that a first sync reads at a distant server:
// a cautious guess, used until the mailbox's own rate is known.
const AssumedRate = 25

// Preview is what saving one mapping row would bring. Nothing of it is stored.
type Preview struct {
	mailroom.FolderPreview // without Headers
	Since                  time.Time
	Here                   int64 // of the folder's messages, in OTYS already
	Rate                   float64
	Measured               bool          // Rate was measured at this mailbox, not assumed
	Takes                  time.Duration // to read what is not here
	Looked                 int           // how many of the newest were looked at
	Known                  int           // of them with somebody known
	Shared                 int           // of them with an address that several people have, and nobody certain
	People                 []PreviewPerson
	Problem                *mailroom.Problem // why there is no preview
}

// PreviewPerson is somebody known, with how many of the newest mails are theirs.
type PreviewPerson struct {
	Person mailroom.Person
	Mails  int
}

// Preview asks the server what a mapping row would bring. What the server
// refuses comes as Preview.Problem; what is wrong with the row as an error with
// Field "folder" or "since".
func (p *Portal) Preview(ctx context.Context, u mailroom.User, f MappingForm) (Preview, error) {
	v := Preview{Since: f.Since}
	row, err := p.ownMailbox(ctx, u)
	if err != nil {
		return v, err
	}
	names, err := p.chooseable(ctx, row.Mailbox.ID)
	if err != nil {
		return v, err
	}
	if _, known := names[f.RawName]; !known {
		return v, invalid("folder", "mapping.error.folder")
	}
	if f.Since.After(p.now()) {
		return v, invalid("since", "mapping.error.since")
	}
	seen, err := p.lookInto(ctx, row, f)
	if err != nil {
		v.Problem = mailroom.ProblemOf(err, p.now())
		p.sign(ctx, row.Mailbox, v.Problem)
		return v, nil
	}
	headers := seen.Headers
	seen.Headers = nil
	v.FolderPreview = seen
	if err := p.foretell(ctx, row.Mailbox, f, &v); err != nil {
		return v, err
	}
	return v, p.recognize(ctx, u, row.Mailbox, headers, &v)
}

// lookInto asks the server, and not longer than a person waits.
func (p *Portal) lookInto(ctx context.Context, row mailroom.MailboxRow, f MappingForm) (mailroom.FolderPreview, error) {
	if !row.Ready() {
		return mailroom.FolderPreview{}, mailroom.E(mailroom.NeedsConsent, "mailbox.error.not_ready")
	}
	limited, cancel := context.WithTimeout(ctx, listingLimit)
	defer cancel()
	seen, err := p.d.Preview(limited, row.Mailbox, f.RawName, f.Since)
	if err != nil && ctx.Err() == nil && (limited.Err() != nil || errors.Is(err, context.DeadlineExceeded)) {
		err = mailroom.E(mailroom.Unavailable, "preview.error.slow", err).With("seconds", int(listingLimit.Seconds()))
	}
	return seen, err
}

// foretell says how long the reading will take: by the fastest rate that was
// measured in this mailbox of late, else by the assumed one.
func (p *Portal) foretell(ctx context.Context, m mailroom.Mailbox, f MappingForm, v *Preview) error {
	rows, err := p.d.Store.MappingRows(ctx, m.ID)
	if err != nil {
		return err
	}
	v.Rate = AssumedRate
	for _, r := range rows {
		if measured := float64(r.Progress.RateMails) / time.Hour.Seconds(); measured > 0 && (!v.Measured || measured > v.Rate) {
			v.Rate, v.Measured = measured, true
		}
		if r.Mapping.RawName == f.RawName {
			v.Here = min(r.Progress.Stored, v.Matching)
		}
	}
	v.Takes = time.Duration(float64(v.Matching-v.Here) / v.Rate * float64(time.Second))
	return nil
}

// recognize finds people that the organization knows in headers, by the rule
// that links mails to people.
func (p *Portal) recognize(ctx context.Context, u mailroom.User, m mailroom.Mailbox, headers [][]byte, v *Preview) error {
	v.Looked = len(headers)
	mails := make([][]string, 0, len(headers))
	var all []string
	for _, h := range headers {
		msg, err := envelope.Parse(h)
		if err != nil {
			continue // an odd header is no reason to tell nothing of the others
		}
		var addresses []string
		for _, l := range msg.LinkAddresses(m.Address) {
			addresses = append(addresses, l.Address)
		}
		mails = append(mails, addresses)
		all = append(all, addresses...)
	}
	slices.Sort(all)
	holders, err := p.d.Store.PeopleAt(ctx, u.OrgID, slices.Compact(all))
	if err != nil {
		return err
	}
	found := map[string]*PreviewPerson{}
	for _, addresses := range mails {
		known, shared := with(addresses, holders)
		for _, person := range known {
			if found[person.ID] == nil {
				found[person.ID] = &PreviewPerson{Person: person}
			}
			found[person.ID].Mails++
		}
		if len(known) > 0 {
			v.Known++
		} else if shared {
			v.Shared++
		}
	}
	for _, person := range found {
		v.People = append(v.People, *person)
	}
	slices.SortFunc(v.People, func(a, b PreviewPerson) int {
		return cmp.Or(b.Mails-a.Mails, strings.Compare(a.Person.Name, b.Person.Name), strings.Compare(a.Person.ID, b.Person.ID))
	})
	return nil
}

// with are the people with whom a mail is, each once; shared reports an address
// that several people have, which is for a person to decide.
func with(addresses []string, holders map[string][]mailroom.Person) (known []mailroom.Person, shared bool) {
	for _, address := range addresses {
		switch at := holders[address]; {
		case len(at) > 1:
			shared = true
		case len(at) == 1 && !slices.ContainsFunc(known, func(k mailroom.Person) bool { return k.ID == at[0].ID }):
			known = append(known, at[0])
		}
	}
	return known, shared
}
