package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"google.golang.org/protobuf/proto"

	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections/joblog"
)

type logStepsInput struct {
	ID      string `path:"id" doc:"The job's id" example:"7f3k9qd2"`
	Attempt uint32 `query:"attempt" doc:"The attempt; without it the current or last"`
}

type logStepsOutput struct{ Body *wire.LogSteps }

func (s *server) logSteps(api huma.API) {
	register(s, api, needs(token.Viewer, huma.Operation{
		OperationID: "listJobLogSteps", Method: http.MethodGet, Path: "/v1/jobs/{id}/logs/steps", Tags: []string{"jobs"},
		Summary:     "List the steps of an attempt with their parts of its log",
		Description: "Offsets are those of the attempt's log, as a Range of its text has them.",
		Errors:      []int{http.StatusNotFound, http.StatusUnprocessableEntity},
	}), func(ctx context.Context, in *logStepsInput) (*logStepsOutput, error) {
		key, err := s.findLog(ctx, in.ID, in.Attempt)
		if err != nil {
			return nil, err
		}
		steps, err := s.stepsOf(ctx, key)
		return &logStepsOutput{steps}, err
	})
}

// stepsOf folds the steps of an attempt from the job's events.
func (s *server) stepsOf(ctx context.Context, key joblog.Key) (*wire.LogSteps, error) {
	w := s.Runner.World() // before the log: what it shows of a step's end, the log has
	fold := stepFold{attempt: key.Attempt, steps: []wire.LogStep{}}
	if err := s.each(ctx, w, key.Job, fold.add); err != nil {
		return nil, err
	}
	out := &wire.LogSteps{Attempt: key.Attempt, Size: s.Logs.Head(key)}
	_, out.Whole = s.Logs.Ended(key)
	fold.close(out.Size, out.Whole)
	out.Steps = fold.steps
	return out, nil
}

// stepFold gathers what events say of one attempt's steps.
type stepFold struct {
	attempt uint32
	steps   []wire.LogStep
}

func (f *stepFold) add(m proto.Message, r *eventstore.Record) {
	switch e := m.(type) {
	case *eventv1.StepStarted:
		if e.GetAttempt() == f.attempt {
			step, from := f.step(e.GetStep(), e.GetName()), e.GetLogOffset()
			step.State, step.Started, step.From = "running", instantOrNone(r.Time), &from
		}
	case *eventv1.StepFinished:
		if e.GetAttempt() == f.attempt {
			step := f.step(e.GetStep(), e.GetName())
			step.State, step.ExitCode, step.Signal, step.Seconds = e.GetState(), e.ExitCode, e.GetSignal(), time.Duration(e.GetTookNs()).Seconds()
		}
	case *eventv1.JobLost:
		f.end(e.GetAttempt(), "lost")
	case *eventv1.JobTimedOut:
		f.end(e.GetAttempt(), "timed_out")
	case *eventv1.JobCancelled:
		f.end(e.GetAttempt(), "cancelled")
	case *eventv1.JobFailed:
		f.end(e.GetAttempt(), "failed")
	}
}

func (f *stepFold) step(number uint32, name string) *wire.LogStep {
	at := slices.IndexFunc(f.steps, func(s wire.LogStep) bool { return s.Step == number })
	if at < 0 {
		at, f.steps = len(f.steps), append(f.steps, wire.LogStep{Step: number, Name: name})
	}
	return &f.steps[at]
}

// end says what became of a step whose own end was never reported.
func (f *stepFold) end(attempt uint32, state string) {
	for i := range f.steps {
		if attempt == f.attempt && f.steps[i].State == "running" {
			f.steps[i].State = state
		}
	}
}

// close finds where each step's bytes end: where the next one begins. Offsets are
// an agent's word; such as can't be are brought into the log's bounds and order.
func (f *stepFold) close(size uint64, whole bool) {
	slices.SortStableFunc(f.steps, func(a, b wire.LogStep) int { return int(a.Step) - int(b.Step) })
	to := &size
	if !whole {
		to = nil
	}
	for _, step := range slices.Backward(f.steps) {
		if step.From == nil {
			continue
		}
		if most := to; most != nil {
			*step.From = min(*step.From, *most)
		}
		own := to
		to = step.From
		f.step(step.Step, "").To = own
	}
}

// findStep returns the step that a number or a name means.
func findStep(steps *wire.LogSteps, text string) (*wire.LogStep, error) {
	number, err := strconv.ParseUint(text, 10, 32)
	var found []*wire.LogStep
	var names []string
	for i := range steps.Steps {
		step := &steps.Steps[i]
		names = append(names, strings.TrimSpace(fmt.Sprint(step.Step, " ", step.Name)))
		if err == nil && step.Step == uint32(number) || err != nil && step.Name == text {
			found = append(found, step)
		}
	}
	switch {
	case len(found) == 0:
		p := missing("query.step", "step", text, "")
		p.Detail += fmt.Sprintf(" in attempt %d, or it has not begun", steps.Attempt)
		if len(names) > 0 {
			p.Help = "the steps there are: " + strings.Join(names[:min(len(names), maxNamed)], ", ")
		}
		return nil, p
	case len(found) > 1:
		return nil, invalid("query.step", fmt.Sprintf("%d steps have this name; give a number, such as %d", len(found), found[0].Step), text)
	case found[0].From == nil:
		return nil, missing("query.step", "output of step", text, "it did not run: "+found[0].State)
	}
	return found[0], nil
}

// maxNamed is how many steps an error names.
const maxNamed = 20
