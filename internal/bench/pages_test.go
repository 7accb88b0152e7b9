package bench

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mailroom/internal/mailroom"
	"mailroom/internal/peers"
	"mailroom/internal/portal"
)

// browser is a signed-in user's.
type browser struct {
	http.Client
	site *site
}

// signedIn signs a user in over HTTP. Each seems to come from an address of its
// own: from one, only so many may try in a minute.
func (s *site) signedIn(ctx context.Context, u mailroom.User, number int) (*browser, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	b := &browser{Client: http.Client{Jar: jar, Transport: &http.Transport{MaxIdleConnsPerHost: 4}}, site: s}
	req, err := http.NewRequestWithContext(ctx, "POST", s.URL()+"/sign-in", strings.NewReader(url.Values{"email": {u.Email}, "password": {password}}.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("X-Forwarded-For", fmt.Sprintf("192.0.2.%d", number%256))
	b.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := b.Do(req)
	if err != nil {
		return nil, err
	}
	res.Body.Close()
	if res.StatusCode != http.StatusSeeOther {
		return nil, fmt.Errorf("%s could not sign in: %s", u.Email, res.Status)
	}
	b.CheckRedirect = nil
	return b, nil
}

// ask is how long a page took, in ms, to its last byte.
func (b *browser) ask(path string) (float64, error) {
	started := time.Now()
	res, err := b.Get(b.site.URL() + path)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return 0, err
	}
	if res.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s: %s", path, res.Status)
	}
	return time.Since(started).Seconds() * 1e3, nil
}

// BenchmarkList asks for the list of mail of a large folder while another mailbox
// does its first sync, and of a small one while nothing happens.
func BenchmarkList(t *testing.B) {
	shown, few, asked, count := n(t, "shown"), n(t, "few"), n(t, "asked"), n(t, "beside")
	server := pretendServer(t, modern(), 2, func(i int) []smallMail { return smallCorpus(uint64(6+i), []int{shown, few}[i]) })
	d, _ := recruitersServer(t, count)
	s, err := open(t.Context(), t.TempDir(), "", "")
	must(t, err)
	defer func() { must(t, s.close()) }()
	users, err := s.staff(t.Context(), 3)
	must(t, err)
	must(t, s.connectAll(t.Context(), users[:2], server.source(0, false)))
	var browsers []*browser
	for i, size := range []int{shown, few} {
		must(t, s.stored(t.Context(), users[i], size, nil))
		b, err := s.signedIn(t.Context(), users[i], i)
		must(t, err)
		browsers = append(browsers, b)
	}
	measure := func(b *browser, enough <-chan struct{}) (all []float64) {
		tick := time.NewTicker(10 * time.Millisecond) // a person, not a flood
		defer tick.Stop()
		for range asked {
			select {
			case <-enough:
				return all
			case <-tick.C:
			}
			took, err := b.ask("/mail")
			must(t, err)
			all = append(all, took)
		}
		return all
	}
	measure(browsers[0], nil)
	small, large := measure(browsers[1], nil), measure(browsers[0], nil)
	must(t, s.connect(t.Context(), users[2], d.Source(owner, mailPass, false)))
	first, err := s.begin(t.Context(), users[2], count)
	must(t, err)
	busy := measure(browsers[0], first.done)
	<-first.done
	must(t, first.err)
	if len(busy) == 0 {
		t.Fatal("the first sync was over before anything was measured")
	}
	for _, x := range []struct {
		name string
		v    []float64
	}{{fmt.Sprintf("%d, idle", few), small}, {fmt.Sprintf("%d, idle", shown), large}, {fmt.Sprintf("%d, during a first sync", shown), busy}} {
		tell("list page at %s: p50 %.1f ms, p99 %.1f ms (%d times)", x.name, median(x.v), quantile(x.v, 0.99), len(x.v))
	}
	report(t, result{Name: "list page at 100,000 messages during a first sync, p99, against 1,000 idle", Ours: quantile(busy, 0.99), Peer: quantile(small, 0.99), Unit: "ms", Target: 2})
	report(t, result{Name: "list page at 100,000 messages, idle, p99, against 1,000", Ours: quantile(large, 0.99), Peer: quantile(small, 0.99), Unit: "ms"})
}

// visited are the pages that users ask for; what htmx puts into a page in its turn
// is a part of the same page, rendered whole. {mail} is the newest mail of the user.
var visited = []string{
	"/", "/mail", "/mail?q=interview", "/mail/{mail}", "/mail/{mail}/html", "/mail/choices", "/mail/quarantine", "/mail/trail", "/people",
	"/settings", "/settings/profile", "/settings/integrations", "/settings/integrations/mapping", "/help",
	"/admin/users", "/admin/sync", "/admin/audit", "/admin/organization",
}

