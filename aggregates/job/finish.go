package job

import (
	"google.golang.org/protobuf/proto"

	"github.com/hodei-jobs/hodei/aggregates/event"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
)

// Causes of a refused result.
const (
	refusedFenced     = "fenced"      // the attempt was given up
	refusedFinished   = "finished"    // the attempt has ended otherwise
	refusedNotStarted = "not_started" // the attempt was not allowed to start
)

// refusalBit is how State remembers that a refusal was recorded.
func refusalBit(cause string) uint8 {
	switch cause {
	case refusedFenced:
		return 1
	case refusedFinished:
		return 2
	case refusedNotStarted:
		return 4
	}
	return 8
}

func (c Finish) decide(s *State) (events, error) {
	if s.Status == None {
		return nil, missing("finish")
	}
	reported, ok := outcomes[c.Outcome]
	if !ok {
		return nil, malformed("finish", "outcome", "%q is not an outcome", event.Cut(c.Outcome, maxCode))
	}
	a, ok := s.attempt(c.Attempt)
	switch {
	case !ok:
		return nil, s.refuse("finish", "there was no attempt %d, the newest is %d", c.Attempt, s.Attempt)
	case a.worker != c.Worker:
		return nil, s.refuse("finish", "attempt %d was given to worker %s, not to %s", c.Attempt, a.worker, event.Cut(c.Worker, maxCode))
	case a.took(c, reported):
		return nil, nil
	case a.end == given || a.end == lost:
		return s.refuseResult(c, a, refusedFenced), nil
	case a.end != open || c.Attempt != s.Attempt:
		return s.refuseResult(c, a, refusedFinished), nil
	case s.Status == Bound && reported == failed && neverRan(c.Cause):
		return s.giveUp(CauseRefusedByWorker, event.Cut(words(c.Cause, c.Detail), maxDetail)), nil
	case s.Status == Bound:
		return s.refuseResult(c, a, refusedNotStarted), nil
	case s.Status != Running:
		return nil, s.refuse("finish", "%s", s.Status.already())
	}
	return s.finish(c, reported), nil
}

var outcomes = map[string]end{
	OutcomeSucceeded: succeeded, OutcomeFailed: failed, OutcomeCancelled: cancelled, OutcomeTimedOut: timedOut,
}

// Took reports whether a worker's report counts: the attempt has ended as the
// report leads to, now or when it came before.
func (s State) Took(c Finish) bool {
	a, ok := s.attempt(c.Attempt)
	reported, known := outcomes[c.Outcome]
	return ok && known && a.worker == c.Worker && a.took(c, reported)
}

// took reports whether the attempt's end is what a report of it leads to: a report
// may come again.
func (a attempt) took(c Finish, reported end) bool {
	switch a.end {
	case given:
		return reported == failed && neverRan(c.Cause)
	case failed:
		return reported == failed || reported == cancelled // a worker's own stop is a failure
	case cancelled:
		return reported != succeeded // asked for, so any other end is a cancellation
	}
	return a.end == reported
}

// neverRan reports whether a failure's cause means that nothing was executed.
func neverRan(cause string) bool {
	return cause == causeCannotStart || cause == causeDiskFull || cause == causeSecretUnavailable
}

// refuseResult records that a result is refused, once an attempt and cause.
func (s *State) refuseResult(c Finish, a attempt, cause string) events {
	if a.refused&refusalBit(cause) != 0 || s.refused >= maxRefusedResults {
		return nil
	}
	return events{&eventv1.ResultRefused{
		Attempt: c.Attempt, Current: s.Attempt, WorkerId: c.Worker, Outcome: c.Outcome, Cause: cause,
	}}
}

// finish ends the running attempt.
func (s *State) finish(c Finish, reported end) events {
	ending := clean(c.Ending)
	step := min(c.Step, max(1, s.Steps))
	switch {
	case reported == succeeded:
		return events{&eventv1.JobSucceeded{Attempt: s.Attempt, WorkerId: s.Worker, Ending: ending}}
	case s.CancelRequested:
		return events{s.cancellation(s.cancelReason, ending)}
	case reported == timedOut:
		return s.timedOut(ending, step, true)
	}
	cause := event.Code(c.Cause, CauseExit)
	if reported == cancelled {
		cause = causeStoppedByWorker
	}
	retried := s.retries(cause)
	return s.again(&eventv1.JobFailed{
		Attempt: s.Attempt, WorkerId: s.Worker, Cause: cause, Detail: event.Cut(c.Detail, maxDetail),
		Ending: ending, Retried: retried, Step: step,
	}, retried)
}

// clean returns an agent's report with its text bounded.
func clean(e *eventv1.Ending) *eventv1.Ending {
	if e == nil || e.Signal == event.Cut(e.Signal, maxCode) && e.TookNs >= 0 {
		return e
	}
	c := proto.CloneOf(e)
	c.Signal, c.TookNs = event.Cut(e.Signal, maxCode), max(0, e.TookNs)
	return c
}
