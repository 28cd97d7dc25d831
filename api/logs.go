package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"

	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/sse"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/projections/joblog"
	"github.com/hodei-jobs/hodei/projections/jobs"
)

// logChunk is how many bytes of a log are read in one go.
const logChunk = 256 << 10

// The id of a log event is attempt × 2^40 + the offset after the event's last
// byte, so that Last-Event-ID goes on in the middle of a log.
const (
	offsetBits = 40
	maxAttempt = 1 << 16 // more than a job can have
)

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
		Errors: []int{http.StatusNotFound, http.StatusGone, http.StatusUnprocessableEntity, http.StatusTooManyRequests, http.StatusServiceUnavailable},
	})
	op.Responses = map[string]*huma.Response{"200": {Description: "The output", Content: map[string]*huma.MediaType{
		"text/plain": {Schema: &huma.Schema{Type: huma.TypeString}, Example: "ok  \texample.com/shop\t1.204s\n"},
		streamType:   {Schema: api.OpenAPI().Components.Schemas.Schema(typeOf[wire.LogPiece](), true, "LogPiece")},
	}}}
	register(s, api, op, s.jobLogs)
}

func (s *server) jobLogs(ctx context.Context, in *logsInput) (*huma.StreamResponse, error) {
	_, j, err := s.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if j.Status == job.None {
		if err := s.recall(ctx, &j); err != nil {
			return nil, err
		}
	}
	if in.Attempt > j.Attempt {
		p := wire.NewProblem(http.StatusNotFound, "not_found", fmt.Sprintf("job %s has no attempt %d, the newest is %d", j.ID, in.Attempt, j.Attempt))
		p.Errors = []wire.Detail{{Location: "query.attempt", Message: p.Detail}}
		return nil, p
	}
	if strings.Contains(in.Accept, streamType) {
		return s.followLog(ctx, j, in)
	}
	key := joblog.Key{Job: j.ID, Attempt: in.Attempt}
	if key.Attempt == 0 {
		key.Attempt = j.Attempt
	}
	if err := s.readable(ctx, key, 0); err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) { s.copyLog(hc, key) }}, nil
}

// readable returns a problem if the log can't be read from the offset on: better
// than an answer that breaks off.
func (s *server) readable(ctx context.Context, key joblog.Key, from uint64) error {
	_, _, err := s.Logs.Read(ctx, key, from, 1)
	switch {
	case errors.Is(err, joblog.ErrGone):
		return wire.NewProblem(http.StatusGone, "gone", fmt.Sprintf("the output of job %s, attempt %d, is not kept any more", key.Job, key.Attempt))
	case errors.Is(err, joblog.ErrAway):
		p := wire.NewProblem(http.StatusServiceUnavailable, "unavailable", fmt.Sprintf("the output of job %s is in a store that does not answer", key.Job))
		p.Help = "try again; /readyz says since when"
		return p
	}
	return err
}

// recall finds out how a job ended that is not in memory any more.
func (s *server) recall(ctx context.Context, j *jobs.Job) error {
	state, _, err := s.Commands.LoadJob(ctx, j.ID)
	if err != nil {
		return err
	}
	j.Status, j.Attempt = state.Status, state.Attempt
	return nil
}

// copyLog writes all there is of a log. Its length is said first, so that nobody
// takes a part for the whole.
func (s *server) copyLog(hc huma.Context, key joblog.Key) {
	head, _, _ := s.Logs.Wait(key)
	w := humaecho.Unwrap(hc).Response()
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.FormatUint(head, 10))
	w.WriteHeader(http.StatusOK)
	if hc.Method() == http.MethodHead {
		return
	}
	patience := http.NewResponseController(w)
	for from := uint64(0); from < head; {
		pieces, next, err := s.Logs.Read(hc.Context(), key, from, int(min(logChunk, head-from)))
		if err != nil || next == from {
			if !errors.Is(err, context.Canceled) {
				s.Logger.Error("cannot read a job's log", "job", key.Job.String(), "attempt", key.Attempt, "offset", from, "error", err)
			}
			panic(http.ErrAbortHandler)
		}
		_ = patience.SetWriteDeadline(time.Now().Add(sse.WriteLimit)) // a recorder has none
		for _, p := range pieces {
			if _, err := w.Write(p.Data); err != nil {
				return // the client has left
			}
		}
		from = next
	}
}

func logID(attempt uint32, offset uint64) string {
	return strconv.FormatUint(uint64(attempt)<<offsetBits|offset, 10)
}

// parseLogID takes an event id apart.
func parseLogID(text string) (attempt uint32, offset uint64, err error) {
	if text == "" {
		return 0, 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	attempt, offset = uint32(n>>offsetBits), n&(1<<offsetBits-1)
	if err != nil || attempt > maxAttempt || attempt == 0 && offset > 0 {
		return 0, 0, invalid("header.Last-Event-ID", "it is no id of a log event", text)
	}
	return attempt, offset, nil
}

// followLog answers with a stream of the log.
func (s *server) followLog(ctx context.Context, j jobs.Job, in *logsInput) (*huma.StreamResponse, error) {
	attempt, offset, err := parseLogID(in.LastID)
	switch {
	case err != nil:
		return nil, err
	case attempt == 0:
		attempt = in.Attempt
	case attempt > j.Attempt || in.Attempt != 0 && in.Attempt != attempt:
		return nil, invalid("header.Last-Event-ID", fmt.Sprintf("it is of attempt %d, which is not what is read", attempt), in.LastID)
	}
	if attempt > 0 {
		if err := s.readable(ctx, joblog.Key{Job: j.ID, Attempt: attempt}, offset); err != nil {
			return nil, err
		}
	}
	f := &logFollower{server: s, job: j, key: joblog.Key{Job: j.ID, Attempt: attempt}, offset: offset, only: in.Attempt != 0}
	return s.stream(ctx, f.run)
}
