package job

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hodei-jobs/hodei/aggregates/event"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/spec"
)

type events = []proto.Message

// Decide returns the events a command yields in this state: none if what it asks
// for is so already, a *fault.Error if it can't be. The error's subject is "job";
// who knows which completes it by fault.About.
func (s State) Decide(c Command) ([]proto.Message, error) { return c.decide(&s) }

func (c Submit) decide(s *State) (events, error) {
	if s.Status != None {
		return nil, &fault.Error{Kind: fault.Conflict, Op: "submit", Subject: "job", Reason: "a job with this id exists"}
	}
	filled := c.Spec.WithDefaults()
	canonical, err := filled.Accept()
	if err != nil {
		return nil, err
	}
	for _, name := range filled.OwnSecrets() {
		if filled.Secrets[name].Sealed == nil {
			return nil, &fault.Error{Kind: fault.Internal, Op: "submit", Subject: "job", Reason: "a secret of it is not sealed"}
		}
	}
	submitted := submission(filled, canonical)
	if c.RerunOf != 0 {
		submitted.RerunOf = c.RerunOf.String()
	}
	return events{submitted}, nil
}

// submission returns the event for a spec that is valid and whole.
func submission(s spec.Spec, canonical []byte) *eventv1.JobSubmitted {
	e := &eventv1.JobSubmitted{
		Namespace: s.Namespace, Name: s.Name, Pool: s.Pool,
		Requires: s.Requires.Pairs(), Resources: s.Resources.Event(),
		Priority: s.Priority, Exclusive: s.Exclusive,
		TimeLimitNs: int64(s.Timeout),
		Cancel:      &eventv1.CancelPolicy{Signal: s.Cancel.Signal, GraceNs: int64(s.Cancel.Grace)},
		Spec:        canonical, Steps: uint32(max(1, len(s.Steps))), Sealed: len(s.OwnSecrets()) > 0,
	}
	if !s.Retries.IsZero() {
		e.Retries = &eventv1.Retries{Max: s.Retries.Max, On: s.Retries.On, BackoffNs: int64(s.Retries.Backoff)}
	}
	return e
}

// Only a pending job can be bound; binding the attempt that is already bound
// yields nothing.
func (c Bind) decide(s *State) (events, error) {
	switch {
	case s.Status == Bound && s.Attempt == c.Attempt && s.Worker == c.Worker:
		return nil, nil
	case s.Status != Pending:
		return nil, s.refuse("bind", "%s", s.Status.already())
	case c.Attempt != s.Attempt+1:
		return nil, s.refuse("bind", "attempt %d is stale, next is %d", c.Attempt, s.Attempt+1)
	case s.Backoff:
		return nil, s.refuse("bind", "it waits for the delay of retry %d", s.Retry)
	case c.Worker == "":
		return nil, malformed("bind", "worker", "it is needed")
	}
	return events{&eventv1.JobBound{Attempt: c.Attempt, WorkerId: c.Worker, Decision: c.Decision}}, nil
}

func (c Start) decide(s *State) (events, error) {
	if err := s.current("start", c.Attempt, c.Worker); err != nil {
		return nil, err
	}
	switch s.Status {
	case Running:
		return nil, nil
	case Bound:
		return events{&eventv1.JobStarted{Attempt: c.Attempt, WorkerId: c.Worker}}, nil
	}
	return nil, s.refuse("start", "%s", s.Status.already())
}

func (c RecordStep) decide(s *State) (events, error) {
	if err := s.current("record a step of", c.Attempt, c.Worker); err != nil {
		return nil, err
	}
	switch most := max(1, s.Steps); {
	case s.Status != Running:
		return nil, s.refuse("record a step of", "%s", s.Status.already())
	case c.Step == 0 || c.Step > most:
		return nil, malformed("record a step of", "step", "there is no step %d, it has %d", c.Step, most)
	case c.Step < s.step, c.Step == s.step && (s.stepEnded || c.State == StepRunning):
		return nil, nil
	}
	switch c.State {
	case StepRunning:
		return events{&eventv1.StepStarted{
			Attempt: c.Attempt, Step: c.Step, Name: event.Cut(c.Name, spec.MaxName), LogOffset: c.LogOffset,
		}}, nil
	case StepSucceeded, StepFailed, StepTimedOut, StepCancelled, StepSkipped:
		return events{&eventv1.StepFinished{
			Attempt: c.Attempt, Step: c.Step, Name: event.Cut(c.Name, spec.MaxName), State: c.State,
			ExitCode: c.ExitCode, Signal: event.Cut(c.Signal, maxCode), TookNs: int64(max(0, c.Took)),
		}}, nil
	}
	return nil, malformed("record a step of", "state", "%q is not a state of a step", event.Cut(c.State, maxCode))
}

