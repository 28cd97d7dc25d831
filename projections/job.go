package projections

import (
	"math"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections/cluster"
	"github.com/hodei-jobs/hodei/projections/jobs"
	"github.com/hodei-jobs/hodei/projections/queue"
)

// Where a job of the World is, by its row:
//
//	pending            in the queue, waiting
//	pending, backoff   in the queue, held until due; with no due time yet nowhere,
//	                   for that is in the next event
//	bound, running     in the cluster
//	ended, frozen      only in its row; its class has counted it out

// jobSubmitted lets a new job wait.
func (w *World) jobSubmitted(r *eventstore.Record) Verdict {
	i, ok := jobOf(r.Stream)
	if !ok {
		return Impossible
	}
	s, err := w.decoder.submission(r)
	if err != nil {
		return Undecodable
	}
	if _, known := w.Jobs.ByID(i); known || !w.Jobs.Room(s.namespace) {
		return Impossible
	}
	j := jobs.Job{
		ID: i, Position: r.Position, Last: r.Position, Status: job.Pending,
		Exclusive: s.exclusive, Submitted: r.Time,
		Key: queue.Key(r.Time, s.priority, int64(w.Settings.AgingStep)),
		Class: w.Queue.Join(r.Position, queue.Demand{
			Namespace: s.namespace, Pool: s.pool, Requires: s.requires, Need: s.need,
		}),
	}
	w.Jobs.Add(j, s.namespace, jobs.Limit{Time: s.timeLimit, Grace: s.grace})
	w.Queue.Arrive(r.Position, entry(&j))
	return Applied
}

// entry returns a job as it stands in the queue: waiting for its next attempt.
func entry(j *jobs.Job) queue.Entry {
	return queue.Entry{Class: j.Class, Key: j.Key, Job: j.Position, ID: j.ID, Attempt: j.Attempt + 1}
}

// change reads an event of a job that has not ended and lets next say what
// becomes of the job, or that it is impossible.
func (w *World) change(r *eventstore.Record, f stepFields, next func(*jobs.Job, step) bool) Verdict {
	i, ok := jobOf(r.Stream)
	if !ok {
		return Impossible
	}
	s, err := w.decoder.step(r, f)
	if err != nil {
		return Undecodable
	}
	j, ok := w.Jobs.ByID(i)
	if !ok || j.Status.Terminal() {
		return Impossible
	}
	before := j.Status
	if !next(&j, s) {
		return Impossible
	}
	w.Jobs.Set(j, before)
	if j.Status.Terminal() {
		w.Jobs.Trim(int(w.Settings.KeptFinished))
	}
	return Applied
}

func (w *World) jobBound(r *eventstore.Record) Verdict {
	return w.change(r, boundFields, func(j *jobs.Job, s step) bool {
		if j.Status != job.Pending || j.Backoff || !next(j, s) || s.worker == 0 {
			return false
		}
		w.Queue.Leave(entry(j))
		j.Status, j.Last = job.Bound, r.Position
		j.Attempt, j.Worker, j.Started = s.attempt, s.worker, 0
		class, _ := w.Queue.Class(j.Class)
		limit := w.Jobs.Limit(*j)
		w.Cluster.Bind(cluster.Attempt{
			Job: j.ID, JobPosition: j.Position, Attempt: j.Attempt, Node: j.Worker,
			BoundAt: r.Position, BoundTime: r.Time, Need: class.Need,
			TimeLimit: limit.Time, Grace: limit.Grace, Exclusive: j.Exclusive,
		})
		if j.CancelRequested {
			w.Cluster.Cancel(j.Position, r.Position)
		}
		return true
	})
}

func (w *World) jobStarted(r *eventstore.Record) Verdict {
	return w.change(r, attemptFields, func(j *jobs.Job, s step) bool {
		if j.Status != job.Bound || s.attempt != j.Attempt {
			return false
		}
		j.Status, j.Last, j.Started = job.Running, r.Position, r.Time
		w.Cluster.Start(j.Position, r.Position, r.Time)
		return true
	})
}

