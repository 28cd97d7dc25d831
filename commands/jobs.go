package commands

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/hodei-jobs/hodei/aggregates/event"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/eventstore"
)

// Binding gives a job's attempt to a worker.
type Binding struct {
	Job      id.ID
	Attempt  uint32
	Worker   id.ID
	Decision *eventv1.Decision
}

// Loss ends an attempt whose worker is gone.
type Loss struct {
	Job id.ID
	job.Lose
}

// Expiry ends an attempt that ran for too long.
type Expiry struct {
	Job id.ID
	job.Expire
}

// Requeue lets a job wait for a worker again.
type Requeue struct {
	Job id.ID
	job.Requeue
}

// CancelJob asks for a job's end. One that doesn't run is cancelled at once; a
// running one when its worker has stopped it.
func (s *Service) CancelJob(ctx context.Context, c Caller, i id.ID, reason string) (eventstore.Position, error) {
	return s.write(ctx, c, s.jobDecision(i, job.RequestCancel{Reason: reason}))
}

// BindJobs gives jobs to workers, each by itself. It returns the highest
// position that an answer rests on, and an error a binding.
func (s *Service) BindJobs(ctx context.Context, c Caller, bindings []Binding) (eventstore.Position, []error) {
	builds := make([]build, len(bindings))
	for i, b := range bindings {
		builds[i] = s.jobDecision(b.Job, job.Bind{Attempt: b.Attempt, Worker: b.Worker.String(), Decision: b.Decision})
	}
	return s.writeJobs(ctx, c, builds)
}

// StartJob permits a bound attempt to run.
func (s *Service) StartJob(ctx context.Context, c Caller, i id.ID, start job.Start) error {
	_, err := s.write(ctx, c, s.jobDecision(i, start))
	return err
}

// FinishJob takes a worker's report of an attempt's end. A result that comes too
// late, or of an attempt that may not have run, is recorded as refused, and the
// answer is a Refused fault, also when it comes again.
func (s *Service) FinishJob(ctx context.Context, c Caller, i id.ID, finish job.Finish) error {
	var refused error
	_, err := s.write(ctx, c, func(ctx context.Context, u *unit) error {
		refused = nil
		state, err := decide(ctx, u, s.jobs, jobStream(i), func(state job.State, _ mark) ([]proto.Message, error) {
			messages, err := state.Decide(finish)
			return messages, fault.About(err, i.String())
		})
		if err == nil && !state.Took(finish) {
			refused = fault.Refuse("finish", "job "+i.String(),
				"the result of attempt %d does not count, it is %s with attempt %d", finish.Attempt, state.Status, state.Attempt)
		}
		return err
	})
	if err != nil {
		return err
	}
	return refused
}

// RecordStep records what a step of a running attempt does.
func (s *Service) RecordStep(ctx context.Context, c Caller, i id.ID, step job.RecordStep) error {
	_, err := s.write(ctx, c, s.jobDecision(i, step))
	return err
}

// LoseJobs ends attempts whose workers are gone, each by itself.
func (s *Service) LoseJobs(ctx context.Context, c Caller, losses []Loss) (eventstore.Position, []error) {
	builds := make([]build, len(losses))
	for i, l := range losses {
		builds[i] = s.jobDecision(l.Job, l.Lose)
	}
	return s.writeJobs(ctx, c, builds)
}

// ExpireJobs ends attempts that ran longer than their limits and whose workers do
// not report it, each by itself.
func (s *Service) ExpireJobs(ctx context.Context, c Caller, expiries []Expiry) (eventstore.Position, []error) {
	builds := make([]build, len(expiries))
	for i, e := range expiries {
		builds[i] = s.jobDecision(e.Job, e.Expire)
	}
	return s.writeJobs(ctx, c, builds)
}

// RequeueJobs lets jobs wait again, each by itself.
func (s *Service) RequeueJobs(ctx context.Context, c Caller, requeues []Requeue) (eventstore.Position, []error) {
	builds := make([]build, len(requeues))
	for i, r := range requeues {
		builds[i] = s.jobDecision(r.Job, r.Requeue)
	}
	return s.writeJobs(ctx, c, builds)
}

// SealLog records that the whole log of an attempt lies where logs last.
func (s *Service) SealLog(ctx context.Context, c Caller, i id.ID, seal job.SealLog) error {
	_, err := s.write(ctx, c, s.jobDecision(i, seal))
	return err
}

// LoadJob returns a job as its stream has it now.
func (s *Service) LoadJob(ctx context.Context, i id.ID) (job.State, eventstore.Revision, error) {
	e := &entry[job.State]{stream: jobStream(i)}
	if _, err := s.jobs.refresh(ctx, s.store, e); err != nil {
		return job.State{}, 0, storeFault(err)
	}
	if e.mark.revision == 0 {
		return job.State{}, 0, noJob("read", i)
	}
	return e.state, e.mark.revision, nil
}

// Spec returns what a job was asked to do.
func (s *Service) Spec(ctx context.Context, i id.ID) (spec.Spec, error) {
	asked, _, err := s.Submitted(ctx, i)
	return asked, err
}

// Origin is where a job comes from.
type Origin struct {
	Event       eventstore.EventID // of its submission
	Traceparent string             // of the request that submitted it, or ""
}

// Submitted returns what a job was asked to do, and where it comes from.
func (s *Service) Submitted(ctx context.Context, i id.ID) (asked spec.Spec, from Origin, err error) {
	records, err := s.store.ReadStream(ctx, nil, jobStream(i), 1, 1, eventstore.Forwards)
	if err != nil {
		return asked, from, storeFault(err)
	}
	if len(records) == 0 {
		return asked, from, noJob("read", i)
	}
	m, err := message(records[0])
	if err != nil {
		return asked, from, storeFault(err)
	}
	metadata, err := event.DecodeMetadata(records[0].Metadata)
	if err != nil {
		return asked, from, storeFault(err)
	}
	submitted, _ := m.(*eventv1.JobSubmitted)
	asked, err = spec.FromCanonical(submitted.GetSpec())
	return asked, Origin{records[0].ID, FormatTraceparent(metadata.GetTraceparent())}, err
}

// jobDecision is a command to one job that exists.
func (s *Service) jobDecision(i id.ID, c job.Command) build {
	return func(ctx context.Context, u *unit) error {
		_, err := decide(ctx, u, s.jobs, jobStream(i), func(state job.State, _ mark) ([]proto.Message, error) {
			messages, err := state.Decide(c)
			return messages, fault.About(err, i.String())
		})
		return err
	}
}

func (s *Service) writeJobs(ctx context.Context, c Caller, builds []build) (highest eventstore.Position, errs []error) {
	errs = make([]error, len(builds))
	for i, a := range s.writeEach(ctx, c, builds) {
		errs[i] = a.err
		highest = max(highest, a.position)
	}
	return highest, errs
}

func jobStream(i id.ID) eventstore.StreamID { return eventstore.StreamID(event.JobStream(i)) }

func noJob(op string, i id.ID) error {
	return fault.Missing(op, "job "+i.String(), "there is no such job")
}
