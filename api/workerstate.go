package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/aggregates/worker"
	"github.com/hodei-jobs/hodei/projections/workers"
)

// maxDrain is the longest deadline of a drain: longer than any job may run.
const maxDrain = 90 * 24 * time.Hour

type cordonInput struct {
	ID   string `path:"id" maxLength:"128" doc:"The worker's id, or its name" example:"atlas"`
	Body *struct {
		Reason string `json:"reason,omitempty" maxLength:"256" doc:"Why, for those who ask later"`
	}
}

type drainInput struct {
	ID   string `path:"id" maxLength:"128" doc:"The worker's id, or its name" example:"atlas"`
	Body *struct {
		Reason   string `json:"reason,omitempty" maxLength:"256" doc:"Why, for those who ask later"`
		Deadline string `json:"deadline,omitempty" maxLength:"16" doc:"After this time jobs that still run there are stopped; absent is never" example:"30m"`
	}
}

func (s *server) workerStates(api huma.API) {
	add := func(id, path, summary, description string) huma.Operation {
		return needs(token.Operator, huma.Operation{
			OperationID: id, Method: http.MethodPost, Path: "/v1/workers/{id}/" + path, Tags: []string{"workers"},
			Summary: summary, Description: description + " It takes an operator of all namespaces. Again is the same as once.",
			Errors:       append([]int{http.StatusNotFound, http.StatusConflict}, bodyErrors...),
			MaxBodyBytes: maxBody, BodyReadTimeout: bodyTimeout,
		})
	}
	register(s, api, add("cordonWorker", "cordon", "Keep new jobs away from a worker", "Jobs that it has go on."), s.cordonWorker)
	register(s, api, add("uncordonWorker", "uncordon", "Let a cordoned worker take jobs again", "One that drains can't be (409)."), s.uncordonWorker)
	register(s, api, add("drainWorker", "drain", "Let a worker end when its jobs have ended",
		"It takes no new job, which can't be undone. With a deadline jobs that still run then are stopped, as a cancelled one is."), s.drainWorker)
}

func (s *server) cordonWorker(ctx context.Context, in *cordonInput) (*workerOutput, error) {
	reason := ""
	if in.Body != nil {
		reason = in.Body.Reason
	}
	return s.changeWorker(ctx, in.ID, func(row *workers.Worker) error {
		_, err := s.Commands.CordonWorker(ctx, who(ctx).caller(), row.ID, reason)
		return err
	})
}

type uncordonInput struct {
	ID   string `path:"id" maxLength:"128" doc:"The worker's id, or its name" example:"atlas"`
	Body *struct{}
}

func (s *server) uncordonWorker(ctx context.Context, in *uncordonInput) (*workerOutput, error) {
	return s.changeWorker(ctx, in.ID, func(row *workers.Worker) error {
		_, err := s.Commands.UncordonWorker(ctx, who(ctx).caller(), row.ID)
		return err
	})
}

func (s *server) drainWorker(ctx context.Context, in *drainInput) (*workerOutput, error) {
	var drain worker.Drain
	if in.Body != nil {
		drain.Reason = in.Body.Reason
		if text := in.Body.Deadline; text != "" {
			d, err := spec.ParseDuration(text)
			if drain.Deadline = d.Std(); err != nil || drain.Deadline <= 0 || drain.Deadline > maxDrain {
				return nil, invalid("body.deadline", "it must be a duration such as 30m, at most "+spec.Duration(maxDrain).String(), text)
			}
		}
	}
	return s.changeWorker(ctx, in.ID, func(row *workers.Worker) error {
		_, err := s.Commands.DrainWorker(ctx, who(ctx).caller(), row.ID, drain)
		return err
	})
}

// changeWorker finds a worker, changes it and answers with it as it is then. Workers
// belong to all namespaces, and so must who changes one.
func (s *server) changeWorker(ctx context.Context, text string, change func(*workers.Worker) error) (*workerOutput, error) {
	if p := who(ctx); p.namespace != token.AllNamespaces {
		return nil, forbidden("header.Authorization", "the token is for namespace "+p.namespace+", workers belong to all")
	}
	row, err := findWorker(s.Runner.World(), text)
	if err != nil {
		return nil, err
	}
	if err := change(row); err != nil {
		return nil, err
	}
	w := s.Runner.World()
	if now, ok := w.Workers.Get(row.ID); ok {
		row = now
	}
	return &workerOutput{s.workerView(w, row)}, nil
}
