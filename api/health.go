package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/eventstore"
)

// lagWarning is how many events the World may be behind the log before /readyz
// says so.
const lagWarning = 10_000

type readyOutput struct {
	Status int
	Body   wire.Ready
}

func (s *server) health(api huma.API) {
	register(s, api, open(huma.Operation{
		OperationID: "getLive", Method: http.MethodGet, Path: "/livez", Tags: []string{"health"},
		Summary: "Say that the process serves", DefaultStatus: http.StatusNoContent,
	}), func(context.Context, *struct{}) (*struct{}, error) { return nil, nil })

	ready := open(huma.Operation{
		OperationID: "getReady", Method: http.MethodGet, Path: "/readyz", Tags: []string{"health"},
		Summary:     "Say whether the server can take jobs, and if not, why",
		Description: "200 when it can, 503 when it can't. Warnings are what an operator should look at though all works: such as that old records, which are verified in the background, can't be read. Damage that is found there ends the server, which says where it is.",
	})
	body := map[string]*huma.MediaType{jsonType: {Schema: api.OpenAPI().Components.Schemas.Schema(typeOf[wire.Ready](), true, "Ready")}}
	ready.Responses = map[string]*huma.Response{"503": {Description: "It can't; reasons say why", Content: body}}
	register(s, api, ready, func(context.Context, *struct{}) (*readyOutput, error) { return s.ready(), nil })
}

func (s *server) ready() *readyOutput {
	out := &readyOutput{Status: http.StatusOK}
	head, _ := s.Store.Wait()
	out.Body.Position = uint64(head)
	if s.Store.Err() != nil {
		out.Body.Reasons = append(out.Body.Reasons, "the event store has stopped; the server's log says why")
	}
	if s.Logs.Err() != nil {
		out.Body.Reasons = append(out.Body.Reasons, "the logs of jobs can't be written; the server's log says why")
	}
	if rebuilding := s.rebuilding(); rebuilding != "" {
		out.Body.Reasons = append(out.Body.Reasons, rebuilding)
	} else if lag := s.Runner.Lag(); lag > lagWarning {
		out.Body.Warnings = append(out.Body.Warnings, fmt.Sprintf("the read models are %d events behind the log", lag))
	}
	if refusal := s.refusal(); refusal != nil {
		out.Body.Reasons = append(out.Body.Reasons, refusal.Error())
	}
	if s.Warnings != nil {
		out.Body.Warnings = append(out.Body.Warnings, s.Warnings()...)
	}
	out.Body.Ready = len(out.Body.Reasons) == 0
	if !out.Body.Ready {
		out.Status = http.StatusServiceUnavailable
	}
	return out
}

func (s *server) refusal() *eventstore.ReadOnlyError {
	if s.Refuses == nil {
		return nil
	}
	return s.Refuses()
}

// rebuilding says how far the World is from being whole; empty if it is. Until
// then nobody's token is known and nothing can be shown.
func (s *server) rebuilding() string {
	if closed(s.Runner.Ready()) {
		return ""
	}
	return fmt.Sprintf("the read models are being rebuilt from the log, %.0f %% done", 100*s.Runner.Progress())
}
