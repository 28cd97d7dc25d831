package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/commands"
)

type rerunInput struct {
	ID      string `path:"id" doc:"The job's id" example:"7f3k9qd2"`
	Key     string `header:"Idempotency-Key" maxLength:"128" doc:"The same key with the same body gives the same job again, for 7 days"`
	RawBody []byte
}

// RerunBody says what of a job that is run again is other than it was.
type RerunBody struct {
	Changes *spec.Spec `json:"changes,omitempty" doc:"What is other, merged into the job's spec: objects member by member, null takes away"`
	Replace bool       `json:"replace,omitempty" doc:"Cancel the job that is run again, if it still waits"`
}

func (s *server) reruns(api huma.API) {
	registerRaw(s, api, needs(token.Submitter, huma.Operation{
		OperationID: "rerunJob", Method: http.MethodPost, Path: "/v1/jobs/{id}/rerun", Tags: []string{"jobs"}, DefaultStatus: http.StatusCreated,
		Summary: "Run a job again",
		Description: "Submits a job with that job's spec, and changes to it if any are sent. Values of the job's own secrets go along while they are kept, for a week after its end, " +
			"and only if the changes leave its command, environment and secrets alone; else they are given again. With replace the job is cancelled if it still waits; one that runs can't be replaced (409).",
		Errors: append([]int{http.StatusNotFound, http.StatusConflict}, bodyErrors...),
	}), typeOf[RerunBody](), map[string]any{"changes": map[string]any{"resources": map[string]any{"memory": "12Gi"}}, "replace": false}, s.rerunJob)
}

func (s *server) rerunJob(ctx context.Context, in *rerunInput) (*submitOutput, error) {
	_, j, err := s.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	changes, replace, err := parseRerun(in.RawBody)
	if err != nil {
		return nil, err
	}
	asked, err := s.Commands.Spec(ctx, j.ID)
	if err != nil {
		return nil, err
	}
	if asked, err = asked.Change(changes); err != nil {
		return nil, inChanges(err)
	}
	done := s.Commands.RerunJob(ctx, who(ctx).caller(), commands.Rerun{Job: j.ID, Spec: asked, Key: in.Key, Replace: replace})
	if done.Err != nil {
		return nil, inChanges(done.Err)
	}
	v, err := s.submitted(ctx, done)
	if err != nil {
		return nil, err
	}
	return &submitOutput{Location: "/v1/jobs/" + v.ID, Body: v}, nil
}

// parseRerun takes the body of a rerun apart.
func parseRerun(body []byte) (changes json.RawMessage, replace bool, err error) {
	given := map[string]bool{}
	err = eachField(body, func(name string, value json.RawMessage) error {
		switch {
		case given[name]:
			return invalid("body."+cut(name), "it is given twice", nil)
		case name == "changes":
			if changes = value; string(value) == "null" {
				changes = nil
			}
		case name == "replace":
			if json.Unmarshal(value, &replace) != nil {
				return invalid("body.replace", "it is not true or false", nil)
			}
		default:
			return invalid("body."+cut(name), "unknown field; there are changes and replace", nil)
		}
		given[name] = true
		return nil
	})
	var p *wire.Problem
	switch {
	case errors.As(err, &p):
		return nil, false, p
	case err != nil:
		return nil, false, invalid("body", "it is not a JSON object with changes and replace", nil)
	case changes == nil:
		changes = json.RawMessage("{}")
	}
	return changes, replace, nil
}

// inChanges says of faults of a spec that they are in the changes to it.
func inChanges(err error) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err
	}
	moved := *f
	moved.Fields = nil
	for _, d := range f.Fields {
		if d.Location != "idempotency_key" {
			d.Location = strings.TrimSuffix("changes."+d.Location, ".")
			d.Location = strings.ReplaceAll(d.Location, "changes.[", "changes[")
		}
		moved.Fields = append(moved.Fields, d)
	}
	return &moved
}
