package syncer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"mailroom/internal/mailroom"
)

// commands are the words of a story.
var commands = map[string]func(*world, []string){
	"server": func(w *world, a []string) {
		for _, o := range a {
			k, v, _ := strings.Cut(o, "=")
			switch k {
			case "noidle":
				w.server.noIdle = true
			case "deaf":
				w.server.deaf = true
			case "condstore":
				w.server.condFlag = true
			case "qresync":
				w.server.condFlag, w.server.qresync = true, true
			case "objects":
				w.server.objects = true
			case "nouidnext":
				w.server.noNext = true
			case "objectids":
				w.server.objectIDs = true
			case "single":
				w.server.single = true
			case "connections":
				w.conns = w.number(v)
			case "permail":
				w.server.perMail = w.duration(v)
			case "livefirst":
				w.tuning.LiveFirst = int64(w.number(v))
			case "slice":
				w.tuning.Slice, w.tuning.BatchMails = int64(w.number(v)), w.number(v)
			default:
				w.t.Fatalf("%s: %s?", w.at, o)
			}
		}
	},
	"folder": func(w *world, a []string) {
		w.server.change(a[0], func(*fakeFolder) {})
		if len(a) > 1 {
			addMails(w, a)
		}
	},
	"map": func(w *world, a []string) {
		m := mailroom.Mapping{ID: "map_" + a[0], OrgID: "org_1", MailboxID: "mbx_1", RawName: a[0], Name: a[0], OTYSFolderID: "ofo_" + a[1]}
		if v, ok := option(a, "since"); ok {
			m.Since = w.day(v)
		}
		if _, ok := option(a, "remove"); ok {
			m.Removal = mailroom.RemovalRemove
		}
		_, m.Subfolders = option(a, "subfolders")
		w.person(func() {
			w.store.mappings = append(w.store.mappings, m)
			w.store.mailbox.MappingsVersion++
			w.store.mailbox.Wanted++
		})
	},
	"unmap": func(w *world, a []string) {
		w.person(func() {
			w.store.mappings = slices.DeleteFunc(w.store.mappings, func(m mailroom.Mapping) bool { return m.RawName == a[0] })
			delete(w.store.progress, "map_"+a[0])
			w.store.mailbox.MappingsVersion++
			w.store.mailbox.Wanted++
		})
	},
	"since": func(w *world, a []string) {
		w.person(func() {
			m := w.mapping(a[0])
			m.Since = time.Time{}
			if a[1] != "never" {
				m.Since = w.day(a[1])
			}
			w.store.mailbox.MappingsVersion++
			w.store.mailbox.Wanted++
		})
	},
	"start": func(w *world, a []string) { w.start(a[0]) },
	"upgrade": func(w *world, a []string) { // a node comes back as a version that reads what none could read
		w.stop(a[0])
		w.version++
		w.person(func() {
			for at, q := range w.store.quarantine {
				if q.Version != w.versionName() && q.DroppedAt.IsZero() && q.Reason.Key != keyPlaceholder && q.Reason.Key != keyEmpty {
					q.RetryAt = w.now()
					w.store.quarantine[at] = q
				}
			}
			w.store.mailbox.Wanted++
		})
		w.start(a[0])
	},
	"giveup": func(w *world, a []string) { // a person drops mails from quarantine
		w.choose(a, func(q *mailroom.Quarantine) { q.DroppedAt, q.DroppedReason = w.now(), "spam" })
	},
	"takeback": func(w *world, a []string) {
		w.choose(a, func(q *mailroom.Quarantine) { q.DroppedAt, q.DroppedReason, q.RetryAt = time.Time{}, "", w.now() })
	},
	"clock": func(w *world, a []string) { // the wall clock is set
		w.clock.Add(int64(w.duration(a[0])))
	},
	"stop": func(w *world, a []string) { w.stop(a[0]) },
	"kill": func(w *world, a []string) {
		w.store.mu.Lock()
		w.store.dead[a[0]] = true
		w.store.mu.Unlock()
		w.server.cut()
		w.stop(a[0])
	},
	"steal": func(w *world, a []string) {
		w.store.mu.Lock()
		defer w.store.mu.Unlock()
		w.store.epoch++
		w.store.owner, w.store.lease = "elsewhere", time.Now().Add(w.duration(a[0]))
	},
	"add": addMails,
	"expunge": func(w *world, a []string) {
		gone := w.set(a[1])
		w.server.change(a[0], func(f *fakeFolder) {
			f.mails = slices.DeleteFunc(f.mails, func(m *fakeMail) bool {
				if gone.Contains(m.uid) {
					f.leave(m)
				}
				return gone.Contains(m.uid)
			})
		})
	},
	"move": func(w *world, a []string) { // to another folder, with new UIDs
		gone := w.set(a[1])
		var moved []*fakeMail
		w.server.change(a[0], func(f *fakeFolder) {
			for _, m := range f.mails {
				if gone.Contains(m.uid) {
					f.leave(m)
					moved = append(moved, m)
				}
			}
			f.mails = slices.DeleteFunc(f.mails, func(m *fakeMail) bool { return gone.Contains(m.uid) })
		})
		w.server.change(a[2], func(f *fakeFolder) {
			for _, m := range moved {
				m.uid, m.modseq = f.next, f.modseq+1
				f.next++
				f.mails = append(f.mails, m)
			}
		})
	},
	"blind": func(w *world, a []string) { // searches by date leave mails out, so many times
		w.server.change(a[0], func(f *fakeFolder) { f.blind, f.blindFor = w.set(a[1]), w.number(a[2]) })
	},
	"vanish": func(w *world, a []string) { // is said of mails that are there
		w.server.change(a[0], func(f *fakeFolder) { f.lost = w.set(a[1]) })
	},
	"mute": func(w *world, a []string) { // nothing is listed of those any more, nor counted; "mute INBOX 0" ends it
		w.server.change(a[0], func(f *fakeFolder) {
			f.muted = mailroom.UIDSet{}
			if a[1] != "none" {
				f.muted = w.set(a[1])
			}
		})
	},
	"forget": func(w *world, a []string) {
		w.store.mu.Lock()
		defer w.store.mu.Unlock()
		w.store.forgets = w.number(a[0])
	},
	"seen": func(w *world, a []string) {
		set := w.set(a[1])
		w.server.change(a[0], func(f *fakeFolder) {
			for _, m := range f.mails {
				if set.Contains(m.uid) {
					m.flags.Seen, m.modseq = true, f.modseq+1
				}
			}
		})
	},
	"renumber": func(w *world, a []string) {
		w.server.change(a[0], func(f *fakeFolder) {
			f.validity = uint32(w.number(a[1]))
			f.next = 1
			for _, m := range f.mails {
				m.uid = f.next
				f.next++
			}
		})
	},
	"rename": func(w *world, a []string) { w.rename(a[0], a[1]) },
	"validity": func(w *world, a []string) {
		w.server.change(a[0], func(f *fakeFolder) { f.validity = uint32(w.number(a[1])) })
	},
	"drop": func(w *world, a []string) {
		w.server.mu.Lock()
		defer w.server.mu.Unlock()
		delete(w.server.folders, a[0])
	},
	"lie":  func(w *world, a []string) { w.server.change(a[0], func(f *fakeFolder) { f.lies = w.number(a[1]) }) },
	"flip": func(w *world, a []string) { w.server.change(a[0], func(f *fakeFolder) { f.flips = w.number(a[1]) }) },
	"hide": func(w *world, a []string) {
		w.server.change(a[0], func(f *fakeFolder) { f.hides, f.hideFor = w.set(a[1]), w.number(a[2]) })
	},
	"heal": func(w *world, a []string) {
		w.server.change(a[0], func(f *fakeFolder) {
			for _, m := range f.mails {
				m.refused, m.silent, m.breaks, m.panics = "", 0, false, false
				if unreadable(m.raw) {
					m.raw = rawMail(fmt.Sprintf("healed %d", m.uid))
				}
			}
		})
	},
	"cut": func(w *world, _ []string) { w.server.cut() },
	"fail": func(w *world, a []string) {
		w.server.mu.Lock()
		defer w.server.mu.Unlock()
		if a[1] == "none" {
			w.server.faults = slices.DeleteFunc(w.server.faults, func(f *fault) bool { return f.op == a[0] })
			return
		}
		kind, key, _ := strings.Cut(a[1], "/")
		e := mailroom.E(mailroom.Kind(kind), key)
		if v, ok := option(a, "until"); ok {
			e.Until = time.Now().Add(w.duration(v))
		}
		f := &fault{op: a[0], err: e, times: -1}
		if v, ok := option(a, "times"); ok {
			f.times = w.number(v)
		}
		if v, ok := option(a, "after"); ok {
			f.after = w.number(v)
		}
		w.server.faults = append(w.server.faults, f)
	},
	"refuse": func(w *world, a []string) { // the database will not take mails whose subject has this word
		w.store.mu.Lock()
		defer w.store.mu.Unlock()
		w.store.refuse = func(b mailroom.Batch) error {
			for _, m := range b.Mails {
				if strings.Contains(m.Message.Subject, a[0]) {
					return errors.New("invalid byte sequence")
				}
			}
			return nil
		}
	},
	"database": func(w *world, a []string) {
		w.store.mu.Lock()
		defer w.store.mu.Unlock()
		w.store.down = nil
		if a[0] == "down" {
			w.store.down = errors.New("connection refused")
		}
	},
	"boast": func(w *world, a []string) {
		w.store.mu.Lock()
		defer w.store.mu.Unlock()
		w.store.boasts = w.number(a[0])
	},
	"ask":    func(w *world, _ []string) { w.person(func() { w.store.mailbox.Wanted++ }) },
	"pause":  func(w *world, _ []string) { w.person(func() { w.store.stop = true }) },
	"resume": func(w *world, _ []string) { w.person(func() { w.store.stop = false; w.store.mailbox.Wanted++ }) },
	"due": func(w *world, _ []string) { // a person presses "try again" on all
		w.person(func() {
			for at, q := range w.store.quarantine {
				q.RetryAt = w.now()
				w.store.quarantine[at] = q
			}
			w.store.mailbox.Wanted++
		})
	},
	"run": func(w *world, a []string) {
		time.Sleep(w.duration(a[0]))
		synctest.Wait()
	},
	"want": want,
}

