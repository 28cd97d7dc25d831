package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"

	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/projections/joblog"
	"github.com/hodei-jobs/hodei/projections/jobs"
)

// logPieces is how many pieces of a log are read in one go; a piece is at most a
// chunk of an agent, 32 KiB.
const logPieces = 32

// The id of a log event is attempt × 2^40 + the offset after the event's last
// byte, so that Last-Event-ID goes on in the middle of a log.
const offsetBits = 40

type logsInput struct {
	ID      string `path:"id" doc:"The job's id" example:"7f3k9qd2"`
	Attempt uint32 `query:"attempt" doc:"The attempt whose output is read; without it the current or last, and a stream goes on with later ones"`
	Accept  string `header:"Accept" doc:"text/event-stream follows the log; anything else reads what there is"`
	LastID  string `header:"Last-Event-ID" doc:"The id of the last event received; the stream goes on after it"`
}

func (s *server) logs(api huma.API) {
	op := needs(token.Viewer, huma.Operation{
		OperationID: "getJobLogs", Method: http.MethodGet, Path: "/v1/jobs/{id}/logs", Tags: []string{"jobs"},
		Summary: "Read or follow a job's output",
		Description: "As text/plain: the output as far as there is any, byte by byte. As text/event-stream: the same, then what follows, " +
			"as events whose data is {\"t\": text} or {\"b\": base64}; `state` events carry the job whenever it changes, and `end` the job as it ended, " +
			"after all of its output.",
		Errors: []int{http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusTooManyRequests},
	})
	op.Responses = map[string]*huma.Response{"200": {Description: "The output", Content: map[string]*huma.MediaType{
		"text/plain":        {Schema: &huma.Schema{Type: huma.TypeString}},
		"text/event-stream": {Schema: api.OpenAPI().Components.Schemas.Schema(typeOf[wire.LogPiece](), true, "LogPiece")},
	}}}
	huma.Register(api, op, func(ctx context.Context, in *logsInput) (*huma.StreamResponse, error) {
		_, j, err := s.find(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		key, err := s.logKey(ctx, &j, in.Attempt)
		if err != nil {
			return nil, err
		}
		if strings.Contains(in.Accept, "text/event-stream") {
			return s.followLog(&j, key.Attempt, in)
		}
		return &huma.StreamResponse{Body: func(hc huma.Context) { s.copyLog(hc, key) }}, nil
	})
}

// logKey names the log of a job's attempt; 0 is the current or last.
func (s *server) logKey(ctx context.Context, j *jobs.Job, attempt uint32) (joblog.Key, error) {
	newest := j.Attempt
	if j.Status == job.None { // it has left memory
		state, _, err := s.Commands.LoadJob(ctx, j.ID)
		if err != nil {
			return joblog.Key{}, s.answer(err)
		}
		newest = state.Attempt
	}
	if attempt > newest {
		p := wire.NewProblem(http.StatusNotFound, "not_found", fmt.Sprintf("job %s has no attempt %d, the newest is %d", j.ID, attempt, newest))
		return joblog.Key{}, p
	}
	if attempt == 0 {
		attempt = newest
	}
	return joblog.Key{Job: j.ID, Attempt: attempt}, nil
}

// copyLog writes all there is of a log.
func (s *server) copyLog(hc huma.Context, key joblog.Key) {
	hc.SetHeader("Content-Type", "text/plain; charset=utf-8")
	hc.SetHeader("Cache-Control", "no-store")
	hc.SetStatus(http.StatusOK)
	head, _, _ := s.Logs.Wait(key)
	for from := uint64(0); from < head; {
		pieces, next, err := s.Logs.Read(hc.Context(), key, from, logPieces)
		if err != nil || next == from {
			if err != nil && !errors.Is(err, context.Canceled) {
				s.Logger.Error("cannot read a job's log", "job", key.Job.String(), "attempt", key.Attempt, "offset", from, "error", err)
				panic(http.ErrAbortHandler) // the client must not take a part for the whole
			}
			return
		}
		for _, p := range pieces {
			if _, err := hc.BodyWriter().Write(p.Data); err != nil {
				return
			}
		}
		from = next
	}
}

// parseLogID takes an event id apart.
func parseLogID(text string) (attempt uint32, offset uint64, err error) {
	if text == "" {
		return 0, 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n>>offsetBits > 1<<16 {
		return 0, 0, invalid("header.Last-Event-ID", "it is no id of a log event", text)
	}
	return uint32(n >> offsetBits), n & (1<<offsetBits - 1), nil
}

func logID(attempt uint32, offset uint64) string {
	return strconv.FormatUint(uint64(attempt)<<offsetBits|offset, 10)
}

// followLog answers with a stream of the log, if there is a place for one more.
// newest is the attempt a job that has left memory ended with.
func (s *server) followLog(j *jobs.Job, newest uint32, in *logsInput) (*huma.StreamResponse, error) {
	attempt, offset, err := parseLogID(in.LastID)
	if err != nil {
		return nil, err
	}
	if attempt == 0 {
		attempt = in.Attempt
	}
	f := &logFollower{server: s, job: j.ID, key: joblog.Key{Job: j.ID, Attempt: attempt}, offset: offset, only: in.Attempt != 0, gone: *j}
	if j.Status == job.None {
		f.gone.Status, f.gone.Attempt = job.Succeeded, newest // any terminal one: the end is read from its events
	}
	return s.stream(func(hc huma.Context) { f.run(hc.Context(), humaecho.Unwrap(hc).Response()) })
}
