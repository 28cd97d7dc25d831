package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hodei-jobs/hodei/aggregates/event"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections"
	"github.com/hodei-jobs/hodei/projections/jobs"
	"github.com/hodei-jobs/hodei/projections/telemetry"
)

// find returns the job a request names, as the World shows it, if the caller may
// see it. A job that has left memory is read from its stream.
func (s *server) find(ctx context.Context, text string) (*projections.World, jobs.Job, error) {
	w := s.Runner.World()
	jobID, err := id.ParseJob(text)
	if err != nil {
		return w, jobs.Job{}, invalid("path.id", "a job's id has 8 characters, digits and small letters without i, l, o and u", text)
	}
	if j, ok := w.Jobs.ByID(jobID); ok {
		if !who(ctx).sees(w.Jobs.Namespace(j)) {
			return w, jobs.Job{}, noJob(jobID)
		}
		return w, j, nil
	}
	first, err := s.Store.ReadStream(ctx, nil, eventstore.StreamID(event.JobStream(jobID)), 1, 1, eventstore.Forwards)
	if err != nil {
		return w, jobs.Job{}, err
	}
	if len(first) == 0 {
		return w, jobs.Job{}, noJob(jobID)
	}
	m, err := message(first[0])
	submitted, ok := m.(*eventv1.JobSubmitted)
	if err != nil || !ok || !who(ctx).sees(submitted.GetNamespace()) {
		return w, jobs.Job{}, noJob(jobID)
	}
	return w, jobs.Job{ID: jobID, Position: first[0].Position}, nil
}

func noJob(jobID id.ID) *wire.Problem {
	return missing("path.id", "job", jobID.String(), "the jobs there are: hodei job list")
}

// record reads one record.
func (s *server) record(ctx context.Context, at eventstore.Position) (*eventstore.Record, error) {
	records, _, err := s.Store.ReadAll(ctx, nil, at, 1, eventstore.Filter{})
	if err != nil {
		return nil, err
	}
	if len(records) == 0 || records[0].Position != at {
		return nil, fmt.Errorf("record #%d is not in the log", at)
	}
	return records[0], nil
}

// view is a job as lists show it: from the World, its submission and the event
// that gave it its status.
func (s *server) view(ctx context.Context, w *projections.World, j *jobs.Job) (*wire.Job, error) {
	r, err := s.record(ctx, j.Position)
	if err != nil {
		return nil, err
	}
	m, err := message(r)
	if err != nil {
		return nil, err
	}
	submitted, ok := m.(*eventv1.JobSubmitted)
	if !ok {
		return nil, fmt.Errorf("record #%d is no submission", j.Position)
	}
	v := &wire.Job{
		ID: j.ID.String(), Name: submitted.GetName(), Namespace: submitted.GetNamespace(), State: j.Status.String(),
		Attempt: j.Attempt, Priority: submitted.GetPriority(), Submitted: instant(j.Submitted),
		Started: instantOrNone(j.Started), Finished: instantOrNone(j.Finished), Position: uint64(j.Position), RerunOf: submitted.GetRerunOf(),
		Cancelling: j.CancelRequested && !j.Status.Terminal(),
	}
	v.Worker, v.WorkerName = workerNames(w, j.Worker)
	if !j.Status.Terminal() {
		s.living(w, j, v)
		v.Usage = nil
		if u, ok := s.Telemetry.Usage(j.ID, j.Attempt); ok {
			v.Waits = u.WaitsForInput
		}
		return v, nil
	}
	if r, err = s.record(ctx, j.Last); err != nil {
		return nil, err
	}
	if m, err := message(r); err == nil { // else a newer server wrote it
		addEnding(v, m, submitted.GetResources().GetMemoryBytes(), v.WorkerName)
	}
	v.Usage = nil // only when one job is read
	return v, nil
}

// living adds what is so of a job that has not ended: why it waits, and what its
// running attempt uses.
func (s *server) living(w *projections.World, j *jobs.Job, v *wire.Job) {
	s.waiting(w, j, v)
	if j.Status == job.Running {
		s.measured(j.ID, j.Attempt, v)
	}
}

func instant(ns int64) time.Time { return time.Unix(0, ns).UTC() }

func instantOrNone(ns int64) *time.Time {
	if ns == 0 {
		return nil
	}
	t := instant(ns)
	return &t
}

func workerNames(w *projections.World, worker id.ID) (idText, name string) {
	if worker == 0 {
		return "", ""
	}
	if row, ok := w.Workers.Get(worker); ok {
		return worker.String(), row.Name
	}
	return worker.String(), ""
}

