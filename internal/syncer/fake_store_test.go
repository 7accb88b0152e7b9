package syncer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mailroom/internal/mailroom"
)

// fakeStore keeps in memory what the store keeps in SQL, with the same fence,
// and looks after every transaction whether the books are right.
type fakeStore struct {
	t  testing.TB
	mu sync.Mutex

	mailbox  mailroom.Mailbox
	mappings []mailroom.Mapping
	progress map[string]mailroom.Progress
	owner    string
	epoch    int64
	lease    time.Time
	retryAt  time.Time
	failures int
	claimed  int64 // wanted at the claim
	stop     bool

	messages   map[string]string // key → id
	placed     map[place]placedMail
	quarantine map[place]mailroom.Quarantine
	delivered  map[string]map[string]bool // OTYS folder → message keys
	read       map[place]bool
	blobs      map[string]int
	runs       map[string]mailroom.SyncRun
	sighted    map[string][]mailroom.Sighting
	findings   map[string]mailroom.Finding
	leaving    map[string]time.Time // mapping and message key, left since
	removed    int
	folders    []mailroom.Folder
	order      []place // in which mails were filed
	wake       chan struct{}
	now        func() time.Time

	dead    map[string]bool // nodes that were killed: nothing of theirs is taken any more
	down    error           // the database does not answer
	refuse  func(mailroom.Batch) error
	forgets int // so many batches of copies find their messages removed
	boasts  int // so many times it claims to know raw mail that it has not
	writes  int
	proofs  int
	biggest int
}

type place struct {
	raw      string
	validity uint32
	uid      uint32
}

type placedMail struct {
	mapping, key string
	gone         bool
	flags        mailroom.Flags
	at           time.Time
	p            mailroom.Placement
}

func newFakeStore(t testing.TB) *fakeStore {
	return &fakeStore{t: t, now: time.Now,
		mailbox:  mailroom.Mailbox{ID: "mbx_1", OrgID: "org_1", UserID: "usr_1", Address: "recruiter@agency.example", Wanted: 1},
		progress: map[string]mailroom.Progress{}, messages: map[string]string{}, placed: map[place]placedMail{},
		quarantine: map[place]mailroom.Quarantine{}, delivered: map[string]map[string]bool{}, read: map[place]bool{},
		blobs: map[string]int{}, runs: map[string]mailroom.SyncRun{}, sighted: map[string][]mailroom.Sighting{}, findings: map[string]mailroom.Finding{}, leaving: map[string]time.Time{}, wake: make(chan struct{}, 1), dead: map[string]bool{},
	}
}

func (s *fakeStore) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *fakeStore) Watch(string) (<-chan struct{}, func()) { return s.wake, func() {} }

func (s *fakeStore) ClaimMailboxes(_ context.Context, node string, lease time.Duration, limit int, now time.Time) ([]mailroom.Claim, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil || s.dead[node] {
		return nil, errors.New("database is away")
	}
	if s.lease.Sub(now) > mailroom.MaxLease { // by a clock that was wrong: Share sees to it
		s.lease = now
	}
	if limit < 1 || s.stop || now.Before(s.lease) || now.Before(s.retryAt) && s.mailbox.Wanted <= s.mailbox.Done || s.unpaused() == 0 {
		return nil, nil
	}
	s.owner, s.lease, s.claimed = node, now.Add(lease), s.mailbox.Wanted
	s.epoch++
	return []mailroom.Claim{{MailboxID: s.mailbox.ID, Epoch: s.epoch}}, nil
}

func (s *fakeStore) unpaused() (n int) {
	for _, m := range s.mappings {
		if !m.Paused {
			n++
		}
	}
	return n
}

func (s *fakeStore) RenewLeases(_ context.Context, node string, claims []mailroom.Claim, lease time.Duration, now time.Time) (kept []mailroom.Claim, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil || s.dead[node] {
		return nil, errors.New("database is away")
	}
	for _, c := range claims {
		if s.owner == node && s.epoch == c.Epoch {
			s.lease = now.Add(lease)
			kept = append(kept, c)
		}
	}
	return kept, nil
}

