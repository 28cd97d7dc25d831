package api

import (
	"sync"
	"sync/atomic"

	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/commands/placement"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections"
	"github.com/hodei-jobs/hodei/projections/jobs"
	"github.com/hodei-jobs/hodei/projections/queue"
	"github.com/hodei-jobs/hodei/projections/telemetry"
)

// reasons remembers why each class waits, as of one World: working it out looks
// at every worker, and all jobs of a class wait for the same.
type reasons struct{ newest atomic.Pointer[explained] }

// explained does not hold its World, which would keep all of it in memory: a
// position has but one.
type explained struct {
	at   eventstore.Position
	view *telemetry.View

	mu      sync.RWMutex
	classes map[eventstore.Position]placement.Why // by origin
}

// of returns why the class waits.
func (r *reasons) of(in placement.Input, c queue.Class) placement.Why {
	known := r.newest.Load()
	if known == nil || known.at != in.Position || known.view != in.Telemetry {
		known = &explained{at: in.Position, view: in.Telemetry, classes: map[eventstore.Position]placement.Why{}}
		r.newest.Store(known)
	}
	known.mu.RLock()
	why, ok := known.classes[c.Origin]
	known.mu.RUnlock()
	if ok {
		return why
	}
	why = placement.Explain(in, c)
	why.Workers = nil // one a worker, and not shown
	known.mu.Lock()
	known.classes[c.Origin] = why
	known.mu.Unlock()
	return why
}

// waiting adds why a job that has not ended does not run.
func (s *server) waiting(w *projections.World, j *jobs.Job, v *wire.Job) {
	entry := queue.Entry{Class: j.Class, Key: j.Key, Job: j.Position, ID: j.ID, Attempt: j.Attempt + 1}
	var why placement.Why
	switch {
	case j.Status == job.Bound:
		v.Reason, v.Summary = "dispatched", "sent to "+v.WorkerName+", not yet confirmed"
		return
	case j.Status != job.Pending:
		return
	case j.Backoff:
		why = placement.ExplainBackoff(queue.Gated{Due: j.Due, Entry: entry}, s.Clock().UnixNano())
	default:
		in := s.input(w)
		class, _ := w.Queue.Class(j.Class)
		why = s.reasons.of(in, class).ForJob(in, entry)
	}
	v.Reason, v.Summary, v.Explanation, v.Help = string(why.Code), why.Brief, why.Summary, why.Help
}

func (s *server) input(w *projections.World) placement.Input {
	return placement.Input{Queue: w.Queue, Cluster: w.Cluster, Settings: w.Settings, Telemetry: s.Telemetry.View(), Position: w.Position}
}
