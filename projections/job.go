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
	if s.sealed {
		w.Secrets.Seal(i)
	}
	return Applied
}

// entry returns a job as it stands in the queue: waiting for its next attempt.
func entry(j *jobs.Job) queue.Entry {
	return queue.Entry{Class: j.Class, Key: j.Key, Job: j.Position, ID: j.ID, Attempt: j.Attempt + 1}
}

// current reads an event of a job that has not ended, and the job as it is.
func (w *World) current(r *eventstore.Record, f stepFields) (jobs.Job, step, Verdict) {
	i, ok := jobOf(r.Stream)
	if !ok {
		return jobs.Job{}, step{}, Impossible
	}
	s, err := w.decoder.step(r, f)
	if err != nil {
		return jobs.Job{}, step{}, Undecodable
	}
	j, ok := w.Jobs.ByID(i)
	if !ok || j.Status.Terminal() {
		return jobs.Job{}, step{}, Impossible
	}
	return j, s, Applied
}

func (w *World) jobBound(r *eventstore.Record) Verdict {
	j, s, v := w.current(r, boundFields)
	if v != Applied {
		return v
	}
	if j.Status != job.Pending || j.Backoff || !next(&j, s) || s.worker == 0 {
		return Impossible
	}
	w.Queue.Leave(entry(&j))
	j.Status, j.Last = job.Bound, r.Position
	j.Attempt, j.Worker, j.Started = s.attempt, s.worker, 0
	limit := w.Jobs.Limit(j)
	w.Cluster.Bind(cluster.Attempt{
		Job: j.ID, JobPosition: j.Position, Attempt: j.Attempt, Node: j.Worker,
		BoundAt: r.Position, BoundTime: r.Time, Need: w.Queue.Need(j.Class),
		TimeLimit: limit.Time, Grace: limit.Grace, Exclusive: j.Exclusive,
	})
	if j.CancelRequested {
		w.Cluster.Cancel(j.Position, r.Position)
	}
	w.Jobs.Set(&j, job.Pending)
	return Applied
}

func (w *World) jobStarted(r *eventstore.Record) Verdict {
	j, s, v := w.current(r, attemptFields)
	if v != Applied {
		return v
	}
	if j.Status != job.Bound || s.attempt != j.Attempt {
		return Impossible
	}
	j.Status, j.Last, j.Started = job.Running, r.Position, r.Time
	w.Cluster.Start(j.Position, r.Position, r.Time)
	w.Jobs.Set(&j, job.Bound)
	return Applied
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
	j, s, v := w.current(r, f)
	switch {
	case v != Applied:
		return v
	case !j.Status.Live() || s.attempt != j.Attempt:
		return Impossible
	case !s.retried:
		w.end(&j, status, r)
		return Applied
	}
	before := j.Status
	w.Cluster.End(j.Position, r.Position)
	j.Status, j.Backoff, j.Last = job.Pending, true, r.Position
	w.Jobs.Set(&j, before)
	return Applied
}

func (w *World) jobCancelled(r *eventstore.Record) Verdict {
	j, _, v := w.current(r, stepFields{})
	if v == Applied {
		w.end(&j, job.Cancelled, r)
	}
	return v
}

func (w *World) jobCancelRequested(r *eventstore.Record) Verdict {
	j, _, v := w.current(r, stepFields{})
	if v == Applied {
		j.CancelRequested = true
		w.Cluster.Cancel(j.Position, r.Position)
		w.Jobs.Set(&j, j.Status)
	}
	return v
}

func (w *World) jobRetryScheduled(r *eventstore.Record) Verdict {
	j, s, v := w.current(r, scheduledFields)
	if v != Applied {
		return v
	}
	if !j.Backoff || j.Due != 0 || !next(&j, s) {
		return Impossible
	}
	j.Due, j.Last = later(r.Time, s.delay), r.Position
	w.Queue.Hold(queue.Gated{Due: j.Due, Entry: entry(&j)})
	w.Jobs.Set(&j, job.Pending)
	return Applied
}

func (w *World) jobRequeued(r *eventstore.Record) Verdict {
	j, s, v := w.current(r, attemptFields)
	if v != Applied {
		return v
	}
	before := j.Status
	if !j.Backoff && before != job.Bound || !next(&j, s) {
		return Impossible
	}
	w.takeOut(&j, r.Position)
	j.Status, j.Last = job.Pending, r.Position
	w.Queue.Arrive(r.Position, entry(&j))
	w.Jobs.Set(&j, before)
	return Applied
}

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

// end ends a job with a status.
func (w *World) end(j *jobs.Job, status job.Status, r *eventstore.Record) {
	w.takeOut(j, r.Position)
	w.Queue.End(j.Class)
	before := j.Status
	j.Status, j.Last, j.Finished = status, r.Position, r.Time
	w.Jobs.Set(j, before)
	w.Secrets.End(j.ID, r.Position, r.Time)
	w.Jobs.Trim(int(w.Settings.KeptFinished))
}

// takeOut takes a job from wherever it is but its row.
func (w *World) takeOut(j *jobs.Job, at eventstore.Position) {
	switch {
	case j.Status.Live():
		w.Cluster.End(j.Position, at)
	case !j.Backoff:
		w.Queue.Leave(entry(j))
	case j.Due != 0:
		w.Queue.Release(queue.Gated{Due: j.Due, Entry: entry(j)})
	}
	j.Backoff, j.Due = false, 0
}

// freezeJob stops a job that has not ended where it is. Its own secrets stay: that
// they were shredded would not be seen.
func (w *World) freezeJob(i id.ID) {
	w.Secrets.Forget(i)
	j, ok := w.Jobs.ByID(i)
	if !ok || j.Status.Terminal() {
		return
	}
	w.takeOut(&j, w.Position)
	w.Queue.End(j.Class)
	j.Frozen = true
	w.Jobs.Set(&j, j.Status)
}
