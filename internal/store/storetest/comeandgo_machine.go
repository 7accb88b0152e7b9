package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"mailroom/internal/mailroom"
)

// testComeAndGo does hundreds of acts in any order, of two recruiters with the
// same mails, and compares what lies in every OTYS folder with a model.
func testComeAndGo(t *testing.T, w World) {
	r := seeded(t)
	m := &mailModel{t: t, r: r, org: w}
	for i, x := range []World{w, w.AddRecruiter(t)} {
		u := &modelUser{World: x, claim: x.take(t, fmt.Sprintf("n%d", i)), delivered: map[string]map[string]bool{}, unread: map[string]bool{}}
		aim := x.Map(t, "Aim", "Aim", "")
		also := x.Map(t, "Also", "Also", "")
		x.exec(t, `UPDATE mappings SET otys_folder_id = $1 WHERE id = $2`, aim.OTYSFolderID, also.ID)
		also.OTYSFolderID = aim.OTYSFolderID
		for _, v := range []mailroom.Mapping{x.Inbox, aim, also, x.Sent} {
			u.maps = append(u.maps, &modelMapping{Mapping: v, tombs: map[string]bool{}, leaving: map[string]bool{}})
			u.delivered[v.OTYSFolderID] = map[string]bool{}
		}
		slices.SortFunc(u.maps, func(a, b *modelMapping) int { return strings.Compare(a.ID, b.ID) })
		m.users = append(m.users, u)
	}
	for step := range 250 {
		act := m.step()
		m.check(fmt.Sprintf("step %d, %s", step, act))
		if t.Failed() {
			return
		}
	}
}

type modelPlace struct {
	mail       string
	uid        uint32
	seen, gone bool
}

type modelMapping struct {
	mailroom.Mapping
	remove, away   bool // away: the row was taken away
	places         []*modelPlace
	tombs, leaving map[string]bool
}

type modelUser struct {
	World
	claim     mailroom.Claim
	maps      []*modelMapping
	delivered map[string]map[string]bool // by OTYS folder
	unread    map[string]bool            // as the user has it, in all folders
	uid       uint32
}

type mailModel struct {
	t     *testing.T
	r     *rand.Rand
	org   World
	users []*modelUser
}

func (u *modelUser) has(mail string) bool {
	for _, f := range u.delivered {
		if f[mail] {
			return true
		}
	}
	return false
}

// held: see the rule in store/removal.go.
func (u *modelUser) held(folder, mail string) bool {
	for _, m := range u.maps {
		for _, p := range m.places {
			if p.mail == mail && (m.away || !p.gone && m.OTYSFolderID == folder) {
				return true
			}
		}
	}
	return false
}

func (u *modelUser) follow(mail string) (rest []string) {
	left := map[string]bool{}
	var to []string
	seen, gone := false, false
	for _, m := range u.maps {
		for _, p := range m.places {
			if p.mail != mail || m.away {
				continue
			}
			seen, gone = seen || p.seen, gone || p.gone
			if p.gone {
				left[m.OTYSFolderID] = true
			} else {
				to = append(to, m.OTYSFolderID)
			}
		}
	}
	for folder := range left {
		if !u.delivered[folder][mail] || u.held(folder, mail) {
			continue
		}
		if len(to) == 0 {
			rest = append(rest, folder)
			continue
		}
		delete(u.delivered[folder], mail)
		if !slices.ContainsFunc(to, func(f string) bool { return u.delivered[f][mail] }) {
			u.delivered[to[0]][mail] = true
		}
		for _, m := range u.maps {
			delete(m.leaving, mail)
		}
	}
	return rest
}

func (m *mailModel) step() string {
	u := m.users[m.r.IntN(len(m.users))]
	var maps []*modelMapping
	for _, v := range u.maps {
		if !v.away {
			maps = append(maps, v)
		}
	}
	v := maps[m.r.IntN(len(maps))]
	t, ctx, s := m.t, m.t.Context(), m.org.Store
	switch k := m.r.IntN(20); {
	case k < 8:
		return m.deliver(u, v)
	case k < 14:
		var uids []uint32
		var mails []string
		for _, p := range v.places {
			if !p.gone && m.r.IntN(3) == 0 {
				p.gone = true
				uids, mails = append(uids, p.uid), append(mails, p.mail)
			}
		}
		must(t, s.MarkGone(ctx, u.claim, v.ID, UIDValidity, mailroom.UIDs(uids...)))
		for _, mail := range mails {
			if slices.Contains(u.follow(mail), v.OTYSFolderID) && v.remove {
				v.leaving[mail] = true
			}
		}
		return fmt.Sprintf("gone from %s: %v", v.RawName, mails)
	case k < 16:
		u.settle(t, u.claim)
		for _, v := range u.maps {
			for mail := range v.leaving {
				delete(v.leaving, mail)
				if !v.remove || !slices.Contains(u.follow(mail), v.OTYSFolderID) {
					continue
				}
				delete(u.delivered[v.OTYSFolderID], mail)
				for _, o := range u.maps {
					if o.OTYSFolderID == v.OTYSFolderID && o.remove && !o.away && slices.ContainsFunc(o.places, func(p *modelPlace) bool { return p.mail == mail }) {
						o.tombs[mail] = true
					}
				}
			}
		}
		for _, u := range m.users { // what is nobody's has no places any more
			for _, v := range u.maps {
				v.places = slices.DeleteFunc(v.places, func(p *modelPlace) bool { return !m.exists(p.mail) })
			}
		}
		return "settled"
	case k < 18:
		if lines := u.lines(t, mailroom.MailFilter{}); len(lines) > 0 {
			l, read := lines[m.r.IntN(len(lines))], m.r.IntN(3) == 0
			must(t, s.MarkRead(ctx, u.UserID, l.Message.ID, read))
			u.unread[l.Message.Subject] = !read
			return fmt.Sprintf("%s marked read: %v", l.Message.Subject, read)
		}
		return "nothing to mark"
	case k < 19 || m.r.IntN(10) > 0 || len(maps) < 3:
		v.remove = !v.remove
		u.removes(t, v.Mapping, map[bool]mailroom.Removal{true: mailroom.RemovalRemove, false: mailroom.RemovalKeep}[v.remove])
		return fmt.Sprintf("%s removes: %v", v.RawName, v.remove)
	default:
		v.away, v.tombs, v.leaving = true, nil, nil
		for _, table := range []string{"leaving", "tombstones"} { // as the engines do where foreign keys are on
			u.exec(t, `DELETE FROM `+table+` WHERE mapping_id = $1`, v.ID)
		}
		u.exec(t, `DELETE FROM mappings WHERE id = $1`, v.ID)
		return v.RawName + " taken away"
	}
}

