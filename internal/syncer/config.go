package syncer

import (
	"log/slog"
	"math/rand/v2"
	"time"

	"mailroom/internal/envelope"
	"mailroom/internal/mailroom"
)

// Config is what a Keeper is made of. Store, Blobs and Open are needed; the
// rest has defaults.
type Config struct {
	Node    string // unique among the processes that share a database
	Version string // of the program, and of what else decides whether a mail can be read
	Store   Store
	Blobs   Blobs
	Open    Open
	// Budget is shared with whoever else connects to mailboxes; nil for one of
	// two connections everywhere.
	Budget *Budget
	Parse  func(raw []byte) (mailroom.Message, error)
	Log    *slog.Logger
	Now    func() time.Time
	Jitter func() float64 // in [0,1)
	Tuning
}

// Tuning are the numbers of the engine. Zero means the default.
type Tuning struct {
	Lease      time.Duration // how long a claim holds without being renewed
	Renew      time.Duration
	ClaimEvery time.Duration // polling behind Watch
	Sessions   int           // mailboxes at a time
	Opening    int           // of those, signing in at a time at one provider
	BulkLanes  int           // mailboxes whose backlog is read at a time

	Poll            time.Duration // looking at folders that cannot push
	BusyPoll        time.Duration // the same while the backlog shares the one connection, or nothing pushes
	CompareEvery    time.Duration // whole UID sets compared though nothing seems to differ
	CompareAgain    time.Duration // between comparisons that were called for
	FlagsEvery      time.Duration
	FlagsWindow     int64         // newest mails whose flags are looked at without CONDSTORE
	FlagsScanEvery  time.Duration // and of the older ones, FlagsChunk at a time, downwards
	FlagsChunk      int64
	RelistEvery     time.Duration // list of folders
	SubfoldersEvery time.Duration // the same where a mapping brings new subfolders along
	SaveEvery       time.Duration // a proof of freshness is written no more often

	BatchMails int
	BatchBytes int64
	BatchWait  time.Duration // the bulk lane lets a mail wait no longer
	BulkBudget int64         // octets of raw mail in memory, all bulk lanes together
	LiveBudget int64         // the same for live lanes
	Slice      int64         // mails asked for at a time from one folder
	SharedPart int64         // the same where lanes share one connection
	LiveFirst  int64         // newest mails that the live lane reads of a folder never read before
	LiveMost   int64         // new mails beyond this are backlog for the bulk lane

	Grace   time.Duration // for the batch in hand at shutdown
	Settled time.Duration // a connection that lived this long proves the server well
	Stalled time.Duration // a session that does not move for so long is started again
}

func (t Tuning) withDefaults() Tuning {
	def(&t.Lease, 15*time.Second)
	def(&t.Renew, 5*time.Second)
	def(&t.ClaimEvery, 2*time.Second)
	def(&t.Sessions, 2000)
	def(&t.Opening, 16)
	def(&t.BulkLanes, 4)
	def(&t.Poll, time.Minute)
	def(&t.BusyPoll, 2*time.Second)
	def(&t.CompareEvery, 15*time.Minute)
	def(&t.CompareAgain, time.Minute)
	def(&t.FlagsEvery, 2*time.Minute)
	def(&t.FlagsWindow, 200)
	def(&t.FlagsScanEvery, 10*time.Minute)
	def(&t.FlagsChunk, 2000)
	def(&t.RelistEvery, time.Hour)
	def(&t.SubfoldersEvery, 5*time.Minute)
	def(&t.SaveEvery, 20*time.Second)
	def(&t.BatchMails, 1000)
	def(&t.BatchBytes, 24<<20)
	def(&t.BatchWait, 250*time.Millisecond)
	def(&t.BulkBudget, 48<<20)
	def(&t.LiveBudget, 24<<20)
	def(&t.Slice, 2000)
	def(&t.SharedPart, 100)
	def(&t.LiveFirst, 50)
	def(&t.LiveMost, 200)
	def(&t.Grace, 5*time.Second)
	def(&t.Settled, 5*time.Minute)
	def(&t.Stalled, 20*time.Minute)
	return t
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

func (c Config) withDefaults() Config {
	if c.Node == "" {
		c.Node = mailroom.NewID("node")
	}
	if c.Budget == nil {
		c.Budget = NewBudget(nil)
	}
	if c.Parse == nil {
		c.Parse = envelope.Parse
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Jitter == nil {
		c.Jitter = rand.Float64
	}
	c.Tuning = c.Tuning.withDefaults()
	return c
}
