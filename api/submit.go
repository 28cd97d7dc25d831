package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/commands"
	"github.com/hodei-jobs/hodei/projections/jobs"
)

type submitInput struct {
	Key     string `header:"Idempotency-Key" maxLength:"128" doc:"The same key with the same body gives the same job again, for 7 days"`
	RawBody []byte
}

type submitOutput struct {
	Location string `header:"Location" doc:"Where the job is read"`
	Body     *wire.Job
}

type batchInput struct {
	Key     string `header:"Idempotency-Key" maxLength:"128" doc:"The same key with the same jobs gives the same jobs again, for 7 days; with others the batch is refused. Jobs that were refused may be corrected"`
	RawBody []byte
}

type batchBody struct {
	Jobs []spec.Spec `json:"jobs" minItems:"1" maxItems:"1000"`
}

type batchOutput struct{ Body wire.Batch }

func (s *server) submissions(api huma.API) {
	registerRaw(s, api, needs(token.Submitter, huma.Operation{
		OperationID: "submitJob", Method: http.MethodPost, Path: "/v1/jobs", Tags: []string{"jobs"}, DefaultStatus: http.StatusCreated,
		Summary:     "Submit a job",
		Description: "Answers once the job is durable: from then on it is never lost. Fields that are not known are refused.",
		Errors:      append([]int{http.StatusNotFound, http.StatusConflict}, bodyErrors...),
	}), typeOf[spec.Spec](), specExample, s.submitJob)
	registerRaw(s, api, needs(token.Submitter, huma.Operation{
		OperationID: "submitJobs", Method: http.MethodPost, Path: "/v1/jobs:batch", Tags: []string{"jobs"},
		Summary:     "Submit several jobs",
		Description: "Each is accepted or refused by itself; the answer has a row for each, in their order. At most " + strconv.Itoa(maxBatch) + " jobs.",
		Errors:      append([]int{http.StatusConflict}, bodyErrors...),
	}), typeOf[batchBody](), map[string]any{"jobs": []any{specExample}}, s.submitJobs)
}

// registerRaw adds a route that reads its JSON by itself; t and example document
// what it reads.
func registerRaw[I, O any](s *server, api huma.API, op huma.Operation, t reflect.Type, example any, handler func(context.Context, *I) (*O, error)) {
	op.RequestBody = &huma.RequestBody{Required: true}
	op.MaxBodyBytes, op.BodyReadTimeout, op.SkipValidateBody = maxBody, bodyTimeout, true
	register(s, api, op, handler)
	op.RequestBody.Content = map[string]*huma.MediaType{
		jsonType: {Schema: api.OpenAPI().Components.Schemas.Schema(t, true, ""), Example: example},
	}
}

// bodyErrors are the statuses of what can be wrong with a body, or that it is too
// much now.
var bodyErrors = []int{
	http.StatusBadRequest, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
	http.StatusUnprocessableEntity, http.StatusTooManyRequests, http.StatusServiceUnavailable,
}

var specExample = map[string]any{
	"name": "build-web", "command": "make test", "resources": map[string]any{"cpu": "2", "memory": "2Gi"},
	"env": map[string]any{"GOFLAGS": "-race"}, "timeout": "30m", "retries": map[string]any{"max": 1, "on": []any{"lost"}},
}

// parseSpec reads a spec and puts it into the caller's namespace.
func parseSpec(p *principal, body []byte) (spec.Spec, error) {
	sp, err := spec.Parse(body)
	if err != nil {
		return sp, err
	}
	if sp.Namespace == "" && p.namespace != token.AllNamespaces {
		sp.Namespace = p.namespace
	}
	if sp.Namespace != "" && !p.sees(sp.Namespace) {
		message := fmt.Sprintf("the token is for namespace %s, the job is for %s", p.namespace, sp.Namespace)
		return sp, &fault.Error{Kind: fault.Forbidden, Op: "submit", Subject: "job", Reason: message,
			Fields: []fault.Field{{Location: "namespace", Message: message}}}
	}
	return sp, nil
}