func (s *fakeStore) Wanted(_ context.Context, node string) (map[string]mailroom.Signal, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil || s.dead[node] {
		return nil, errors.New("database is away")
	}
	out := map[string]mailroom.Signal{}
	if s.owner == node {
		out[s.mailbox.ID] = mailroom.Signal{Wanted: s.mailbox.Wanted, Done: s.mailbox.Done,
			MappingsVersion: s.mailbox.MappingsVersion, Stop: s.stop || s.unpaused() == 0}
	}
	return out, nil
}

// fence lets a transaction in. mu is held.
func (s *fakeStore) fence(c mailroom.Claim) error {
	if s.down != nil {
		return s.down
	}
	if s.dead[s.owner] {
		return errors.New("killed")
	}
	if c.Epoch != s.epoch || s.owner == "" {
		return mailroom.ErrFenced
	}
	s.writes++
	return nil
}

func (s *fakeStore) Release(_ context.Context, c mailroom.Claim, retryAt time.Time, problem *mailroom.Problem, failures int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fence(c); err != nil {
		return err
	}
	s.owner, s.lease, s.retryAt, s.failures = "", time.Time{}, retryAt, failures
	s.mailbox.Problem = problem
	if problem != nil {
		s.mailbox.Done = max(s.mailbox.Done, s.claimed)
	}
	s.signal()
	return nil
}

func (s *fakeStore) LoadWork(_ context.Context, c mailroom.Claim) (mailroom.Work, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fence(c); err != nil {
		return mailroom.Work{}, err
	}
	w := mailroom.Work{Mailbox: s.mailbox, Mappings: slices.Clone(s.mappings), Progress: map[string]mailroom.Progress{}, Failures: s.failures}
	for id, p := range s.progress {
		w.Progress[id] = p
	}
	return w, nil
}

func (s *fakeStore) SaveFolders(_ context.Context, _ string, folders []mailroom.Folder, _ time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.folders = folders
	return s.down
}

func (s *fakeStore) held(raw string, validity uint32) mailroom.Held {
	var ps, qs, ds []uint32
	for at, p := range s.placed {
		if at.raw == raw && at.validity == validity && !p.gone {
			ps = append(ps, at.uid)
		}
	}
	for at, q := range s.quarantine {
		switch {
		case at.raw != raw || at.validity != validity || !q.GoneAt.IsZero():
		case q.DroppedAt.IsZero():
			qs = append(qs, at.uid)
		default:
			ds = append(ds, at.uid)
		}
	}
	return mailroom.Held{Placed: mailroom.UIDs(ps...), Quarantined: mailroom.UIDs(qs...), Dropped: mailroom.UIDs(ds...)}
}

func (s *fakeStore) HeldUIDs(_ context.Context, _, raw string, validity uint32) (h mailroom.Held, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held(raw, validity), s.down
}

func (s *fakeStore) KnownBlobs(_ context.Context, _ string, hashes []string) (map[string]bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]bool{}
	for _, h := range hashes {
		out[h] = s.blobs[h] > 0 || s.boasts > 0
	}
	s.boasts = max(s.boasts-1, 0)
	return out, s.down
}

func (s *fakeStore) Deliver(_ context.Context, c mailroom.Claim, b mailroom.Batch) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fence(c); err != nil {
		return 0, err
	}
	if s.refuse != nil {
		if err := s.refuse(b); err != nil {
			return 0, err
		}
	}
	m, ok := s.mapping(b.Mapping.ID)
	if !ok {
		return 0, mailroom.E(mailroom.NotFound, "mapping.error.removed")
	}
	for _, mail := range b.Mails {
		if mail.Blob.Codec == "" && s.blobs[mail.Blob.Hash] == 0 {
			return 0, mailroom.E(mailroom.Conflict, "error.blob_gone")
		}
	}
	s.biggest = max(s.biggest, len(b.Mails)+len(b.Quarantined))
	for _, ref := range b.Blobs {
		s.blobs[ref.Hash]++
	}
	n := 0
	for _, cp := range b.Copies {
		if s.forgets > 0 || s.object(cp.Placement.ObjectID) == "" {
			s.forgets--
			return 0, mailroom.E(mailroom.Conflict, "error.blob_gone")
		}
	}
	for _, cp := range b.Copies {
		p := cp.Placement
		at := place{p.RawName, p.UIDValidity, p.UID}
		if cp.ReceivedAt.IsZero() {
			s.t.Errorf("%v: nobody knows when it was received", at)
		}
		n += s.place(m, at, p, s.object(p.ObjectID))
	}
	for _, mail := range b.Mails {
		n += s.file(m, mail)
	}
	for _, q := range b.Quarantined {
		at := place{q.RawName, q.UIDValidity, q.UID}
		if q.RawHash != "" && s.blobs[q.RawHash] == 0 {
			s.t.Errorf("quarantined %v: its raw bytes are not kept", at)
		}
		if _, there := s.placed[at]; there {
			s.t.Errorf("%v is quarantined and filed", at)
		}
		if !q.GoneAt.Equal(s.quarantine[at].GoneAt) {
			s.t.Errorf("%v comes or goes by being tried again", at)
		}
		s.quarantine[at] = q
	}
	s.keep(b.Progress)
	s.audit(b.Mapping.ID, true)
	return n, nil
}

