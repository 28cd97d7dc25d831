package job

import (
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
)

// State is what its events make of a job. The zero value is a job that does not
// exist. Copies are independent of each other.
type State struct {
	Status          Status
	Backoff         bool // pending, but not before a Requeue
	CancelRequested bool // never tried again

	Attempt uint32 // the newest; 0 before the first
	Worker  string // of the newest attempt, also after its end
	Retry   uint32 // retries used

	Name, Namespace string
	Exclusive       bool
	Steps           uint32 // how many it has
	TimeLimit       time.Duration
	Signal          string        // to stop it with
	Grace           time.Duration // between Signal and KILL

	policy       policy
	cancelReason string
	step         uint32 // the newest step of the newest attempt that began or ended
	stepEnded    bool
	unstarted    uint32 // attempts that never ran
	refusals     uint32 // of assignments, since one last started
	refused      uint32 // ResultRefused events

	newest attempt   // the attempt Attempt
	past   []attempt // those before it, in order; never changed in place
}

// policy is how often, after which causes and how soon a job is tried again.
type policy struct {
	most    uint32
	on      []string // empty is every cause
	backoff time.Duration
}

// attempt is what is remembered of one attempt, so that late reports of it find
// the right answer.
type attempt struct {
	number  uint32
	worker  string
	end     end
	refused uint8 // refusals recorded, a bit a cause
	sealed  bool  // its log is
}

// end is how an attempt ended.
type end uint8

const (
	open      end = iota // it has not ended
	given                // given up before it started
	succeeded            // by its result, as are those that follow
	failed
	cancelled
	timedOut
	lost
)

// attempt returns what is remembered of an attempt.
func (s *State) attempt(number uint32) (attempt, bool) {
	if number == s.Attempt && number > 0 {
		return s.newest, true
	}
	for _, a := range slices.Backward(s.past) {
		if a.number == number {
			return a, true
		}
	}
	return attempt{}, false
}

// Evolve returns the state after an event. It takes any event in any state: what
// does not concern a job, or can't follow, changes what it says and nothing more.
func Evolve(s State, m proto.Message) State {
	switch e := m.(type) {
	case *eventv1.JobSubmitted:
		s.submitted(e)
	case *eventv1.JobBound:
		s.bound(e)
	case *eventv1.JobStarted:
		s.Status, s.refusals = Running, 0
	case *eventv1.StepStarted:
		s.step, s.stepEnded = e.GetStep(), false
	case *eventv1.StepFinished:
		s.step, s.stepEnded = e.GetStep(), true
	case *eventv1.JobSucceeded:
		s.ended(Succeeded, succeeded, false)
	case *eventv1.JobFailed:
		s.ended(Failed, failed, e.GetRetried())
	case *eventv1.JobTimedOut:
		s.ended(TimedOut, timedOut, e.GetRetried())
	case *eventv1.JobLost:
		s.ended(Lost, lost, e.GetRetried())
	case *eventv1.JobCancelled:
		s.ended(Cancelled, cancelled, false)
	case *eventv1.JobCancelRequested:
		s.CancelRequested, s.cancelReason = true, e.GetReason()
	case *eventv1.JobRetryScheduled:
		s.Retry = e.GetRetry()
	case *eventv1.JobRequeued:
		s.requeued(e)
	case *eventv1.ResultRefused:
		s.resultRefused(e)
	case *eventv1.JobLogSealed:
		s.remember(e.GetAttempt(), func(a *attempt) { a.sealed = true })
	}
	return s
}

func (s *State) submitted(e *eventv1.JobSubmitted) {
	s.Status = Pending
	s.Name, s.Namespace = e.GetName(), e.GetNamespace()
	s.Exclusive, s.Steps = e.GetExclusive(), e.GetSteps()
	s.TimeLimit = time.Duration(e.GetTimeLimitNs())
	s.policy = policy{
		most: e.GetRetries().GetMax(), on: e.GetRetries().GetOn(), backoff: time.Duration(e.GetRetries().GetBackoffNs()),
	}
	s.Signal, s.Grace = e.GetCancel().GetSignal(), time.Duration(e.GetCancel().GetGraceNs())
}

func (s *State) bound(e *eventv1.JobBound) {
	if s.Attempt > 0 {
		s.past = append(slices.Clip(s.past), s.newest)
	}
	s.Status, s.Backoff = Bound, false
	s.Attempt, s.Worker = e.GetAttempt(), e.GetWorkerId()
	s.step, s.stepEnded = 0, false
	s.newest = attempt{number: s.Attempt, worker: s.Worker}
}

// ended ends the newest attempt, unless it has ended before, and the job with it
// unless it is tried again.
func (s *State) ended(status Status, how end, retried bool) {
	if s.newest.end == open {
		s.newest.end = how
	}
	s.Status, s.Backoff = status, false
	if retried {
		s.Status, s.Backoff = Pending, true
	}
}

func (s *State) requeued(e *eventv1.JobRequeued) {
	if s.Status == Bound {
		s.newest.end = given
		s.unstarted++
		if e.GetCause() == CauseRefusedByWorker {
			s.refusals++
		}
	}
	s.Status, s.Backoff = Pending, false
}

func (s *State) resultRefused(e *eventv1.ResultRefused) {
	s.refused++
	s.remember(e.GetAttempt(), func(a *attempt) { a.refused |= refusalBit(e.GetCause()) })
}

// remember notes something of an attempt, if there is such a one.
func (s *State) remember(number uint32, note func(*attempt)) {
	if number == s.Attempt {
		note(&s.newest)
		return
	}
	for i, a := range s.past {
		if a.number == number {
			s.past = slices.Clone(s.past)
			note(&s.past[i])
			return
		}
	}
}
