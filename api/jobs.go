package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hodei-jobs/hodei/aggregates/event"
	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/commands"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections"
	"github.com/hodei-jobs/hodei/projections/jobs"
)

func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }

type submitInput struct {
	Key     string `header:"Idempotency-Key" maxLength:"128" doc:"The same key with the same body gives the same job again, for 7 days"`
	RawBody []byte
}

type jobOutput struct {
	Location string `header:"Location"`
	Body     *wire.Job
}

type jobInput struct {
	ID string `path:"id" doc:"The job's id" example:"7f3k9qd2"`
}

func (s *server) jobs(api huma.API) {
	submit := needs(token.Submitter, huma.Operation{
		OperationID: "submitJob", Method: http.MethodPost, Path: "/v1/jobs", Tags: []string{"jobs"}, DefaultStatus: http.StatusCreated,
		Summary:      "Submit a job",
		Description:  "Answers once the job is durable: from then on it is never lost. Fields that are not known are refused.",
		Errors:       []int{http.StatusNotFound, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity, http.StatusTooManyRequests},
		MaxBodyBytes: MaxBody, SkipValidateBody: true,
	})
	submit.RequestBody = jsonRequest(api, typeOf[spec.Spec](), "Spec", specExample)
	huma.Register(api, submit, s.submitJob)

	batch := needs(token.Submitter, huma.Operation{
		OperationID: "submitJobs", Method: http.MethodPost, Path: "/v1/jobs:batch", Tags: []string{"jobs"},
		Summary:      "Submit several jobs",
		Description:  "Each is accepted or refused by itself; the answer has a row for each, in their order. At most " + strconv.Itoa(MaxBatch) + " jobs.",
		Errors:       []int{http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity, http.StatusTooManyRequests},
		MaxBodyBytes: MaxBody, SkipValidateBody: true,
	})
	batch.RequestBody = jsonRequest(api, typeOf[batchBody](), "BatchBody", map[string]any{"jobs": []any{specExample}})
	huma.Register(api, batch, s.submitJobs)

	huma.Register(api, needs(token.Viewer, huma.Operation{
		OperationID: "listJobs", Method: http.MethodGet, Path: "/v1/jobs", Tags: []string{"jobs"},
		Summary: "List jobs, newest first", Errors: []int{http.StatusUnprocessableEntity},
	}), s.listJobs)

	huma.Register(api, needs(token.Viewer, huma.Operation{
		OperationID: "getJob", Method: http.MethodGet, Path: "/v1/jobs/{id}", Tags: []string{"jobs"},
		Summary: "Read one job, with its spec and steps", Errors: []int{http.StatusNotFound, http.StatusUnprocessableEntity},
	}), s.getJob)

	cancel := needs(token.Submitter, huma.Operation{
		OperationID: "cancelJob", Method: http.MethodPost, Path: "/v1/jobs/{id}/cancel", Tags: []string{"jobs"},
		Summary:      "Cancel a job",
		Description:  "One that waits ends at once; one that runs is sent its stop signal and killed after its grace. Again is the same as once.",
		Errors:       []int{http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity},
		MaxBodyBytes: MaxBody,
	})
	huma.Register(api, cancel, s.cancelJob)

	huma.Register(api, needs(token.Viewer, huma.Operation{
		OperationID: "listJobEvents", Method: http.MethodGet, Path: "/v1/jobs/{id}/events", Tags: []string{"jobs"},
		Summary: "List what happened to a job", Errors: []int{http.StatusNotFound, http.StatusUnprocessableEntity},
	}), s.jobEvents)
}

var specExample = map[string]any{
	"name": "build-web", "command": "make test", "resources": map[string]any{"cpu": "2", "memory": "2Gi"},
	"env": map[string]any{"GOFLAGS": "-race"}, "timeout": "30m", "retries": map[string]any{"max": 1, "on": []any{"lost"}},
}

func jsonRequest(api huma.API, t reflect.Type, hint string, example any) *huma.RequestBody {
	return &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		"application/json": {Schema: api.OpenAPI().Components.Schemas.Schema(t, true, hint), Example: example},
	}}
}

// parseSpec reads a spec and puts it into the caller's namespace.
func parseSpec(ctx context.Context, body []byte) (spec.Spec, error) {
	sp, err := spec.Parse(body)
	if err != nil {
		return sp, err
	}
	p := who(ctx)
	if sp.Namespace == "" && p.namespace != token.AllNamespaces {
		sp.Namespace = p.namespace
	}
	sp = sp.WithDefaults()
	if !p.sees(sp.Namespace) {
		return sp, &fault.Error{Kind: fault.Forbidden, Op: "submit", Subject: "job",
			Reason: fmt.Sprintf("the token is for namespace %s, the job is for %s", p.namespace, sp.Namespace)}
	}
	return sp, nil
}

func (s *server) submitJob(ctx context.Context, in *submitInput) (*jobOutput, error) {
	sp, err := parseSpec(ctx, in.RawBody)
	if err != nil {
		return nil, s.answer(err)
	}
	done := s.Commands.SubmitJobs(ctx, who(ctx).caller(), []commands.Submission{{Spec: sp, Key: in.Key}})[0]
	if done.Err != nil {
		return nil, s.answer(done.Err)
	}
	v, err := s.submitted(ctx, done)
	if err != nil {
		return nil, s.answer(err)
	}
	return &jobOutput{Location: "/v1/jobs/" + v.ID, Body: v}, nil
}