// deliver files a few mails: new UIDs, and such as were taken for gone.
func (m *mailModel) deliver(u *modelUser, v *modelMapping) string {
	var mails []mailroom.Mail
	var places []*modelPlace
	for range 1 + m.r.IntN(3) {
		p := &modelPlace{mail: fmt.Sprintf("M%d", m.r.IntN(8)), seen: m.r.IntN(3) == 0}
		u.uid++
		p.uid = u.uid
		if i := slices.IndexFunc(v.places, func(p *modelPlace) bool { return p.gone }); i >= 0 && m.r.IntN(4) == 0 {
			old := v.places[i]
			p = old
		}
		if slices.Contains(places, p) {
			continue
		}
		mail := u.Mail(p.uid, "a@x.example", p.mail, p.mail)
		mail.Message.To = nil
		mail.Placement.Flags.Seen = p.seen
		mails, places = append(mails, mail), append(places, p)
	}
	got(m.org.Store.Deliver(m.t.Context(), u.claim, u.Batch(v.Mapping, mails...)))
	said := "into " + v.RawName
	for _, p := range places {
		said += fmt.Sprintf(" %s/%d back=%v seen=%v", p.mail, p.uid, p.gone, p.seen)
	}
	had, seen := map[string]bool{}, map[string]bool{}
	for _, p := range places {
		had[p.mail] = u.has(p.mail)
		for _, o := range u.maps {
			for _, q := range o.places {
				seen[p.mail] = seen[p.mail] || q.mail == p.mail && q.seen
			}
		}
	}
	left := map[string]bool{} // had left a folder before this batch's arrivals
	for _, p := range places {
		if p.gone {
			p.gone = false
		} else {
			v.places = append(v.places, p)
		}
	}
	for _, o := range u.maps {
		for _, q := range o.places {
			left[q.mail] = left[q.mail] || q.gone
		}
	}
	for _, p := range places {
		if left[p.mail] {
			u.follow(p.mail)
		}
	}
	for _, p := range places {
		if v.tombs[p.mail] {
			continue
		}
		switch {
		case !had[p.mail]:
			if !u.delivered[v.OTYSFolderID][p.mail] {
				u.unread[p.mail] = true
			}
			if p.seen {
				u.unread[p.mail] = false
			}
		case p.seen && !seen[p.mail]:
			u.unread[p.mail] = false
		}
		u.delivered[v.OTYSFolderID][p.mail] = true
	}
	return said
}

func (m *mailModel) exists(mail string) bool {
	for _, u := range m.users {
		if u.has(mail) {
			return true
		}
		for _, v := range u.maps {
			if slices.ContainsFunc(v.places, func(p *modelPlace) bool { return p.mail == mail && !p.gone }) {
				return true
			}
		}
	}
	return false
}

func (m *mailModel) check(after string) {
	t := m.t
	t.Helper()
	m.org.countersHold(t)
	for _, u := range m.users {
		for folder, mails := range u.delivered {
			var want []string
			for mail := range mails {
				want = append(want, mail+map[bool]string{true: "*"}[u.unread[mail]])
			}
			is := strings.Fields(u.in(t, mailroom.Mapping{OTYSFolderID: folder}))
			slices.Sort(want)
			slices.Sort(is)
			if !slices.Equal(is, want) {
				t.Errorf("%s: %s holds %v, want %v", after, u.folder(t, folder).Name, is, want)
			}
		}
	}
	for i := range 8 {
		mail := fmt.Sprintf("M%d", i)
		if n := m.org.Count(t, `messages WHERE org_id = $1 AND subject = $2`, m.org.OrgID, mail); (n == 1) != m.exists(mail) {
			t.Errorf("%s: message %s is there %d times, want %v", after, mail, n, m.exists(mail))
		}
	}
	if n := m.org.Count(t, `placements p WHERE p.mailbox_id IN ($1, $2) AND NOT EXISTS (SELECT 1 FROM messages m WHERE m.seq = p.message_seq)`,
		m.users[0].Mailbox.ID, m.users[1].Mailbox.ID); n != 0 {
		t.Errorf("%s: %d placements of no message", after, n)
	}
}