// each calls fn with a job's events, but for those that this server does not know
// and those that the World does not include yet.
func (s *server) each(ctx context.Context, w *projections.World, jobID id.ID, fn func(proto.Message, *eventstore.Record)) error {
	for from := eventstore.Revision(1); ; {
		records, err := s.Store.ReadStream(ctx, nil, eventstore.StreamID(event.JobStream(jobID)), from, eventBatch, eventstore.Forwards)
		if err != nil {
			return err
		}
		for _, r := range records {
			if r.Position > w.Position {
				return nil
			}
			if m, err := message(r); err == nil {
				fn(m, r)
			} else if !errors.Is(err, event.ErrUnknown) {
				return err
			}
		}
		if len(records) < eventBatch {
			return nil
		}
		from += eventstore.Revision(len(records))
	}
}

// story is one job read from its own stream: what lists show, and its spec,
// steps and usage. Events the caller's World does not include yet are left out.
func (s *server) story(ctx context.Context, w *projections.World, j *jobs.Job) (*wire.Job, error) {
	v := &wire.Job{ID: j.ID.String(), Position: uint64(j.Position)}
	var state job.State
	var end proto.Message // the event that ended it
	var memory uint64     // it asked for
	err := s.each(ctx, w, j.ID, func(m proto.Message, r *eventstore.Record) {
		state = job.Evolve(state, m)
		tell(v, m, r)
		if e, ok := m.(*eventv1.JobSubmitted); ok {
			memory = e.GetResources().GetMemoryBytes()
		}
		if state.Status.Terminal() && end == nil {
			v.Finished, end = instantOrNone(r.Time), m
		}
	})
	if err != nil {
		return nil, err
	}
	v.State, v.Attempt = state.Status.String(), state.Attempt
	v.Cancelling = state.CancelRequested && !state.Status.Terminal()
	if worker, err := id.ParseWorker(v.Worker); err == nil {
		_, v.WorkerName = workerNames(w, worker)
	}
	addEnding(v, end, memory, v.WorkerName)
	if row, ok := w.Jobs.ByID(j.ID); ok && !state.Status.Terminal() {
		s.living(w, &row, v)
	}
	return v, nil
}

// tell adds what an event says to the story of its job. How an attempt ended that
// was not the last is not part of it.
func tell(v *wire.Job, m proto.Message, r *eventstore.Record) {
	switch e := m.(type) {
	case *eventv1.JobSubmitted:
		v.Name, v.Namespace, v.Priority, v.Spec, v.Submitted = e.GetName(), e.GetNamespace(), e.GetPriority(), spec.Shown(e.GetSpec()), r.When()
		v.RerunOf = e.GetRerunOf()
	case *eventv1.JobBound:
		v.Worker, v.Steps, v.Started = e.GetWorkerId(), nil, nil
		v.Forced, v.Killed, v.Escaped = false, 0, false
	case *eventv1.JobStarted:
		v.Started = instantOrNone(r.Time)
	case *eventv1.StepStarted:
		v.Steps = append(v.Steps, wire.Step{Step: e.GetStep(), Name: e.GetName(), State: "running", LogOffset: e.GetLogOffset()})
	case *eventv1.StepFinished:
		finishStep(v, e)
	}
}

func finishStep(v *wire.Job, e *eventv1.StepFinished) {
	step := wire.Step{Step: e.GetStep(), Name: e.GetName()}
	at := len(v.Steps)
	for i := range v.Steps {
		if v.Steps[i].Step == e.GetStep() {
			at, step = i, v.Steps[i]
		}
	}
	step.State, step.ExitCode, step.Signal, step.Seconds = e.GetState(), e.ExitCode, e.GetSignal(), time.Duration(e.GetTookNs()).Seconds()
	if at == len(v.Steps) {
		v.Steps = append(v.Steps, step)
		return
	}
	v.Steps[at] = step
}

// measured adds what is known of a running attempt's use.
func (s *server) measured(jobID id.ID, attempt uint32, v *wire.Job) {
	u, ok := s.Telemetry.Usage(jobID, attempt)
	if !ok {
		return
	}
	v.Waits = u.WaitsForInput
	v.Usage = &wire.Usage{
		Memory: known(u.Memory), PeakMemory: known(u.PeakMemory), CPU: scaled(u.CPU, 1000), CPUSeconds: scaled(u.CPUTime, 1e9),
		NetRx: known(u.NetReceived), NetTx: known(u.NetSent), DiskRead: known(u.DiskRead), DiskWrite: known(u.DiskWritten),
	}
}

// known is a gauge's number, nil if it could not be measured.
func known(g telemetry.Gauge) *uint64 {
	if !g.Known {
		return nil
	}
	return &g.N
}

func scaled(g telemetry.Gauge, unit float64) *float64 {
	if !g.Known {
		return nil
	}
	n := float64(g.N) / unit
	return &n
}