func (c RequestCancel) decide(s *State) (events, error) {
	switch {
	case s.Status == None:
		return nil, missing("cancel")
	case len(c.Reason) > maxReason:
		return nil, malformed("cancel", "reason", "it has %d bytes, at most %d may be", len(c.Reason), maxReason)
	case s.Status == Cancelled, s.Status == Running && s.CancelRequested:
		return nil, nil
	case s.Status.Terminal():
		return nil, s.refuse("cancel", "%s", s.Status.already())
	}
	reason := event.Cut(c.Reason, maxReason)
	requested := &eventv1.JobCancelRequested{Reason: reason, Signal: s.Signal, GraceNs: int64(s.Grace)}
	if s.Status == Running {
		return events{requested}, nil
	}
	return events{requested, s.cancellation(reason, nil)}, nil
}

func (c Lose) decide(s *State) (events, error) {
	if gone, err := s.gone("lose", c.Attempt); gone || err != nil {
		return nil, err
	}
	cause := event.Code(c.Cause, CauseWorkerLost)
	switch {
	case s.Status == Bound:
		return s.giveUp(causeNotStarted, cause), nil
	case s.CancelRequested:
		return events{s.cancellation(s.cancelReason, nil)}, nil
	}
	retried := s.retries("lost")
	ended := &eventv1.JobLost{
		Attempt: s.Attempt, WorkerId: s.Worker, Cause: cause, SilentNs: int64(max(0, c.Silent)), Retried: retried,
	}
	return s.again(ended, retried), nil
}

func (c Expire) decide(s *State) (events, error) {
	if gone, err := s.gone("expire", c.Attempt); gone || err != nil {
		return nil, err
	}
	switch {
	case s.Status != Running:
		return nil, s.refuse("expire", "attempt %d has not started", c.Attempt)
	case s.TimeLimit == 0:
		return nil, s.refuse("expire", "it has no time limit")
	case s.CancelRequested:
		return events{s.cancellation(s.cancelReason, nil)}, nil
	}
	// Its worker is silent about it, so it may still run: an exclusive job must not
	// have a second attempt then.
	return s.timedOut(nil, 0, !s.Exclusive), nil
}

func (c Requeue) decide(s *State) (events, error) {
	switch {
	case s.Status == None:
		return nil, missing("requeue")
	case c.Cause == CauseBackoffOver:
		return s.resume(c)
	}
	if gone, err := s.gone("requeue", c.Attempt); gone || err != nil {
		return nil, err
	}
	if s.Status != Bound {
		return nil, s.refuse("requeue", "attempt %d has started", c.Attempt)
	}
	return s.giveUp(event.Code(c.Cause, causeNotStarted), event.Cut(c.Detail, maxDetail)), nil
}

func (c SealLog) decide(s *State) (events, error) {
	a, ok := s.attempt(c.Attempt)
	switch {
	case !ok:
		return nil, s.refuse("seal the log of", "there was no attempt %d, the newest is %d", c.Attempt, s.Attempt)
	case a.end == open:
		return nil, s.refuse("seal the log of", "attempt %d has not ended", c.Attempt)
	case c.Size == 0:
		return nil, malformed("seal the log of", "size", "a log without bytes is not sealed")
	case a.sealed:
		return nil, nil
	}
	return events{&eventv1.JobLogSealed{Attempt: c.Attempt, Size: c.Size, Digest: c.Digest[:]}}, nil
}

// resume ends the delay of a retry.
func (s *State) resume(c Requeue) (events, error) {
	next := s.Attempt + 1
	switch {
	case c.Attempt > next:
		return nil, s.refuse("requeue", "attempt %d is not due, next is %d", c.Attempt, next)
	case c.Attempt < next || s.Status != Pending || !s.Backoff:
		return nil, nil
	}
	return events{&eventv1.JobRequeued{Attempt: next, Cause: CauseBackoffOver, Detail: event.Cut(c.Detail, maxDetail)}}, nil
}

