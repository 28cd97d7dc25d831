package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/commands/placement"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections"
	"github.com/hodei-jobs/hodei/projections/jobs"
	"github.com/hodei-jobs/hodei/projections/queue"
)

// nextShown is how many jobs of a class are named.
const nextShown = 10

type queueInput struct {
	Namespace string `query:"namespace" maxLength:"63" doc:"Only what waits in this namespace"`
	Limit     int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	Cursor    string `query:"cursor" doc:"The next of a page"`
}

type queueOutput struct{ Body wire.Queue }

func (s *server) queue(api huma.API) {
	huma.Register(api, needs(token.Viewer, huma.Operation{
		OperationID: "getQueue", Method: http.MethodGet, Path: "/v1/queue", Tags: []string{"queue"},
		Summary: "Show what waits, and why", Errors: []int{http.StatusUnprocessableEntity},
		Description: "Waiting jobs in classes: those with the same namespace, pool and needs. The reason is that of the class's first job.",
	}), s.getQueue)
}

func (s *server) getQueue(ctx context.Context, in *queueInput) (*queueOutput, error) {
	after := uint64(0)
	if in.Cursor != "" {
		var err error
		if after, err = strconv.ParseUint(in.Cursor, 10, 63); err != nil {
			return nil, invalid("query.cursor", "it is not the next of a page", in.Cursor)
		}
	}
	w, p := s.Runner.World(), who(ctx)
	if in.Namespace != "" && !p.sees(in.Namespace) {
		return nil, wire.NewProblem(http.StatusForbidden, "forbidden", "the token is for namespace "+p.namespace+", not for "+in.Namespace)
	}
	out := &queueOutput{Body: wire.Queue{Items: []wire.Class{}}}
	for c := range w.Queue.Classes() {
		if !p.sees(c.Namespace) || in.Namespace != "" && in.Namespace != c.Namespace || c.Waiting+c.Backoff == 0 {
			continue
		}
		out.Body.Waiting += c.Waiting + c.Backoff
		out.Body.Backoff += c.Backoff
		switch {
		case uint64(c.Origin) <= after:
		case len(out.Body.Items) < in.Limit:
			out.Body.Items = append(out.Body.Items, s.classView(w, c))
		case out.Body.Next == "":
			out.Body.Next = out.Body.Items[in.Limit-1].Class[1:]
		}
	}
	return out, nil
}

func (s *server) classView(w *projections.World, c queue.Class) wire.Class {
	v := wire.Class{Class: className(c.Origin), Namespace: c.Namespace, Pool: c.Pool, Waiting: c.Waiting + c.Backoff,
		Needs: wire.Needs{CPU: c.Need.CPU.String(), Requires: c.Requires.Map()}}
	if c.Need.Memory > 0 {
		v.Needs.Memory = c.Need.Memory.String()
	}
	if c.Need.Disk > 0 {
		v.Needs.Disk = c.Need.Disk.String()
	}
	why := placement.Explain(s.input(w), c)
	v.Reason, v.Summary, v.Explanation, v.Help = string(why.Code), why.Brief, why.Summary, why.Help
	for e := range w.Queue.Entries(c.Origin) {
		if v.Oldest == nil {
			if j, ok := w.Jobs.At(e.Job); ok {
				v.Oldest = instantOrNone(j.Submitted)
			}
		}
		if len(v.Next) == nextShown {
			break
		}
		v.Next = append(v.Next, e.ID.String())
	}
	return v
}

func className(origin eventstore.Position) string {
	return "c" + strconv.FormatUint(uint64(origin), 10)
}

// waiting adds why a job that has not ended does not run.
func (s *server) waiting(w *projections.World, j *jobs.Job, v *wire.Job) {
	var why placement.Why
	entry := queue.Entry{Class: j.Class, Key: j.Key, Job: j.Position, ID: j.ID, Attempt: j.Attempt + 1}
	switch {
	case j.Status == job.Bound:
		v.Reason, v.Summary = "dispatched", "sent to "+v.WorkerName+", not yet confirmed"
		return
	case j.Status != job.Pending:
		return
	case j.Backoff:
		why = placement.ExplainBackoff(queue.Gated{Due: j.Due, Entry: entry}, s.Clock().UnixNano())
	default:
		why = placement.ExplainJob(s.input(w), entry)
	}
	v.Reason, v.Summary, v.Explanation, v.Help = string(why.Code), why.Brief, why.Summary, why.Help
}

func (s *server) input(w *projections.World) placement.Input {
	return placement.Input{Queue: w.Queue, Cluster: w.Cluster, Settings: w.Settings, Telemetry: s.Telemetry.View(), Position: w.Position}
}