func (s *fakeStore) file(m mailroom.Mapping, mail mailroom.Mail) int {
	p := mail.Placement
	at := place{p.RawName, p.UIDValidity, p.UID}
	if s.blobs[mail.Message.RawHash] == 0 || mail.Blob.Hash != mail.Message.RawHash {
		s.t.Errorf("%v: its raw bytes are not kept", at)
	}
	if strings.Contains(mail.Message.Subject, "XX") || mail.Message.ReceivedAt.IsZero() || mail.Message.ID == "" || mail.Message.OrgID == "" {
		s.t.Errorf("%v was filed half read: %+v", at, mail.Message)
	}
	key := mail.Message.Key()
	if _, twice := s.placed[at]; !twice && s.messages[key] == "" {
		s.messages[key] = mail.Message.ID
	}
	if p.ReadAt.IsZero() || p.ParsedAt.Before(p.ReadAt) {
		s.t.Errorf("%v: read %s, parsed %s", at, p.ReadAt, p.ParsedAt)
	}
	return s.place(m, at, p, key)
}

// place puts a message into a place and its OTYS folder.
func (s *fakeStore) place(m mailroom.Mapping, at place, p mailroom.Placement, key string) int {
	if was, twice := s.placed[at]; twice {
		was.gone = false // it is there again after all
		s.placed[at] = was
		return 0
	}
	s.placed[at] = placedMail{mapping: m.ID, key: key, flags: p.Flags, at: time.Now(), p: p}
	if p.Flags.Seen {
		s.read[at] = true
	}
	s.order = append(s.order, at)
	delete(s.quarantine, at)
	if s.delivered[m.OTYSFolderID] == nil {
		s.delivered[m.OTYSFolderID] = map[string]bool{}
	}
	if s.delivered[m.OTYSFolderID][key] {
		return 0
	}
	s.delivered[m.OTYSFolderID][key] = true
	return 1
}

func (s *fakeStore) mapping(id string) (mailroom.Mapping, bool) {
	i := slices.IndexFunc(s.mappings, func(m mailroom.Mapping) bool { return m.ID == id })
	if i < 0 {
		return mailroom.Mapping{}, false
	}
	return s.mappings[i], true
}

// audit is the equation, after every transaction. rows says that the counts must
// agree with the rows as well.
func (s *fakeStore) audit(mappingID string, rows bool) {
	p := s.progress[mappingID]
	if !p.Balanced() {
		s.t.Errorf("books of %s: %d on server ≠ %d stored + %d skipped + %d dropped + %d quarantined + %d backlog",
			mappingID, p.OnServer, p.Stored, p.Skipped.Len(), p.Dropped, p.Quarantined, p.Backlog.Len())
	}
	m, ok := s.mapping(mappingID)
	if !ok {
		return
	}
	held := s.held(m.RawName, p.Cursor.UIDValidity)
	placed, quarantined := held.Placed, held.Quarantined
	if unseen := placed.Union(quarantined).Union(p.Backlog).Union(p.Skipped).Minus(s.seen(mappingID, p.Cursor.UIDValidity)); !unseen.Empty() {
		s.t.Errorf("books of %s: nobody knows when %s were seen first", mappingID, unseen)
	}
	if !rows {
		return
	}
	if both := held.Dropped.Intersect(placed.Union(quarantined).Union(p.Backlog).Union(p.Skipped)); !both.Empty() || p.Dropped > held.Dropped.Len() {
		s.t.Errorf("books of %s: %d dropped, rows say %s, of which %s are more", mappingID, p.Dropped, held.Dropped, both)
	}
	if both := p.Backlog.Intersect(placed.Union(quarantined)); !both.Empty() {
		s.t.Errorf("books of %s: %s are backlog and filed", mappingID, both)
	}
	if both := p.Skipped.Intersect(placed.Union(quarantined).Union(p.Backlog)); !both.Empty() {
		s.t.Errorf("books of %s: %s are skipped and more", mappingID, both)
	}
	if quarantined = quarantined.Minus(placed); p.Stored != placed.Len() || p.Quarantined != quarantined.Len() {
		// A batch of which part had just left the server is put right at the next look.
		if placed.Len()-p.Stored > int64(s.biggest) || p.Stored > placed.Len() {
			s.t.Errorf("books of %s: %d stored, %d quarantined; rows say %d and %d", mappingID, p.Stored, p.Quarantined, placed.Len(), quarantined.Len())
		}
	}
}

