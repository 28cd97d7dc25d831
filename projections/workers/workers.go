// Package workers is the read model behind lists and pages of workers: who they
// are and what has become of them. What they have room for is in package
// cluster, what they use in package telemetry.
//
// [Workers] is part of a World: its World changes it, readers share it once that
// World is published. It has no lock; reading concurrently is safe, changing is
// the owner's alone.
package workers

import (
	"iter"

	"github.com/tidwall/btree"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/resource"
	"github.com/hodei-jobs/hodei/aggregates/worker"
	"github.com/hodei-jobs/hodei/eventstore"
)

// KeptTerminated is how many terminated workers stay; those that ended first go.
const KeptTerminated = 1000

// Worker is what is known of a worker. It is shared and must not be changed.
// Times are ns since 1970.
type Worker struct {
	ID     id.ID
	Status worker.Status
	Since  int64               // it has that status
	Last   eventstore.Position // of the event that gave it its status

	Name      string
	OS, Arch  string
	Version   string // of its agent
	Labels    resource.Labels
	Capacity  resource.Amount
	Provider  string
	Pool      string
	TokenID   string
	Handle    string // the provider's own name for it
	PublicKey []byte // Ed25519; nil until it registered
	Instance  []byte // of the agent's process whose session is or was the newest
	Epoch     uint64 // of that session
	GoesOn    int64  // ns that its agent goes on without a server at most, whichever change of the settings it has heard of

	Cordoned bool
	Draining bool
	Deadline int64  // of the drain; 0 is none
	LaunchBy int64  // until it has registered: when its launch has failed; 0 is never
	Reason   string // of its last disconnection or of its end
	Frozen   bool   // an event of it can't be understood; it will not change any more
}

// Registered reports whether it has proved its key, so that it may connect.
func (w *Worker) Registered() bool { return w.PublicKey != nil }

// Workers holds the workers.
type Workers struct {
	rows  btree.Map[id.ID, *Worker]
	ended btree.Map[eventstore.Position, id.ID] // terminated, by Last

	launches *btree.BTreeG[launch] // those that have not registered and are to by some time
}

// launch is a worker that is to register, by when that is.
type launch struct {
	by int64 // ns since 1970
	id id.ID
}

func (a launch) less(b launch) bool { return a.by < b.by || a.by == b.by && a.id < b.id }

// New returns no workers.
func New() *Workers {
	return &Workers{launches: btree.NewBTreeGOptions(launch.less, btree.Options{NoLocks: true})}
}

// Fork returns workers that share everything with ws until one of the two is
// changed. It takes constant time and writes ws, so forks of the same must not be
// made at the same time.
func (ws *Workers) Fork() *Workers {
	return &Workers{*ws.rows.Copy(), *ws.ended.Copy(), ws.launches.Copy()}
}

// Len returns how many workers are here.
func (ws *Workers) Len() int { return ws.rows.Len() }

// Get returns a worker.
func (ws *Workers) Get(i id.ID) (*Worker, bool) { return ws.rows.Get(i) }

// All returns the workers by id.
func (ws *Workers) All() iter.Seq[*Worker] {
	return func(yield func(*Worker) bool) {
		ws.rows.Scan(func(_ id.ID, w *Worker) bool { return yield(w) })
	}
}

// Launches returns the workers that were asked for and have not registered, the one
// that is to do so first before the others; those without a limit are left out.
func (ws *Workers) Launches() iter.Seq[*Worker] {
	return func(yield func(*Worker) bool) {
		ws.launches.Scan(func(l launch) bool {
			w, ok := ws.rows.Get(l.id)
			return !ok || yield(w)
		})
	}
}

// launches reports whether a worker is to register by some time.
func (w *Worker) launches() bool {
	return w.LaunchBy != 0 && (w.Status == worker.Requested || w.Status == worker.Launched) && !w.Frozen
}

// Set puts a worker in, in place of the one with its id, and keeps w. Only the
// World calls it.
func (ws *Workers) Set(w *Worker) {
	if before, ok := ws.rows.Set(w.ID, w); ok && before.launches() {
		ws.launches.Delete(launch{before.LaunchBy, w.ID})
	}
	if w.launches() {
		ws.launches.Set(launch{w.LaunchBy, w.ID})
	}
	if w.Status != worker.Terminated {
		return
	}
	ws.ended.Set(w.Last, w.ID)
	for ws.ended.Len() > KeptTerminated {
		_, oldest, _ := ws.ended.PopMin()
		ws.rows.Delete(oldest)
	}
}

// GoOnFor notes that agents which are connected may have been told to go on for so
// many ns without a server. Only the World calls it.
func (ws *Workers) GoOnFor(ns int64) {
	var told []*Worker
	for w := range ws.All() {
		if w.Status == worker.Connected && w.GoesOn < ns {
			told = append(told, w)
		}
	}
	for _, w := range told {
		row := *w
		row.GoesOn = ns
		ws.Set(&row)
	}
}
