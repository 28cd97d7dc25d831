package deadline

import (
	"math"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/worker"
	"github.com/hodei-jobs/hodei/commands"
	"github.com/hodei-jobs/hodei/projections"
	"github.com/hodei-jobs/hodei/projections/workers"
)

// never is later than every due moment.
const never int64 = math.MaxInt64

// work is what is due at a moment.
type work struct {
	silent  []silence
	late    []*workers.Worker  // launched, and not registered by when they should
	losses  []commands.Loss    // at most maxBatch; the rest is due at the next look
	expired []commands.Expiry  // likewise
	due     []commands.Requeue // likewise
	shred   []id.ID            // likewise: jobs whose own secrets are not needed any more
	next    int64              // when there may be more, in ns since 1970, or never
}

// silence is a worker that was not heard for longer than it may be.
type silence struct {
	worker id.ID
	lose   worker.Lose
}

func (w *work) none() bool {
	return len(w.silent) == 0 && len(w.late) == 0 && len(w.losses) == 0 && len(w.expired) == 0 && len(w.due) == 0 && len(w.shred) == 0
}

// later notes a moment at which something may be due.
func (w *work) later(at int64) { w.next = min(w.next, at) }

// watch compares a World with what should be. It only remembers when leases
// have to be looked at again.
type watch struct {
	since     int64 // when this server was ready: no lease is older
	leases    int64 // no lease ends before this
	tolerance int64 // leases was found with it
}

// look returns what is due now.
func (w *watch) look(world *projections.World, heard Heard, now int64) work {
	found := work{next: never}
	w.lookAtLeases(&found, world, heard, now)
	w.lookAtLaunches(&found, world, now)
	lookAtStranded(&found, world, heard, now)
	w.lookAtLimits(&found, world, heard, now)
	lookAtDelays(&found, world, now)
	lookAtSecrets(&found, world, now)
	return found
}

// lookAtLeases finds workers whose silence is longer than the tolerance. All
// workers are looked at, but only when the lease that ends first may have ended:
// who is heard meanwhile only moves that moment on, and so does who connects.
func (w *watch) lookAtLeases(found *work, world *projections.World, heard Heard, now int64) {
	if t := int64(world.Settings.ReconnectTolerance); t != w.tolerance {
		w.tolerance, w.leases = t, 0
	}
	if world.Workers.Len() == 0 {
		return
	}
	if now < w.leases {
		found.later(w.leases)
		return
	}
	w.leases = now + w.tolerance
	for r := range world.Workers.All() {
		if r.Status != worker.Connected && r.Status != worker.Disconnected || r.Frozen {
			continue
		}
		last := lastHeard(heard, r)
		ends := max(last, w.since) + w.tolerance
		if ends <= now {
			found.silent = append(found.silent, silence{r.ID, worker.Lose{Epoch: r.Epoch, Silent: time.Duration(now - last)}})
			ends = now // until a World says that it is lost
		}
		w.leases = min(w.leases, ends)
	}
	found.later(w.leases)
}

// lookAtLaunches finds workers that were asked for and have not registered in time.
// While there was no server they could not: after a start they have the tolerance.
func (w *watch) lookAtLaunches(found *work, world *projections.World, now int64) {
	for r := range world.Workers.Launches() {
		due := max(r.LaunchBy, w.since+w.tolerance)
		if due > now {
			found.later(due)
			return
		}
		if len(found.late) == maxBatch {
			return
		}
		found.late = append(found.late, r)
	}
}

// lastHeard returns when a worker gave its last sign of life: what it sent, or
// that it connected. How its session ended is no sign.
func lastHeard(heard Heard, r *workers.Worker) int64 {
	last, ok := heard.LastHeard(r.ID)
	if !ok || r.Status == worker.Connected {
		return max(last, r.Since)
	}
	return last
}

// lookAtStranded finds the attempts of workers that are lost or have ended. An
// attempt that is exclusive and may still run is left alone until its agent,
// which has no server, must have stopped it, by what it was told when it had one.
func lookAtStranded(found *work, world *projections.World, heard Heard, now int64) {
	for n := range world.Cluster.Stranded() {
		r, known := world.Workers.Get(n.ID)
		lost := known && r.Status == worker.Lost
		if known && !lost && r.Status != worker.Terminated {
			continue // within the tolerance
		}
		loss := job.Lose{Cause: job.CauseWorkerTerminated}
		var orphaned int64
		if lost {
			orphaned = r.Since + r.GoesOn
			loss = job.Lose{Cause: job.CauseWorkerLost, Silent: time.Duration(now - lastHeard(heard, r))}
		}
		for a := range world.Cluster.Attempts(n.ID, 0) {
			if a.Exclusive && a.Started && now < orphaned {
				found.later(orphaned)
				continue
			}
			if len(found.losses) == maxBatch {
				return
			}
			loss.Attempt = a.Attempt
			found.losses = append(found.losses, commands.Loss{Job: a.Job, Lose: loss})
		}
	}
}

// lookAtLimits finds attempts whose workers should have ended them by now. The
// worker watches the limit itself; this is for one that can't tell. A cut within
// the tolerance changes nothing: only time in which the worker is heard counts.
func (w *watch) lookAtLimits(found *work, world *projections.World, heard Heard, now int64) {
	for a := range world.Cluster.Expiring() {
		at, _ := a.Expires()
		due := max(at+int64(overdue), w.since+w.tolerance)
		if due > now {
			found.later(due)
			return
		}
		r, known := world.Workers.Get(a.Node)
		if known && r.Status != worker.Connected {
			continue // until it is back, or lost
		}
		if known && !w.couldTell(found, heard, r, now) {
			continue
		}
		if len(found.expired) == maxBatch {
			return
		}
		found.expired = append(found.expired, commands.Expiry{Job: a.Job, Expire: job.Expire{Attempt: a.Attempt}})
	}
}

// couldTell reports whether a connected worker has had the time to tell what it
// owes: it has been back for long enough, and it is not silent now.
func (w *watch) couldTell(found *work, heard Heard, r *workers.Worker, now int64) bool {
	if back := max(r.Since, w.since) + int64(overdue); back > now {
		found.later(back)
		return false
	}
	if now-lastHeard(heard, r) < int64(overdue) {
		return true
	}
	found.later(now + int64(overdue)) // by then it is heard, or its session has ended
	return false
}

// lookAtDelays finds jobs whose next attempt is due.
func lookAtDelays(found *work, world *projections.World, now int64) {
	for g := range world.Queue.Due() {
		if g.Due > now {
			found.later(g.Due)
			return
		}
		if len(found.due) == maxBatch {
			return
		}
		found.due = append(found.due, commands.Requeue{
			Job: g.ID, Requeue: job.Requeue{Attempt: g.Attempt, Cause: job.CauseBackoffOver},
		})
	}
}

// lookAtSecrets finds jobs that have ended and whose secrets were kept as long as
// they are to be.
func lookAtSecrets(found *work, world *projections.World, now int64) {
	for e := range world.Secrets.Ended() {
		at := e.At + int64(world.Settings.SecretRetention)
		if at > now {
			found.later(at)
			return
		}
		if len(found.shred) == maxBatch {
			return
		}
		found.shred = append(found.shred, e.Job)
	}
}
