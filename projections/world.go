// Package projections derives from the log what the system is at a position: a
// [World]. All read models together are one World, a value that shares what did
// not change with the Worlds before it.
//
//	store ──ReadAll──▶ Runner: World.Apply, one record after the other
//	                     │ Fork, one atomic pointer
//	                     ▼
//	                   readers: scheduler, gateway, api, … never lock
//
// [World.Apply] depends on nothing but the World and the record, so the same log
// gives the same World, byte for byte: live, from a snapshot and its tail, or
// replayed from the beginning. What shapes it (how many finished jobs stay,
// aging) is itself set by events.
package projections

import (
	"fmt"
	"iter"
	"log/slog"
	"runtime/debug"
	"sync"

	"github.com/tidwall/btree"

	"github.com/hodei-jobs/hodei/aggregates/settings"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections/access"
	"github.com/hodei-jobs/hodei/projections/cluster"
	"github.com/hodei-jobs/hodei/projections/jobs"
	"github.com/hodei-jobs/hodei/projections/queue"
	"github.com/hodei-jobs/hodei/projections/secrets"
	"github.com/hodei-jobs/hodei/projections/workers"
)

// Version is of the rules by which a World follows from the log. It changes with
// them; a snapshot of another version is not used.
const Version = "3"

// World is everything that follows from the log up to a position. Once it was
// published it doesn't change: it may be read by everyone without a lock. Who
// wants to go on from it forks it.
type World struct {
	Position eventstore.Position // of the last record applied
	Time     int64               // of that record, ns since 1970

	Queue    *queue.Queue
	Cluster  *cluster.Cluster
	Jobs     *jobs.Jobs
	Workers  *workers.Workers
	Access   *access.Access
	Secrets  *secrets.Secrets
	Settings settings.State

	frozen btree.Map[string, Freeze]

	forking sync.Mutex // a fork writes its source

	// Of whoever applies.
	decoder decoder
}

// Freeze says why a stream changes this World no more.
type Freeze struct {
	Position eventstore.Position // of the record it stands at
	Why      Verdict
}

// Verdict is what became of a record.
type Verdict uint8

const (
	Applied     Verdict = iota
	Undecodable         // its data is not what its type says
	Impossible          // it contradicts what was before it
	Panicked            // applying it met a bug of ours
)

// String returns the verdict as one word.
func (v Verdict) String() string {
	switch v {
	case Applied:
		return "applied"
	case Undecodable:
		return "undecodable"
	case Impossible:
		return "impossible"
	case Panicked:
		return "panicked"
	}
	return fmt.Sprintf("verdict_%d", uint8(v))
}

// NewWorld returns the World at position 0, the empty log.
func NewWorld() *World {
	return &World{
		Queue:    queue.New(),
		Cluster:  cluster.New(),
		Jobs:     jobs.New(),
		Workers:  workers.New(),
		Access:   access.New(),
		Secrets:  secrets.New(),
		Settings: settings.Default(),
	}
}

// Fork returns a World equal to w that can be changed without w being seen to.
// It takes constant time. It is safe for concurrent use with itself and with
// reads of w, but not with Apply on w.
func (w *World) Fork() *World {
	w.forking.Lock()
	defer w.forking.Unlock()
	return &World{
		Position: w.Position,
		Time:     w.Time,
		Queue:    w.Queue.Fork(),
		Cluster:  w.Cluster.Fork(),
		Jobs:     w.Jobs.Fork(),
		Workers:  w.Workers.Fork(),
		Access:   w.Access.Fork(),
		Secrets:  w.Secrets.Fork(),
		Settings: w.Settings,
		frozen:   *w.frozen.Copy(),
	}
}

// Frozen returns the streams that change w no more.
func (w *World) Frozen() iter.Seq2[eventstore.StreamID, Freeze] {
	return func(yield func(eventstore.StreamID, Freeze) bool) {
		w.frozen.Scan(func(s string, f Freeze) bool { return yield(eventstore.StreamID(s), f) })
	}
}

// Apply takes the record after w's position into w. A record that can't be taken
// freezes its stream: it and what follows in that stream change nothing more,
// and a job is taken out of the queue and off its worker. Types that no read
// model follows change nothing but position and time. Apply is for w's owner
// alone. It panics if the record is not the next one.
func (w *World) Apply(r *eventstore.Record) {
	if r.Position != w.Position+1 {
		panic(fmt.Sprintf("projections: record #%d was applied to the World at #%d", r.Position, w.Position))
	}
	w.Position, w.Time = r.Position, r.Time
	kind := foldOf(r.Type)
	if kind == nil || w.isFrozen(r.Stream) {
		return
	}
	if v := kind(w, r); v != Applied {
		w.freeze(r, v)
	}
}

// ApplySafely is Apply for a server that must go on: a panic, which is a bug of
// ours, is logged with its stack and freezes the stream. What was half done
// stays half done, the same on every replay by the same version.
func (w *World) ApplySafely(r *eventstore.Record, log *slog.Logger) {
	defer func() {
		bug := recover()
		if bug == nil {
			return
		}
		if w.Position != r.Position {
			panic(bug) // out of order: the caller's bug, and no stream's
		}
		log.Error("applying a record failed; its stream is frozen", "position", uint64(r.Position),
			"stream", string(r.Stream), "type", r.Type, "panic", bug, "stack", string(debug.Stack()))
		w.freezeAfterPanic(r, log)
	}()
	w.Apply(r)
}

// freezeAfterPanic freezes a stream as far as a World allows in which something
// is half done.
func (w *World) freezeAfterPanic(r *eventstore.Record, log *slog.Logger) {
	defer func() {
		if bug := recover(); bug != nil {
			log.Error("freezing a stream failed", "stream", string(r.Stream), "panic", bug)
		}
	}()
	w.freeze(r, Panicked)
}

func (w *World) isFrozen(s eventstore.StreamID) bool {
	if w.frozen.Len() == 0 {
		return false
	}
	_, frozen := w.frozen.Get(string(s))
	return frozen
}

// freeze lets a stream change w no more, and takes care that nothing waits for
// or relies on what is frozen.
func (w *World) freeze(r *eventstore.Record, why Verdict) {
	w.frozen.Set(string(r.Stream), Freeze{r.Position, why})
	if i, ok := jobOf(r.Stream); ok {
		w.freezeJob(i)
	} else if i, ok := workerOf(r.Stream); ok {
		w.freezeWorker(i)
	} else if i, ok := tokenOf(r.Stream); ok {
		w.freezeToken(i)
	}
}
