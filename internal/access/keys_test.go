package access_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"mailroom/internal/access"
	"mailroom/internal/mailroom"
	"mailroom/internal/store/storetest"
	"mailroom/internal/vault"
)

// A secret that a rotation forgets is lost with the old key: every column that
// names a key is either sealed again, or known to be under a mailbox's data key,
// or no key of ours at all.
func TestEverySealedColumnIsKnown(t *testing.T) {
	underDataKey := map[string]bool{"mailboxes.password_key": true, "grants.access_key": true, "grants.refresh_key": true}
	noKey := map[string]bool{"messages.dedupe_key": true}
	rotated := map[string]bool{}
	for _, c := range access.SealedColumns() {
		rotated[c.Table+"."+c.Key] = true
	}
	db := storetest.SQL(t, storetest.Open(t))
	rows, err := db.Query(`SELECT m.name || '.' || p.name FROM sqlite_master m JOIN pragma_table_info(m.name) p WHERE m.type = 'table'`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	named, seen := regexp.MustCompile(`_key(_id)?$`), 0
	for rows.Next() {
		var column string
		if err := rows.Scan(&column); err != nil {
			t.Fatal(err)
		}
		if !named.MatchString(column) {
			continue
		}
		if seen++; !rotated[column] && !underDataKey[column] && !noKey[column] {
			t.Errorf("%s names a key, and `mailroom keys rotate` does not know it: see sealedColumns", column)
		}
		delete(rotated, column)
	}
	if err := rows.Err(); err != nil || seen < 8 || len(rotated) > 0 {
		t.Errorf("%d columns, not in the schema: %v, %v", seen, slices.Collect(maps.Keys(rotated)), err)
	}
}

// keyFile has the house's keys in a file, which it follows.
func (h *house) keyFile() (path string) {
	h.t.Helper()
	path = filepath.Join(h.t.TempDir(), "mailroom.key")
	var err error
	if h.ring, err = vault.FollowFile(path, func(err error) { h.t.Error(err) }); err != nil {
		h.t.Fatal(err)
	}
	h.deps.Vault = h.ring
	h.Access = access.New(h.deps)
	return path
}

// newKey has another key seal from now on.
func (h *house) newKey(path string) (id string) {
	h.t.Helper()
	id, err := vault.AddKey(path, time.Now())
	if err == nil {
		err = vault.UseKey(path, id)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return id
}

// secrets puts a value into each place that a key-encryption key seals itself,
// but the mailboxes, and returns what they are tied to.
func (h *house) secrets() map[string]string {
	h.t.Helper()
	seal := func(table, row string) (string, []byte) {
		return h.ring.Seal(access.Identity(table, row), []byte("secret of "+row))
	}
	key, data := seal("credentials", "cre_1")
	h.exec(`INSERT INTO credentials(id, org_id, provider_id, use, kind, client_id, created_by, created_at, sealed_key, sealed_data)
		VALUES ('cre_1',$1,'microsoft','mail','secret','c',$2,1,$3,$4)`, h.user.OrgID, h.user.ID, key, data)
	key, data = seal("pending_grants", "pen_1")
	h.exec(`INSERT INTO pending_grants(id, binding, org_id, user_id, mailbox_id, provider_id, account, sealed_key, sealed_data, created_at, expires_at)
		VALUES ('pen_1','b',$1,$2,$3,'microsoft','a',$4,$5,1,9)`, h.user.OrgID, h.user.ID, h.box.ID, key, data)
	key, data = seal("doctor_requests", "hash_1")
	h.exec(`INSERT INTO doctor_requests(state_hash, binding, org_id, user_id, provider_id, address, verifier_key, verifier_data, nonce, created_at, expires_at)
		VALUES ('hash_1','b',$1,$2,'microsoft','a',$3,$4,'n',1,9)`, h.user.OrgID, h.user.ID, key, data)
	return map[string]string{"credentials": "cre_1", "pending_grants": "pen_1", "doctor_requests": "hash_1"}
}

func (h *house) wantSecrets(places map[string]string) {
	h.t.Helper()
	for _, c := range access.SealedColumns() {
		row := places[c.Table]
		if row == "" {
			continue
		}
		var key string
		var data []byte
		if err := h.db.QueryRow(`SELECT `+c.Key+`, `+c.Data+` FROM `+c.Table+` WHERE `+c.Row+` = $1`, row).Scan(&key, &data); err != nil {
			h.t.Fatal(err)
		}
		if got, err := h.ring.Open(access.Identity(c.Table, row), key, data); err != nil || string(got) != "secret of "+row {
			h.t.Errorf("%s: %q, %v", c.Table, got, err)
		}
	}
}

// interrupted fails each write of a rotation but the first few, as a process that
// is killed does.
type interrupted struct {
	access.Store
	left int
}

func (s *interrupted) Reseal(ctx context.Context, c mailroom.SealedColumn, rows []mailroom.Resealed) (int64, error) {
	if s.left--; s.left < 0 {
		return 0, errors.New("killed")
	}
	return s.Store.Reseal(ctx, c, rows)
}

func TestKeysRotated(t *testing.T) {
	h := newHouse(t)
	path := h.keyFile()
	h.granted()
	old := h.ring.Newest()
	places, begun := h.secrets(), h.begin(binding)
	id := h.newKey(path)

	cut := h.deps
	cut.Store = &interrupted{Store: h.store, left: 2}
	if _, err := access.New(cut).Rewrap(t.Context()); err == nil {
		t.Fatal("a rotation that was cut off says that it is done")
	}
	h.wantToken("ACCESS-TOKEN-1")
	h.wantSecrets(places)
	s, err := h.Keys(t.Context())
	if err != nil || s.Seals[old] != 3 || s.Seals[id] != 2 || len(s.Unused()) != 0 {
		t.Errorf("half-way: %+v, %v", s, err)
	}

	done, err := h.Rewrap(t.Context())
	if err != nil || done.Done != 3 || done.Key != id || len(done.Shut) != 0 {
		t.Errorf("again: %+v, %v", done, err)
	}
	if done, err := h.Rewrap(t.Context()); err != nil || done.Done != 0 {
		t.Errorf("a third time: %+v, %v", done, err)
	}
	if s, err = h.Keys(t.Context()); err != nil || !slices.Equal(s.Unused(), []string{old}) {
		t.Errorf("afterwards %+v, %v: the old key is needed no more", s, err)
	}
	if err := vault.DropKey(path, old); err != nil {
		t.Fatal(err)
	}
	h.wantToken("ACCESS-TOKEN-1")
	h.spend()
	h.wantToken("ACCESS-TOKEN-2")
	h.wantSecrets(places)
	h.oauth.grant = tokens(7)
	if _, err := h.finish(begun); err != nil {
		t.Errorf("a grant that was begun before: %v", err)
	}
}

// What people and the syncer do while everything is sealed again goes on, and is
// not undone by it.
func TestKeysRotatedUnderLoad(t *testing.T) {
	s := storetest.Open(t)
	houses := []*house{newHouseIn(t, s)}
	path := houses[0].keyFile()
	for range 5 {
		h := newHouseIn(t, s)
		h.deps.Vault, h.ring = houses[0].ring, houses[0].ring
		h.Access = access.New(h.deps)
		houses = append(houses, h)
	}
	for _, h := range houses {
		h.granted()
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i, h := range houses {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if i%2 == 0 {
					if _, err := h.finish(h.begin(binding)); err != nil {
						t.Error(err)
					}
				}
				if _, err := h.token(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var old []string
	for range 4 {
		old = append(old, houses[0].ring.Newest())
		houses[0].newKey(path)
		if _, err := houses[0].Rewrap(t.Context()); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	wg.Wait()
	if _, err := houses[0].Rewrap(t.Context()); err != nil { // what was sealed at that moment
		t.Error(err)
	}
	for _, id := range old {
		if err := vault.DropKey(path, id); err != nil {
			t.Fatal(err)
		}
	}
	for _, h := range houses {
		if _, err := h.token(); err != nil {
			t.Errorf("without the old keys: %v", err)
		}
	}
}

func TestWhatDoesNotOpenIsNamed(t *testing.T) {
	h := newHouse(t)
	path := h.keyFile()
	h.granted()
	lost := h.ring.Newest()
	if err := os.WriteFile(path, []byte(vault.NewKey(time.Now())+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	places := h.secrets()
	h.newKey(path)
	done, err := h.Rewrap(t.Context())
	if err != nil || done.Done != int64(len(places)) || done.Shut[lost] != 1 {
		t.Errorf("%+v, %v: the rest is done, and what cannot be is named", done, err)
	}
	if s, err := h.Keys(t.Context()); err != nil || s.Seals[lost] != 1 {
		t.Errorf("%+v, %v", s, err)
	}
}

// A process says which keys it knows, at once when they change, and no more when
// it has ended.
func TestProcessesTellTheirKeys(t *testing.T) {
	h := newHouse(t)
	path := h.keyFile()
	h.granted()
	h.deps.Node, h.deps.Store = "node-a", &told{Store: h.store, heard: make(chan mailroom.NodeKeys, 8)}
	heard := h.deps.Store.(*told).heard
	h.Access = access.New(h.deps)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- h.Run(ctx) }()
	first := <-heard
	if first.Node != "node-a" || first.Newest != h.ring.Newest() || len(first.Known) != 1 {
		t.Errorf("told %+v", first)
	}
	id, err := vault.AddKey(path, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if s, err := h.Keys(t.Context()); err != nil || !slices.Equal(s.Without(id), []string{"node-a"}) || s.Next() != id {
		t.Errorf("before the process has looked: %+v, %v", s, err)
	}
	if next := <-heard; !slices.Contains(next.Known, id) || next.Newest != first.Newest {
		t.Errorf("then told %+v", next)
	}
	if s, err := h.Keys(t.Context()); err != nil || len(s.Without(id)) != 0 {
		t.Errorf("when it has: %+v, %v", s, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if s, err := h.Keys(t.Context()); err != nil || len(s.Nodes) != 0 {
		t.Errorf("after its end: %+v, %v", s, err)
	}
}

type told struct {
	access.Store
	heard chan mailroom.NodeKeys
}

func (s *told) NoteKeys(ctx context.Context, k mailroom.NodeKeys) error {
	err := s.Store.NoteKeys(ctx, k)
	s.heard <- k
	return err
}