func (w *World) jobSucceeded(r *eventstore.Record) Verdict {
	return w.attemptEnded(r, attemptFields, job.Succeeded)
}

func (w *World) jobFailed(r *eventstore.Record) Verdict {
	return w.attemptEnded(r, failedFields, job.Failed)
}

func (w *World) jobTimedOut(r *eventstore.Record) Verdict {
	return w.attemptEnded(r, timedOutFields, job.TimedOut)
}

func (w *World) jobLost(r *eventstore.Record) Verdict {
	return w.attemptEnded(r, lostFields, job.Lost)
}

// attemptEnded ends the live attempt, and the job with it unless it is retried:
// then it is held, until when the next event says.
func (w *World) attemptEnded(r *eventstore.Record, f stepFields, status job.Status) Verdict {
	return w.change(r, f, func(j *jobs.Job, s step) bool {
		if !live(j) || s.attempt != j.Attempt {
			return false
		}
		if !s.retried {
			w.end(j, status, r)
			return true
		}
		w.Cluster.End(j.Position, r.Position)
		j.Status, j.Backoff, j.Last = job.Pending, true, r.Position
		return true
	})
}

func (w *World) jobCancelled(r *eventstore.Record) Verdict {
	return w.change(r, stepFields{}, func(j *jobs.Job, _ step) bool {
		w.end(j, job.Cancelled, r)
		return true
	})
}

func (w *World) jobCancelRequested(r *eventstore.Record) Verdict {
	return w.change(r, stepFields{}, func(j *jobs.Job, _ step) bool {
		j.CancelRequested = true
		w.Cluster.Cancel(j.Position, r.Position)
		return true
	})
}

func (w *World) jobRetryScheduled(r *eventstore.Record) Verdict {
	return w.change(r, scheduledFields, func(j *jobs.Job, s step) bool {
		if !j.Backoff || j.Due != 0 || !next(j, s) {
			return false
		}
		j.Due, j.Last = later(r.Time, s.delay), r.Position
		w.Queue.Hold(queue.Gated{Due: j.Due, Entry: entry(j)})
		return true
	})
}

func (w *World) jobRequeued(r *eventstore.Record) Verdict {
	return w.change(r, attemptFields, func(j *jobs.Job, s step) bool {
		if !j.Backoff && j.Status != job.Bound || !next(j, s) {
			return false
		}
		w.takeOut(j, r.Position)
		j.Status, j.Last = job.Pending, r.Position
		w.Queue.Arrive(r.Position, entry(j))
		return true
	})
}

func live(j *jobs.Job) bool { return j.Status == job.Bound || j.Status == job.Running }

// next reports whether an event names the attempt after the newest one.
func next(j *jobs.Job, s step) bool { return s.attempt == j.Attempt+1 && s.attempt < jobs.MaxAttempt }

// later returns the time that comes delay after t, the last there is if need be,
// and never 0.
func later(t, delay int64) int64 {
	due := t + max(0, delay)
	if due < t {
		return math.MaxInt64
	}
	return max(1, due)
}

// end lets a job have ended with a status.
func (w *World) end(j *jobs.Job, status job.Status, r *eventstore.Record) {
	w.takeOut(j, r.Position)
	w.Queue.End(j.Class)
	j.Status, j.Last, j.Finished = status, r.Position, r.Time
}

// takeOut takes a job from wherever it is but its row.
func (w *World) takeOut(j *jobs.Job, at eventstore.Position) {
	switch {
	case live(j):
		w.Cluster.End(j.Position, at)
	case !j.Backoff:
		w.Queue.Leave(entry(j))
	case j.Due != 0:
		w.Queue.Release(queue.Gated{Due: j.Due, Entry: entry(j)})
	}
	j.Backoff, j.Due = false, 0
}

// freezeJob stops a job that has not ended where it is.
func (w *World) freezeJob(i id.ID) {
	j, ok := w.Jobs.ByID(i)
	if !ok || j.Status.Terminal() {
		return
	}
	w.takeOut(&j, w.Position)
	w.Queue.End(j.Class)
	j.Frozen = true
	w.Jobs.Set(j, j.Status)
}