// withHTML is mail whose pages have something to show.
func withHTML(seed uint64, count int) []smallMail {
	r := rand.New(rand.NewPCG(seed, 4))
	out := make([]smallMail, count)
	for i := range out {
		out[i] = smallMail{mail(r, i, 6000)}
	}
	return out
}

// BenchmarkPages has signed-in users ask for pages, each one after a while of
// thinking and with a stream of changes open, on SQLite and on PostgreSQL.
func BenchmarkPages(t *testing.B) {
	count, total := n(t, "users"), n(t, "pages")
	const mails = 20 // of each user
	times := map[string]map[string][]float64{}
	for engine, database := range map[string]string{"SQLite": "", "PostgreSQL": peers.Postgres(t)} {
		times[engine] = askedBy(t, database, count, mails, total)
	}
	tell("%-34s %10s %10s %10s %10s   ms, %d users", "page", "SQLite p50", "p99", "PG p50", "p99", count)
	worst := map[string]float64{}
	for _, path := range slices.Sorted(maps.Keys(times["SQLite"])) {
		lite, pg := times["SQLite"][path], times["PostgreSQL"][path]
		tell("%-34s %10.1f %10.1f %10.1f %10.1f", path, median(lite), quantile(lite, 0.99), median(pg), quantile(pg, 0.99))
		for name, q := range map[string]float64{"p50": 0.5, "p99": 0.99} {
			report(t, result{Name: fmt.Sprintf("page %s under 200 users, %s, SQLite against PostgreSQL", path, name), Ours: quantile(lite, q), Peer: quantile(pg, q), Unit: "ms"})
		}
		for engine, v := range map[string][]float64{"SQLite": lite, "PostgreSQL": pg} {
			worst[engine] = max(worst[engine], quantile(v, 0.99))
		}
	}
	for _, engine := range slices.Sorted(maps.Keys(worst)) {
		report(t, result{Name: "slowest page under 200 users, p99, " + engine, Ours: worst[engine], Unit: "ms"})
	}
}

// askedBy are the times of pages on one engine, by path.
func askedBy(t testing.TB, database string, count, mails, total int) map[string][]float64 {
	t.Helper()
	think := time.Duration(n(t, "think")) * time.Millisecond
	server := pretendServer(t, modern(), count, func(i int) []smallMail { return withHTML(uint64(100+i), mails) })
	s, err := open(t.Context(), t.TempDir(), database, "")
	must(t, err)
	defer func() { must(t, s.close()) }()
	users, err := s.staff(t.Context(), count)
	must(t, err)
	must(t, s.connectAll(t.Context(), users, server.source(0, false)))
	browsers, newest := make([]*browser, count), make([]string, count)
	for i, u := range users {
		must(t, s.stored(t.Context(), u, mails, nil))
		list, err := s.Portal.Mails(t.Context(), u, portal.MailQuery{Limit: 1})
		must(t, err)
		newest[i] = list.Rows[0].ID
		browsers[i], err = s.signedIn(t.Context(), u, i)
		must(t, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	var mu sync.Mutex
	times := map[string][]float64{}
	var failed error
	var asking sync.WaitGroup
	for i, b := range browsers {
		all.Go(func() { b.listen(ctx) })
		asking.Go(func() {
			tick := time.NewTicker(think)
			defer tick.Stop()
			wait := time.NewTimer(think * time.Duration(i) / time.Duration(count)) // not all at once
			defer wait.Stop()
			<-wait.C
			for k := range max(total/count, 1) {
				path := visited[(i+k)%len(visited)]
				who := b
				if strings.HasPrefix(path, "/admin/") {
					who = browsers[0] // the one administrator
				}
				took, err := who.ask(strings.ReplaceAll(path, "{mail}", newest[i]))
				mu.Lock()
				times[path] = append(times[path], took)
				if failed == nil {
					failed = err
				}
				mu.Unlock()
				if err != nil {
					return
				}
				<-tick.C
			}
		})
	}
	asking.Wait()
	must(t, failed)
	return times
}

// listen is the stream by which pages refresh themselves.
func (b *browser) listen(ctx context.Context) {
	req, err := http.NewRequestWithContext(ctx, "GET", b.site.URL()+"/events", nil)
	if err != nil {
		return
	}
	res, err := b.Do(req)
	if err != nil {
		return // told to stop
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
}
