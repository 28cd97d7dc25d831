package api

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hodei-jobs/hodei/aggregates/event"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections"
)

func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }

type jobInput struct {
	ID string `path:"id" doc:"The job's id" example:"7f3k9qd2"`
}

func (s *server) jobs(api huma.API) {
	register(s, api, needs(token.Viewer, huma.Operation{
		OperationID: "listJobs", Method: http.MethodGet, Path: "/v1/jobs", Tags: []string{"jobs"},
		Summary: "List jobs, newest first",
		Description: "Jobs that have not ended, and the newest of those that have; older ones are still read by their id. " +
			"All that is asked for must hold of a job. A page may have fewer items than its limit, or none, and a next: one request looks at a bounded number of jobs.",
		Errors: []int{http.StatusNotFound, http.StatusUnprocessableEntity},
	}), s.listJobs)
	register(s, api, needs(token.Viewer, huma.Operation{
		OperationID: "getJob", Method: http.MethodGet, Path: "/v1/jobs/{id}", Tags: []string{"jobs"},
		Summary: "Read one job, with its spec and steps", Errors: []int{http.StatusNotFound, http.StatusUnprocessableEntity},
	}), s.getJob)
	register(s, api, needs(token.Submitter, huma.Operation{
		OperationID: "cancelJob", Method: http.MethodPost, Path: "/v1/jobs/{id}/cancel", Tags: []string{"jobs"},
		Summary:      "Cancel a job",
		Description:  "One that waits ends at once; one that runs is sent its stop signal and killed after its grace. Again is the same as once.",
		Errors:       append([]int{http.StatusNotFound, http.StatusConflict}, bodyErrors...),
		MaxBodyBytes: maxBody, BodyReadTimeout: bodyTimeout,
	}), s.cancelJob)
	register(s, api, needs(token.Viewer, huma.Operation{
		OperationID: "listJobEvents", Method: http.MethodGet, Path: "/v1/jobs/{id}/events", Tags: []string{"jobs"},
		Summary: "List what happened to a job", Errors: []int{http.StatusNotFound, http.StatusUnprocessableEntity},
	}), s.jobEvents)
}

// PageInput chooses a page of any list. Huma reads only exported names.
type PageInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"At most so many items"`
	Cursor string `query:"cursor" doc:"The next of a page; 0 or nothing is the first"`
}

type listOutput struct{ Body wire.Jobs }

// parseCursor reads the next of a page, which is a number; otherwise is what is
// meant by none.
func parseCursor(text string, otherwise uint64) (uint64, error) {
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, invalid("query.cursor", "it is not the next of a page", text)
	}
	if n == 0 {
		return otherwise, nil
	}
	return n, nil
}

func parseStates(text string) (map[job.Status]bool, error) {
	if text == "" {
		return nil, nil
	}
	out := map[job.Status]bool{}
	for _, word := range strings.Split(text, ",") {
		found := false
		for st := job.Pending; st <= job.Lost; st++ {
			if st.String() == word {
				out[st], found = true, true
			}
		}
		if !found {
			return nil, invalid("query.state", fmt.Sprintf("%q is no state; there are pending, bound, running, succeeded, failed, cancelled, timed_out, lost", cut(word)), nil)
		}
	}
	return out, nil
}

func counts(w *projections.World, namespace string) wire.Counts {
	var n wire.Counts
	for name, c := range w.Jobs.Namespaces() {
		if namespace != "" && name != namespace {
			continue
		}
		for st, k := range c {
			switch st := job.Status(st); {
			case st == job.Pending:
				n.Waiting += int(k)
			case st.Terminal():
				n.Ended += int(k)
			default:
				n.Running += int(k)
			}
		}
	}
	return n
}

type oneJobOutput struct{ Body *wire.Job }

func (s *server) getJob(ctx context.Context, in *jobInput) (*oneJobOutput, error) {
	w, j, err := s.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	v, err := s.story(ctx, w, &j)
	if err != nil {
		return nil, err
	}
	return &oneJobOutput{v}, nil
}

type cancelInput struct {
	ID   string `path:"id" doc:"The job's id" example:"7f3k9qd2"`
	Body *struct {
		Reason string `json:"reason,omitempty" maxLength:"256" doc:"Why, for those who ask later"`
	}
}

func (s *server) cancelJob(ctx context.Context, in *cancelInput) (*oneJobOutput, error) {
	_, j, err := s.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	reason := ""
	if in.Body != nil {
		reason = in.Body.Reason
	}
	if _, err := s.Commands.CancelJob(ctx, who(ctx).caller(), j.ID, reason); err != nil {
		return nil, err
	}
	v, err := s.story(ctx, s.Runner.World(), &j)
	if err != nil {
		return nil, err
	}
	return &oneJobOutput{v}, nil
}

type jobEventsInput struct {
	ID string `path:"id" doc:"The job's id" example:"7f3k9qd2"`
	PageInput
}

func (s *server) jobEvents(ctx context.Context, in *jobEventsInput) (*eventsOutput, error) {
	w, j, err := s.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	after, err := parseCursor(in.Cursor, 0)
	if err != nil {
		return nil, err
	}
	records, err := s.Store.ReadStream(ctx, nil, eventstore.StreamID(event.JobStream(j.ID)), eventstore.Revision(after+1), in.Limit+1, eventstore.Forwards)
	if err != nil {
		return nil, err
	}
	out := &eventsOutput{Body: wire.Events{Items: []wire.Event{}}}
	for _, r := range records {
		if r.Position > w.Position {
			break
		}
		if len(out.Body.Items) == in.Limit {
			out.Body.Next = strconv.FormatUint(uint64(r.Revision)-1, 10)
			break
		}
		out.Body.Items = append(out.Body.Items, eventView(r))
	}
	return out, nil
}
