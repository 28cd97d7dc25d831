package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hodei-jobs/hodei/aggregates/resource"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/wire"
)

// workerTokenHours is how long a worker token can be used unless it is said.
const workerTokenHours = 24

type workerTokenInput struct {
	Body *struct {
		Labels map[string]string `json:"labels,omitempty" maxProperties:"32" doc:"The worker will have, over those it names itself"`
		Hours  int               `json:"hours,omitempty" minimum:"1" maximum:"8760" doc:"In which it can be used; 24 if absent"`
	}
}

type workerTokenOutput struct{ Body *wire.WorkerToken }

func (s *server) workerTokens(api huma.API) {
	register(s, api, needs(token.Admin, huma.Operation{
		OperationID: "createWorkerToken", Method: http.MethodPost, Path: "/v1/workers:token", Tags: []string{"workers"}, DefaultStatus: http.StatusCreated,
		Summary:     "Make a token with which one worker registers",
		Description: "The token is a secret and is shown only once. The first agent that uses it registers its key and needs none afterwards. " + strconv.Itoa(workerTokenHours) + " hours are the default. It takes an admin of all namespaces.",
		Errors:      bodyErrors,
	}), s.createWorkerToken)
}

func (s *server) createWorkerToken(ctx context.Context, in *workerTokenInput) (*workerTokenOutput, error) {
	if p := who(ctx); p.namespace != token.AllNamespaces {
		return nil, forbidden("header.Authorization", "the token is for namespace "+p.namespace+", workers belong to all")
	}
	labels, hours := map[string]string(nil), workerTokenHours
	if in.Body != nil {
		labels = in.Body.Labels
		if in.Body.Hours > 0 {
			hours = in.Body.Hours
		}
	}
	if err := resource.FromMap(labels).Valid(); err != nil { // a worker would be refused for them, much later
		return nil, invalid("body.labels", err.Error(), nil)
	}
	made, err := s.WorkerToken(ctx, labels, s.Clock().Add(time.Duration(hours)*time.Hour))
	if err != nil {
		return nil, err
	}
	return &workerTokenOutput{made}, nil
}