func (s *server) submitJob(ctx context.Context, in *submitInput) (*submitOutput, error) {
	p := who(ctx)
	sp, err := parseSpec(p, in.RawBody)
	if err != nil {
		return nil, err
	}
	done := s.Commands.SubmitJobs(ctx, p.caller(), []commands.Submission{{Spec: sp, Key: in.Key}})[0]
	if done.Err != nil {
		return nil, done.Err
	}
	v, err := s.submitted(ctx, done)
	if err != nil {
		return nil, err
	}
	return &submitOutput{Location: "/v1/jobs/" + v.ID, Body: v}, nil
}

// submitted is the job a submission answers with.
func (s *server) submitted(ctx context.Context, done commands.Submitted) (*wire.Job, error) {
	w := s.Runner.World()
	j, ok := w.Jobs.ByID(done.ID)
	if !ok { // the key was used before, and the job has ended long ago
		v, err := s.story(ctx, w, &jobs.Job{ID: done.ID, Position: done.Position})
		if err != nil {
			return nil, err
		}
		v.Spec, v.Steps, v.Usage = nil, nil, nil
		return v, nil
	}
	return s.view(ctx, w, &j)
}

func (s *server) submitJobs(ctx context.Context, in *batchInput) (*batchOutput, error) {
	specs, err := parseBatch(in.RawBody)
	if err != nil {
		return nil, err
	}
	p := who(ctx)
	out := &batchOutput{Body: wire.Batch{Items: make([]wire.BatchItem, len(specs))}}
	var good []commands.Submission
	var places []int
	for i, raw := range specs {
		sp, err := parseSpec(p, raw)
		if err != nil {
			out.Body.Items[i].Problem = ofJob(i, s.told(err))
			continue
		}
		good, places = append(good, commands.Submission{Spec: sp, Key: in.Key, Place: i + 1, Of: len(specs)}), append(places, i)
	}
	all, err := s.Commands.SubmitBatch(ctx, p.caller(), good)
	if err != nil {
		return nil, err
	}
	if err := notNow(all); err != nil {
		return nil, err
	}
	for i, done := range all {
		item := &out.Body.Items[places[i]]
		err := done.Err
		if err == nil {
			item.Job, err = s.submitted(ctx, done)
		}
		if err != nil {
			item.Problem = ofJob(places[i], s.told(err))
		}
	}
	return out, nil
}

// notNow returns why no job of a batch was taken, if the same batch may be sent again
// for that: then it is the answer to all of it.
func notNow(all []commands.Submitted) error {
	for _, done := range all {
		if kind := fault.KindOf(done.Err); done.Err == nil || kind != fault.Busy && kind != fault.Unavailable {
			return nil
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all[0].Err
}

// parseBatch takes a batch apart into its specs.
func parseBatch(body []byte) ([]json.RawMessage, error) {
	var raw []json.RawMessage // one a field
	err := eachField(body, func(name string, value json.RawMessage) error {
		switch {
		case name != "jobs":
			return invalid("body."+cut(name), "unknown field; there is jobs, a list of specs", nil)
		case raw != nil:
			return invalid("body.jobs", "it is given twice", nil)
		}
		raw = []json.RawMessage{value}
		return nil
	})
	var p *wire.Problem
	switch {
	case errors.As(err, &p):
		return nil, p
	case err != nil:
		return nil, invalid("body", "it is not a JSON object with the list jobs", nil)
	}
	var specs []json.RawMessage
	if raw != nil && json.Unmarshal(raw[0], &specs) != nil {
		return nil, invalid("body.jobs", "it is not a list", nil)
	}
	if len(specs) == 0 || len(specs) > maxBatch {
		return nil, invalid("body.jobs", fmt.Sprintf("a batch has 1 to %d jobs, this has %d", maxBatch, len(specs)), nil)
	}
	return specs, nil
}

// eachField calls take with each field of a JSON object, those too that are given
// twice.
func eachField(object []byte, take func(name string, value json.RawMessage) error) error {
	if !json.Valid(object) {
		return errNoObject
	}
	d := json.NewDecoder(bytes.NewReader(object))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errNoObject
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		if err := take(name.(string), value); err != nil {
			return err
		}
	}
	return nil
}

var errNoObject = errors.New("it is no JSON object")