// keep writes a progress row and the sightings that go with it.
func (s *fakeStore) keep(p mailroom.Progress) {
	s.sighted[p.MappingID] = append(s.sighted[p.MappingID], p.Sighted...)
	p.Sighted = nil
	s.progress[p.MappingID] = p
}

func (s *fakeStore) seen(mappingID string, validity uint32) mailroom.UIDSet {
	var rs []mailroom.UIDRange
	for _, v := range s.sighted[mappingID] {
		if v.UIDValidity == validity {
			rs = append(rs, mailroom.UIDRange{From: v.First, To: v.Last})
		}
	}
	return mailroom.UIDRanges(rs...)
}

func (s *fakeStore) SaveProgress(_ context.Context, c mailroom.Claim, p mailroom.Progress) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fence(c); err != nil {
		return err
	}
	if _, ok := s.mapping(p.MappingID); !ok {
		return nil
	}
	s.proofs++
	s.keep(p)
	s.audit(p.MappingID, false)
	return nil
}

func (s *fakeStore) ApplyFlags(_ context.Context, c mailroom.Claim, m mailroom.Mapping, validity uint32, changes []mailroom.FlagChange) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fence(c); err != nil {
		return err
	}
	for _, ch := range changes {
		at := place{m.RawName, validity, ch.UID}
		p, ok := s.placed[at]
		if !ok {
			continue
		}
		p.flags = ch.Flags
		s.placed[at] = p
		if ch.Flags.Seen {
			s.read[at] = true
		}
	}
	return nil
}

func (s *fakeStore) MarkGone(_ context.Context, c mailroom.Claim, mappingID string, validity uint32, gone mailroom.UIDSet) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fence(c); err != nil {
		return err
	}
	m, ok := s.mapping(mappingID)
	if !ok {
		return nil
	}
	for uid := range gone.Descending {
		at := place{m.RawName, validity, uid}
		if p, ok := s.placed[at]; ok {
			p.gone = true
			s.placed[at] = p
			if m.Removal == mailroom.RemovalRemove {
				s.leaving[m.ID+" "+p.key] = s.now()
			}
		}
		if q, ok := s.quarantine[at]; ok && q.RawHash != "" && q.DroppedAt.IsZero() {
			q.GoneAt = time.Now()
			s.quarantine[at] = q
		} else {
			delete(s.quarantine, at)
		}
	}
	return nil
}

// SettleRemovals is simpler than the store's: what lies anywhere has not left.
func (s *fakeStore) SettleRemovals(_ context.Context, c mailroom.Claim, before time.Time, limit int) (removed int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fence(c); err != nil {
		return 0, err
	}
	for id, at := range s.leaving {
		if !at.Before(before) {
			continue
		}
		delete(s.leaving, id)
		mapping, key, _ := strings.Cut(id, " ")
		lies := false
		for _, p := range s.placed {
			lies = lies || p.key == key && !p.gone
		}
		if m, ok := s.mapping(mapping); ok && !lies {
			delete(s.delivered[m.OTYSFolderID], key)
			s.removed++
			removed++
		}
	}
	return removed, nil
}