// submitted is the job a submission answers with.
func (s *server) submitted(ctx context.Context, done commands.Submitted) (*wire.Job, error) {
	w := s.Runner.World()
	j, ok := w.Jobs.ByID(done.ID)
	if !ok {
		return s.story(ctx, w, &jobs.Job{ID: done.ID, Position: done.Position})
	}
	return s.view(ctx, w, &j)
}

type batchBody struct {
	Jobs []spec.Spec `json:"jobs"`
}

type batchInput struct{ RawBody []byte }

type batchOutput struct{ Body wire.Batch }

func (s *server) submitJobs(ctx context.Context, in *batchInput) (*batchOutput, error) {
	var body struct {
		Jobs []json.RawMessage `json:"jobs"`
	}
	d := json.NewDecoder(strings.NewReader(string(in.RawBody)))
	d.DisallowUnknownFields()
	if err := d.Decode(&body); err != nil {
		return nil, invalid("body", "it must be an object with one field, the list jobs", nil)
	}
	if len(body.Jobs) == 0 || len(body.Jobs) > MaxBatch {
		return nil, invalid("jobs", fmt.Sprintf("a batch has 1 to %d jobs, this has %d", MaxBatch, len(body.Jobs)), nil)
	}
	out := &batchOutput{Body: wire.Batch{Items: make([]wire.BatchItem, len(body.Jobs))}}
	var good []commands.Submission
	var places []int
	for i, raw := range body.Jobs {
		sp, err := parseSpec(ctx, raw)
		if err != nil {
			out.Body.Items[i].Problem = s.told(err)
			continue
		}
		good, places = append(good, commands.Submission{Spec: sp}), append(places, i)
	}
	for i, done := range s.Commands.SubmitJobs(ctx, who(ctx).caller(), good) {
		item := &out.Body.Items[places[i]]
		err := done.Err
		if err == nil {
			item.Job, err = s.submitted(ctx, done)
		}
		if err != nil {
			item.Problem = s.told(err)
		}
	}
	return out, nil
}

type listInput struct {
	Namespace string `query:"namespace" maxLength:"63" doc:"Only jobs of this namespace"`
	State     string `query:"state" maxLength:"128" doc:"Only jobs in these states, separated by commas" example:"running,failed"`
	Limit     int    `query:"limit" minimum:"1" maximum:"1000" default:"50"`
	Cursor    string `query:"cursor" doc:"The next of a page"`
}

type listOutput struct{ Body wire.Jobs }

// jobsLooked is how many jobs one request looks at; a page may have fewer items
// than asked for, and a next, when few of them pass the filter.
const jobsLooked = 200_000

func (s *server) listJobs(ctx context.Context, in *listInput) (*listOutput, error) {
	p := who(ctx)
	if in.Namespace != "" && !p.sees(in.Namespace) {
		return nil, wire.NewProblem(http.StatusForbidden, "forbidden", "the token is for namespace "+p.namespace+", not for "+in.Namespace)
	}
	if in.Namespace == "" && p.namespace != token.AllNamespaces {
		in.Namespace = p.namespace
	}
	states, err := parseStates(in.State)
	if err != nil {
		return nil, err
	}
	from := eventstore.Position(1<<63 - 1)
	if in.Cursor != "" {
		n, err := strconv.ParseUint(in.Cursor, 10, 63)
		if err != nil || n == 0 {
			return nil, invalid("query.cursor", "it is not the next of a page", in.Cursor)
		}
		from = eventstore.Position(n) - 1
	}
	w := s.Runner.World()
	out := &listOutput{Body: wire.Jobs{Items: []wire.Job{}, Counts: counts(w, in.Namespace)}}
	looked := 0
	for j := range w.Jobs.Descend(from) {
		if len(out.Body.Items) == in.Limit || looked == jobsLooked {
			out.Body.Next = strconv.FormatUint(uint64(j.Position)+1, 10)
			break
		}
		looked++
		if states != nil && !states[j.Status] || in.Namespace != "" && w.Jobs.Namespace(j) != in.Namespace {
			continue
		}
		v, err := s.view(ctx, w, &j)
		if err != nil {
			return nil, s.answer(err)
		}
		out.Body.Items = append(out.Body.Items, *v)
	}
	return out, nil
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
			return nil, invalid("query.state", fmt.Sprintf("%q is no state; there are pending, bound, running, succeeded, failed, cancelled, timed_out, lost", word), text)
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
		return nil, s.answer(err)
	}
	return &oneJobOutput{v}, nil
}

type cancelInput struct {
	ID   string `path:"id"`
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
		return nil, s.answer(err)
	}
	v, err := s.story(ctx, s.Runner.World(), &j)
	if err != nil {
		return nil, s.answer(err)
	}
	return &oneJobOutput{v}, nil
}

type jobEventsInput struct {
	ID     string `path:"id"`
	Cursor string `query:"cursor" doc:"The next of a page: the revision to go on after"`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"200"`
}

func (s *server) jobEvents(ctx context.Context, in *jobEventsInput) (*eventsOutput, error) {
	w, j, err := s.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	after := uint64(0)
	if in.Cursor != "" {
		if after, err = strconv.ParseUint(in.Cursor, 10, 63); err != nil {
			return nil, invalid("query.cursor", "it is not the next of a page", in.Cursor)
		}
	}
	records, err := s.Store.ReadStream(ctx, nil, eventstore.StreamID(event.JobStream(j.ID)), eventstore.Revision(after+1), in.Limit+1, eventstore.Forwards)
	if err != nil {
		return nil, s.answer(err)
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
