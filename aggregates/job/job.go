// Package job is the life of one job. An attempt is one try at running it on one
// worker; its number only grows and is what fences it: only the newest attempt's
// result counts.
//
//	        Submit
//	          │          Bind             Start             Finish
//	          ▼       ┌────────▶ bound ────────▶ running ──────────▶ succeeded, failed,
//	       pending ───┘            │                │                timed_out, cancelled
//	        ▲   ▲                  │ Requeue, Lose  │ Finish, Expire,
//	Requeue │   └──────────────────┘ (never ran)    │ Lose
//	  pending, backoff ◀────────────────────────────┴──────────────▶ lost
//	                    (retries allow another)
//
// JobStarted is a permission, not a report: a worker executes nothing before it.
// So an attempt that was bound and has not started never ran; giving it up costs
// no retry. A started attempt that ends badly costs one if the job's retries
// allow, otherwise the job has ended. A job that was asked to be cancelled is
// never tried again.
//
// A job can fail without having started by Requeue, when workers have refused it
// maxRefusals times in a row or maxUnstarted of its attempts never ran; and by
// WithholdSecrets, when a secret of it can't be had.
//
// State, Evolve and Decide are pure. A decision is idempotent: what has been
// decided once yields nothing the second time.
package job

import "fmt"

// Bounds of what one job can append, beyond what its spec allows.
const (
	maxRefusals       = 16   // assignments refused by workers in a row, before the job fails
	maxUnstarted      = 1000 // attempts that never ran, before the job fails
	maxRefusedResults = 16   // ResultRefused events
	maxReason         = 1024 // bytes of a user's reason
	maxDetail         = 1024 // bytes of an agent's words
	maxCode           = 32   // bytes of a cause, state or signal
)

// Status is where in its life a job is.
type Status uint8

const (
	// None: there is no such job.
	None Status = iota
	// Pending: it waits for a worker; while State.Backoff is set, for the delay of a
	// retry before that.
	Pending
	// Bound: its newest attempt was given to a worker, which may not execute it yet.
	Bound
	// Running: its newest attempt has started.
	Running
	// Succeeded: its last attempt ended with exit code 0.
	Succeeded
	// Failed: its last attempt ended otherwise by itself.
	Failed
	// Cancelled: it ended because somebody asked for that.
	Cancelled
	// TimedOut: its last attempt exceeded its time limit.
	TimedOut
	// Lost: the worker of its last attempt is gone; how that ended is not known.
	Lost
)

// Statuses are all statuses in order.
var Statuses = []Status{None, Pending, Bound, Running, Succeeded, Failed, Cancelled, TimedOut, Lost}

var statusNames = [...]string{
	None: "none", Pending: "pending", Bound: "bound", Running: "running", Succeeded: "succeeded",
	Failed: "failed", Cancelled: "cancelled", TimedOut: "timed_out", Lost: "lost",
}

// String returns the status as it is written everywhere, such as timed_out.
func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return fmt.Sprintf("status_%d", uint8(s))
}

// already says how the job is, as the reason why something can't be done to it.
func (s Status) already() string {
	switch s {
	case Succeeded, Failed:
		return "it has already " + s.String()
	case TimedOut:
		return "it has already timed out"
	case Cancelled, Lost:
		return "it is already " + s.String()
	}
	return "it is " + s.String()
}

// ParseStatus returns the status that String writes as name.
func ParseStatus(name string) (Status, bool) {
	for _, s := range Statuses[1:] {
		if statusNames[s] == name {
			return s, true
		}
	}
	return None, false
}

// Terminal reports whether the job has ended.
func (s Status) Terminal() bool { return s >= Succeeded }

// Live reports whether the job has an attempt that may run or be permitted to.
func (s Status) Live() bool { return s == Bound || s == Running }