func (s *fakeStore) DueQuarantine(_ context.Context, mappingID string, now time.Time, limit int) ([]mailroom.Quarantine, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var due []mailroom.Quarantine
	for _, q := range s.quarantine {
		present := q.GoneAt.IsZero() && q.UIDValidity == s.progress[mappingID].Cursor.UIDValidity
		if q.MappingID == mappingID && !now.Before(q.RetryAt) && q.DroppedAt.IsZero() && (present || !q.GoneAt.IsZero() && q.RawHash != "") {
			due = append(due, q)
		}
	}
	slices.SortFunc(due, func(a, b mailroom.Quarantine) int { return cmp.Compare(b.UID, a.UID) })
	return due[:min(limit, len(due))], s.down
}

func (s *fakeStore) QuarantineOf(_ context.Context, mappingID string) (map[uint32]mailroom.Quarantine, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[uint32]mailroom.Quarantine{}
	for at, q := range s.quarantine {
		if q.MappingID == mappingID && q.GoneAt.IsZero() {
			out[at.uid] = q
		}
	}
	return out, s.down
}

// object is the key of the message with an object id, "" when there is none.
func (s *fakeStore) object(id string) string {
	for _, p := range s.placed {
		if id != "" && p.p.ObjectID == id {
			return p.key
		}
	}
	return ""
}

func (s *fakeStore) KnownObjects(_ context.Context, _ string, ids []string) (map[string]bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]bool{}
	for _, p := range s.placed {
		if slices.Contains(ids, p.p.ObjectID) {
			out[p.p.ObjectID] = true
		}
	}
	return out, s.down
}

func (s *fakeStore) SaveFinding(_ context.Context, c mailroom.Claim, f mailroom.Finding) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fence(c); err != nil {
		return err
	}
	if f.Count < 1 || f.At.IsZero() || f.Kind != mailroom.FoundShort && f.Count != f.UIDs.Len() {
		s.t.Errorf("finding %+v", f)
	}
	if was, ok := s.findings[f.ID]; ok && (!was.RepairedAt.IsZero() || !was.UIDs.Equal(f.UIDs)) {
		s.t.Errorf("finding %+v was %+v", f, was)
	}
	s.findings[f.ID] = f
	return nil
}

func (s *fakeStore) OpenFindings(_ context.Context, mappingID string) (out []mailroom.Finding, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.findings {
		if f.MappingID == mappingID && f.RepairedAt.IsZero() {
			out = append(out, f)
		}
	}
	return out, s.down
}

func (s *fakeStore) StartRun(_ context.Context, r mailroom.SyncRun) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runs[r.ID] = r
	return s.down
}

func (s *fakeStore) FinishRun(_ context.Context, r mailroom.SyncRun) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Stored == 0 && r.Quarantined == 0 && r.Problem == nil {
		s.t.Errorf("run %s of %s found nothing and left a trace", r.ID, r.MappingID)
	}
	s.runs[r.ID] = r
	return s.down
}

func (s *fakeStore) Answered(_ context.Context, c mailroom.Claim, wanted int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fence(c); err != nil {
		return err
	}
	s.mailbox.Done = max(s.mailbox.Done, wanted)
	s.mailbox.Problem = nil
	return nil
}

// fakeBlobs keeps raw mail and remembers how often.
type fakeBlobs struct {
	mu     sync.Mutex
	put    int
	opened int
	raws   map[string][]byte
}

func (b *fakeBlobs) Put(_ context.Context, _ string, hashes []string, raws [][]byte) ([]mailroom.BlobRef, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []mailroom.BlobRef
	for i, h := range hashes {
		if len(raws[i]) == 0 {
			return nil, fmt.Errorf("no bytes for %s", h)
		}
		out = append(out, mailroom.BlobRef{Hash: h, Pack: "1", Length: int64(len(raws[i])), Size: int64(len(raws[i])), Codec: "raw"})
		b.put++
		if b.raws == nil {
			b.raws = map[string][]byte{}
		}
		b.raws[h] = slices.Clone(raws[i])
	}
	return out, nil
}

func (b *fakeBlobs) Open(_ context.Context, _, hash string) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.opened++
	raw, ok := b.raws[hash]
	if !ok {
		return nil, mailroom.E(mailroom.NotFound, "error.blob_gone")
	}
	return slices.Clone(raw), nil
}
