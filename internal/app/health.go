package app

import (
	"crypto/subtle"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"mailroom/internal/mailroom"
	"mailroom/internal/notice"
	"mailroom/internal/syncer"
)

// alive answers /healthz: the process runs and answers.
func alive(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Write([]byte("ok\n"))
}

// readyWithin is how long a probe waits for the database.
const readyWithin = 3 * time.Second

// ready answers /readyz: 200 when the database takes a write, else 503 with the
// kind of trouble and nothing more.
func (a *App) ready() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := a.writable(r.Context())
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if err != nil {
			a.log.Warn("not ready", "err", err)
			w.WriteHeader(http.StatusServiceUnavailable)
			w.Write([]byte("database: " + mailroom.AsError(err).Key + "\n"))
			return
		}
		w.Write([]byte("ready\n"))
	})
}

// meters are the Prometheus figures.
type meters struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
}

func newMeters(k *syncer.Keeper, t *notice.Teller) *meters {
	m := &meters{registry: prometheus.NewRegistry(), requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "mailroom_http_request_seconds", Help: "Time that requests took, by route and status.",
		Buckets: []float64{.002, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
	}, []string{"method", "route", "status"})}
	m.registry.MustRegister(m.requests, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.registry.MustRegister(syncFigures{k}, noticeFigures{t, time.Now})
	return m
}

// syncFigures reads the syncer's counters once per scrape.
type syncFigures struct{ keeper *syncer.Keeper }

var (
	watched     = prometheus.NewDesc("mailroom_mailboxes_watched", "Mailboxes that this node holds the lease of.", nil, nil)
	backfilling = prometheus.NewDesc("mailroom_mailboxes_backfilling", "Of those, reading a backlog.", nil, nil)
	stored      = prometheus.NewDesc("mailroom_messages_stored_total", "Messages filed by this node.", nil, nil)
	quarantined = prometheus.NewDesc("mailroom_messages_quarantined_total", "Messages put in quarantine by this node.", nil, nil)
	octets      = prometheus.NewDesc("mailroom_raw_bytes_total", "Octets of raw mail read by this node.", nil, nil)
	checks      = prometheus.NewDesc("mailroom_folder_checks_total", "Folders looked at by this node.", nil, nil)
	panics      = prometheus.NewDesc("mailroom_session_panics_total", "Sessions that ended by a fault of ours.", nil, nil)
	differences = prometheus.NewDesc("mailroom_ledger_differences_total", "Differences between a folder and the ledger that this node found.", nil, nil)
	stalled     = prometheus.NewDesc("mailroom_sessions_stalled_total", "Sessions that did not move and were started again.", nil, nil)
	failures    = prometheus.NewDesc("mailroom_sync_errors_total", "Ended sessions and parked folders, by kind of trouble.", []string{"kind"}, nil)
	renewal     = prometheus.NewDesc("mailroom_lease_renewal_timestamp_seconds", "When leases were last renewed.", nil, nil)
)

// Describe implements prometheus.Collector.
func (f syncFigures) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{watched, backfilling, stored, quarantined, octets, checks, panics, stalled, differences, failures, renewal} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (f syncFigures) Collect(ch chan<- prometheus.Metric) {
	s := f.keeper.Stats()
	put := func(d *prometheus.Desc, kind prometheus.ValueType, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, float64(v), labels...)
	}
	put(watched, prometheus.GaugeValue, s.Sessions)
	put(backfilling, prometheus.GaugeValue, s.BulkLanes)
	put(stored, prometheus.CounterValue, s.Stored)
	put(quarantined, prometheus.CounterValue, s.Quarantined)
	put(octets, prometheus.CounterValue, s.Bytes)
	put(checks, prometheus.CounterValue, s.Checks)
	put(panics, prometheus.CounterValue, s.Panics)
	put(differences, prometheus.CounterValue, s.Differences)
	put(stalled, prometheus.CounterValue, s.Stalled)
	for kind, n := range s.Errors {
		put(failures, prometheus.CounterValue, n, string(kind))
	}
	if !s.LastRenewal.IsZero() {
		put(renewal, prometheus.GaugeValue, s.LastRenewal.Unix())
	}
}

func (m *meters) observe(method, route string, status int, took time.Duration) {
	m.requests.WithLabelValues(method, route, strconv.Itoa(status)).Observe(took.Seconds())
}

// handler shows the figures to whoever has the token; without one, to this
// machine only, and not through a proxy on it.
func (m *meters) handler(token string) http.Handler {
	show := promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !mayMeasure(r, token) {
			http.Error(w, "metrics need MAILROOM_METRICS_TOKEN", http.StatusForbidden)
			return
		}
		show.ServeHTTP(w, r)
	})
}

func mayMeasure(r *http.Request, token string) bool {
	if token != "" {
		given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		return ok && subtle.ConstantTimeCompare([]byte(given), []byte(token)) == 1
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback() && r.Header.Get("X-Forwarded-For") == "" && r.Header.Get("Forwarded") == ""
}