// giveUp gives up the bound attempt, which never ran. A job that no worker will
// have fails in the end.
func (s *State) giveUp(cause, detail string) events {
	reason := ""
	switch {
	case cause == CauseRefusedByWorker && s.refusals+1 >= maxRefusals:
		reason = "workers have refused it too often; the last one: " + detail
	case s.unstarted+1 >= maxUnstarted:
		reason = "too many attempts never ran; the last one: " + words(cause, detail)
	default:
		return events{&eventv1.JobRequeued{Attempt: s.Attempt + 1, Cause: cause, Detail: detail}}
	}
	return events{&eventv1.JobFailed{
		Attempt: s.Attempt, WorkerId: s.Worker, Cause: causeCannotStart, Detail: event.Cut(reason, maxDetail),
	}}
}

// retries reports whether the job is tried again after a cause. It is not asked of
// a job that is to be cancelled.
func (s *State) retries(cause string) bool {
	return s.Retry < s.policy.most && (len(s.policy.on) == 0 || slices.Contains(s.policy.on, cause))
}

// again returns the end of an attempt, and the next one with it if there is one.
func (s *State) again(ended proto.Message, retried bool) events {
	if !retried {
		return events{ended}
	}
	delay := s.delay()
	next := &eventv1.JobRetryScheduled{
		Attempt: s.Attempt + 1, Retry: s.Retry + 1, Max: s.policy.most, DelayNs: int64(delay),
	}
	if delay > 0 {
		return events{ended, next}
	}
	return events{ended, next, &eventv1.JobRequeued{Attempt: s.Attempt + 1, Cause: CauseBackoffOver}}
}

// delay is Backoff before the first retry, twice as long before each that
// follows, and never more than spec.MaxBackoff.
func (s *State) delay() time.Duration {
	d := s.policy.backoff
	for range s.Retry {
		if d >= spec.MaxBackoff.Std()/2 {
			return max(s.policy.backoff, spec.MaxBackoff.Std())
		}
		d *= 2
	}
	return d
}

func (s *State) cancellation(reason string, e *eventv1.Ending) *eventv1.JobCancelled {
	c := &eventv1.JobCancelled{Reason: reason, Ending: e}
	if s.Status.Live() {
		c.Attempt, c.WorkerId = s.Attempt, s.Worker
	}
	return c
}

// timedOut ends the running attempt; over says that nothing of it can run any more.
// An attempt that ended before the job's own limit did so by that of its step, which
// the state does not have: 0.
func (s *State) timedOut(e *eventv1.Ending, step uint32, over bool) events {
	retried, limit := over && s.retries("timed_out"), s.TimeLimit
	if step > 0 && e != nil && time.Duration(e.GetTookNs()) < limit {
		limit = 0
	}
	return s.again(&eventv1.JobTimedOut{
		Attempt: s.Attempt, WorkerId: s.Worker, TimeLimitNs: int64(limit), Ending: e, Retried: retried, Step: step,
	}, retried)
}

// current returns why a worker's word about an attempt doesn't count, or nil if it
// is the newest attempt and the worker's own.
func (s *State) current(op string, number uint32, worker string) error {
	switch {
	case s.Status == None:
		return missing(op)
	case number != s.Attempt:
		return s.refuse(op, "attempt %d is not the current one, that is %d", number, s.Attempt)
	case worker != s.Worker:
		return s.refuse(op, "attempt %d was given to worker %s, not to %s", number, s.Worker, event.Cut(worker, maxCode))
	}
	return nil
}

// gone reports whether an attempt is not live any more; the error says that it
// never was.
func (s *State) gone(op string, number uint32) (bool, error) {
	switch {
	case s.Status == None:
		return false, missing(op)
	case number == 0 || number > s.Attempt:
		return false, s.refuse(op, "there was no attempt %d, the newest is %d", number, s.Attempt)
	}
	return number < s.Attempt || !s.Status.Live(), nil
}

func (s *State) refuse(op, format string, args ...any) error {
	if s.Status == None {
		return missing(op)
	}
	return fault.Refuse(op, "job", format, args...)
}

func missing(op string) error { return fault.Missing(op, "job", "there is no such job") }

func malformed(op, location, format string, args ...any) error {
	return fault.Malformed(op, "job", fault.Field{Location: location, Message: fmt.Sprintf(format, args...)})
}

// words joins a code and an explanation, if there is one.
func words(code, detail string) string { return strings.TrimSuffix(code+": "+detail, ": ") }