func addMails(w *world, a []string) {
	n := w.number(a[1])
	for i := range n {
		body := fmt.Sprintf("mail %s %d", a[0], w.bodies)
		if v, ok := option(a, "body"); ok {
			body = fmt.Sprintf("%s %d", v, i)
		}
		w.bodies++
		w.server.add(a[0], body, func(m *fakeMail) {
			if _, ok := option(a, "broken"); ok {
				m.raw = []byte(noMail + body)
			}
			if _, ok := option(a, "panics"); ok {
				m.raw = rawMail("please panic")
			}
			if v, ok := option(a, "refused"); ok {
				m.refused = v
			}
			if v, ok := option(a, "silent"); ok {
				m.silent = w.number(v)
			}
			if v, ok := option(a, "date"); ok {
				m.date = w.day(v)
			}
			_, m.breaks = option(a, "breaks")
			_, m.flags.Seen = option(a, "seen")
		})
	}
}

// noMail begins what no parser can read, but for that of a later version.
const noMail = "\x00\x01\x02"

func unreadable(raw []byte) bool { return strings.HasPrefix(string(raw), noMail) }

// choose lets a person change rows of quarantine, as the store does it.
func (w *world) choose(a []string, change func(*mailroom.Quarantine)) {
	w.person(func() {
		n := 0
		for uid := range w.set(a[1]).Descending {
			for at, q := range w.store.quarantine {
				if at.raw == a[0] && at.uid == uid {
					change(&q)
					w.store.quarantine[at] = q
					n++
				}
			}
		}
		if n == 0 {
			w.t.Fatalf("%s: not in quarantine", w.at)
		}
		w.store.mailbox.MappingsVersion++
		w.store.mailbox.Wanted++
	})
}
