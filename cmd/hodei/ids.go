package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/wire"
)

const (
	lastWord        = "last" // stands for the job submitted last from here
	namesPage       = 1000   // jobs asked for at a time when a name is looked up
	namesLooked     = 10_000 // live jobs looked at for a name
	candidatesShown = 8
)

// withJob calls fn with the id of the job that text names: an id, with or without
// job- in front; last; or the name of exactly one live job. fn's error comes back.
func (a *app) withJob(ctx context.Context, cl *client.Client, text string, fn func(id string) error) error {
	if text == lastWord {
		kept := readLine(filepath.Join(a.access.dir, lastName))
		if kept == "" {
			return &exitError{code: exitNotFound, err: errors.New("no job was submitted from here yet"), help: "all jobs: hodei job list"}
		}
		return fn(kept)
	}
	unknown := error(&exitError{code: exitNotFound, err: fmt.Errorf("there is no job %s", text), help: "the jobs there are: hodei job list"})
	if jobID, err := id.ParseJob(text); err == nil {
		err := fn(jobID.String())
		var p *wire.Problem
		if !errors.As(err, &p) || p.Status != http.StatusNotFound {
			return err
		}
		unknown = err // it may still be a name that looks like an id
	}
	jobID, err := a.byName(ctx, cl, text, unknown)
	if err != nil {
		return err
	}
	return fn(jobID)
}

// byName returns the id of the one live job with that name; unknown is the error
// if no job has it.
func (a *app) byName(ctx context.Context, cl *client.Client, name string, unknown error) (string, error) {
	live, err := a.named(ctx, cl, name, "pending,bound,running", namesLooked)
	if err != nil {
		return "", err
	}
	if len(live) == 1 {
		return live[0].ID, nil
	}
	e := &exitError{code: exitUsage, err: fmt.Errorf("%d live jobs are called %s", len(live), name), help: "name one by its id"}
	if len(live) == 0 {
		if live, err = a.named(ctx, cl, name, "", namesPage); err != nil {
			return "", err
		}
		if len(live) == 0 {
			return "", unknown
		}
		e.code, e.err = exitNotFound, fmt.Errorf("no live job is called %s; these were", name)
	}
	for i := range live[:min(len(live), candidatesShown)] {
		j := &live[i]
		e.more = append(e.more, fmt.Sprintf("%s  %s %-9s  %s ago", j.ID, a.err.Glyph(j.State), j.State, age(a.since(j.Submitted))))
	}
	if more := len(live) - candidatesShown; more > 0 {
		e.more = append(e.more, fmt.Sprintf("and %d more", more))
	}
	return "", e
}

// named returns the jobs with that name among the newest jobs in those states.
func (a *app) named(ctx context.Context, cl *client.Client, name, states string, most int) ([]wire.Job, error) {
	var found []wire.Job
	v := url.Values{"limit": {strconv.Itoa(namesPage)}}
	set(v, "state", states)
	set(v, "namespace", a.access.namespace)
	for looked := 0; looked < most; looked += namesPage {
		page, _, err := fetch[wire.Jobs](ctx, a, cl, "/v1/jobs", v)
		if err != nil {
			return nil, err
		}
		for i := range page.Items {
			if page.Items[i].Name == name {
				found = append(found, page.Items[i])
			}
		}
		if page.Next == "" {
			break
		}
		v.Set("cursor", page.Next)
	}
	return found, nil
}

func set(v url.Values, key, value string) {
	if value != "" {
		v.Set(key, value)
	}
}

// keepLast remembers the job submitted last. That it can't be is no error: the
// job is there.
func (a *app) keepLast(jobID string) {
	err := os.MkdirAll(a.access.dir, 0o700)
	if err == nil {
		err = os.WriteFile(filepath.Join(a.access.dir, lastName), []byte(jobID+"\n"), 0o600)
	}
	if err != nil {
		a.note("cannot remember %s as the last job: %s", jobID, reason(err))
	}
}

func (a *app) since(t time.Time) time.Duration { return a.now().Sub(t) }

// jobPath is the path of a job, or of what is below it.
func jobPath(jobID, below string) string { return "/v1/jobs/" + url.PathEscape(jobID) + below }
