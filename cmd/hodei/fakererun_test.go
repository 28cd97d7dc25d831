package main

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/api/wire"
)

// rerun answers as the API does: with a job like the one that is run again, but for
// the changes. train-resnet has a secret of its own.
func (f *fake) rerun(w http.ResponseWriter, r *http.Request) {
	f.withJob(func(w http.ResponseWriter, j *wire.Job) {
		body, err := io.ReadAll(r.Body)
		var asked wire.Rerun
		if err != nil || json.Unmarshal(body, &asked) != nil {
			answer(w, 422, wire.NewProblem(422, "invalid", "body: it is not a JSON object with changes and replace"))
			return
		}
		if asked.Replace && j.State == "running" {
			p := wire.NewProblem(409, "refused", "cannot replace job "+j.ID+": it runs already")
			p.Help = "cancel it first: hodei job cancel " + j.ID + "    or run both: leave --replace out"
			answer(w, 409, p)
			return
		}
		text := j.Spec
		if text == nil {
			text = []byte(`{}`)
		}
		old, err := spec.FromCanonical(text)
		if err == nil && old.Command == "" && old.Argv == nil {
			old.Argv = []string{"true"}
		}
		if j.Name == "train-resnet" {
			old.Secrets = map[string]spec.Secret{"TOKEN": {Key: "job/" + j.ID, Sealed: []byte("sealed")}}
		}
		changed, err := old.Change(orElse(asked.Changes, `{}`))
		if err != nil {
			p := wire.NewProblem(422, "invalid", err.Error())
			for _, d := range fieldsOf(err) {
				p.Errors = append(p.Errors, wire.Detail{Location: "body.changes." + d.Location, Message: d.Message})
			}
			answer(w, 422, p)
			return
		}
		again := wire.Job{ID: "8tn2c4yv", Name: j.Name, Namespace: j.Namespace, State: "pending", Submitted: fakeNow, Position: 48215, RerunOf: j.ID, Spec: changed.Canonical()}
		if changed.Name != "" {
			again.Name = changed.Name
		}
		f.jobs = append(f.jobs, again)
		again.Spec = nil
		answer(w, 201, again)
	})(w, r)
}

func orElse(text json.RawMessage, otherwise string) []byte {
	if len(text) == 0 {
		return []byte(otherwise)
	}
	return text
}

func fieldsOf(err error) []fault.Field {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Fields
	}
	return nil
}
