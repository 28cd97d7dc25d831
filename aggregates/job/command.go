package job

import (
	"time"

	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/spec"
)

// Command is what can be asked of a job.
type Command interface {
	// decide returns the events the command yields; none if what it asks for is so
	// already.
	decide(s *State) (events, error)
}

// Submit lets a job come into being. Its spec is checked, and what it leaves out
// filled in. Secrets that are the job's own are sealed already.
type Submit struct {
	ID      id.ID // for its caller, which names the stream by it
	Spec    spec.Spec
	RerunOf id.ID // the job that it does again; 0 is none
}

// Bind gives the job to a worker as its next attempt.
type Bind struct {
	Attempt  uint32
	Worker   string
	Decision *eventv1.Decision // why there; may be nil
}

// Start permits the bound attempt to execute.
type Start struct {
	Attempt uint32
	Worker  string
}

// States of a step, as RecordStep takes them.
const (
	StepRunning   = "running"
	StepSucceeded = "succeeded"
	StepFailed    = "failed"
	StepTimedOut  = "timed_out"
	StepCancelled = "cancelled"
	StepSkipped   = "skipped"
)

// RecordStep records what a worker reports of a step of the running attempt.
// Steps come in order; what is behind the newest yields nothing.
type RecordStep struct {
	Attempt   uint32
	Worker    string
	Step      uint32 // from 1
	Name      string
	State     string // one of the states of a step
	ExitCode  *int32
	Signal    string
	Took      time.Duration
	LogOffset uint64 // where its output begins in the attempt's log
}

// Outcomes of an attempt, as Finish takes them.
const (
	OutcomeSucceeded = "succeeded"
	OutcomeFailed    = "failed"
	OutcomeCancelled = "cancelled"
	OutcomeTimedOut  = "timed_out"
)

// Causes of what happens to an attempt.
const (
	CauseExit              = "exit" // of Finish; spec.Causes has the others
	causeCannotStart       = "cannot_start"
	causeDiskFull          = "disk_full"
	causeSecretUnavailable = "secret_unavailable"
	causeStoppedByWorker   = "stopped_by_worker" // a worker that ends stopped it, nobody else had asked for that

	CauseWorkerLost       = "worker_lost"       // of Lose: the worker was silent for too long
	CauseUnknownToWorker  = "unknown_to_worker" // the worker is there and does not have the attempt
	CauseWorkerTerminated = "worker_terminated"

	CauseBackoffOver     = "backoff_over" // of Requeue: a retry's delay is over
	causeNotStarted      = "not_started"
	CauseRefusedByWorker = "refused_by_worker"
)

// Finish reports the end of an attempt. The result of an attempt that is not the
// current one any more, has ended otherwise, or was not allowed to start is
// refused: that is recorded once an attempt and cause, and yields nothing after.
// A result that was taken before yields nothing. A failure to start an attempt
// that was not started yet gives the attempt back, as Requeue does.
//
// Once the job was asked to be cancelled, any end but success is a cancellation.
type Finish struct {
	Attempt uint32
	Worker  string
	Outcome string // one of the outcomes
	Cause   string // of a failure; none or a malformed one is CauseExit
	Detail  string // words of the agent, cut to maxDetail bytes
	Step    uint32 // the step that decided it; 0 if none did
	Ending  *eventv1.Ending
}

// RequestCancel asks for the job's end. One that does not run is cancelled at
// once, a running one when its worker has stopped it.
type RequestCancel struct {
	Reason string // at most maxReason bytes
}

// Lose gives up a live attempt whose worker is gone. One that has not started
// costs no retry. An attempt that is not live any more yields nothing.
type Lose struct {
	Attempt uint32
	Cause   string        // one of the causes of Lose
	Silent  time.Duration // how long the worker had not been heard; 0 is unknown
}

// Expire ends a running attempt that exceeded its time limit and whose worker does
// not report it. An attempt that is not running any more yields nothing.
type Expire struct {
	Attempt uint32
}

// Requeue lets the job wait for a worker again. Attempt is what it is about: the
// bound attempt that is given up, or, when the delay of a retry is over, the
// attempt that has waited for it. If the job waits already, it yields nothing.
type Requeue struct {
	Attempt uint32
	Cause   string // one of the causes of Requeue
	Detail  string // cut to maxDetail bytes
}

// SealLog says that the whole log of an attempt that has ended lies where logs
// last. The first word about an attempt counts; later ones yield nothing.
type SealLog struct {
	Attempt uint32
	Size    uint64   // bytes of log, at least 1
	Digest  [32]byte // SHA-256 of them
}
