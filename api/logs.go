package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/projections/joblog"
	"github.com/hodei-jobs/hodei/projections/jobs"
)

// The id of a log event is attempt × 2^40 + the offset after the event's last
// byte, so that Last-Event-ID goes on in the middle of a log.
const (
	offsetBits = wire.LogOffsetBits
	maxAttempt = 1 << 16 // more than a job can have
)

type logsInput struct {
	ID      string `path:"id" doc:"The job's id" example:"7f3k9qd2"`
	Attempt uint32 `query:"attempt" doc:"The attempt whose output is read; without it the current or last, and a stream goes on with later ones"`

	Step   string `query:"step" maxLength:"128" doc:"Only what this step wrote, by number or name; a stream that follows begins there"`
	Since  string `query:"since" maxLength:"64" doc:"Only lines from then on, by the worker's clock: RFC 3339, or an age by the server's" example:"10m"`
	Until  string `query:"until" maxLength:"64" doc:"Only lines before then, as since"`
	Lines  string `query:"lines" maxLength:"64" doc:"Only lines A to B, counted from 1 over the whole attempt; one of them may be left out" example:"100:200"`
	Tail   string `query:"tail" maxLength:"20" doc:"Of what is left, only the last lines, so many" example:"100"`
	Stream string `query:"stream" enum:"stdout,stderr" doc:"Only what was written to this stream, as if the other were not there; a terminal is stdout"`

	ANSI       string `query:"ansi" enum:"keep,strip" doc:"Whether escape sequences (colours, titles) stay in the text, and are seen by grep; default: keep, strip with grep"`
	Timestamps bool   `query:"timestamps" doc:"Write before each line when the worker read it"`
	Numbers    bool   `query:"line_numbers" doc:"Write before each line its number and a colon"`
	Download   bool   `query:"download" doc:"Have a browser keep the text as a file"`

	Grep    string `query:"grep" maxLength:"1000" doc:"Only lines that match this regular expression (RE2)" example:"(?i)error"`
	Context int    `query:"context" minimum:"0" maximum:"50" doc:"With grep: so many lines before and after each that matches"`
	Limit   int    `query:"limit" minimum:"1" maximum:"10000" default:"1000" doc:"With grep as JSON: at most so many lines that match"`
	Cursor  string `query:"cursor" maxLength:"64" doc:"With grep as JSON: the next of a page; 0 or nothing is the first"`

	Follow string `query:"follow" enum:"true,false" doc:"false ends a stream with a head event at what there is; until and lines need it"`
	Accept string `header:"Accept" doc:"text/event-stream is a stream that follows; with grep application/json is a page of what was found; anything else is text"`
	LastID string `header:"Last-Event-ID" doc:"The id of the last event received; the stream goes on after it"`
	Range  string `header:"Range" doc:"One range of the bytes of a text that is neither searched nor changed" example:"bytes=0-1023"`
}

func (in *logsInput) streams() bool { return prefers(in.Accept, streamType) }

func (s *server) logs(api huma.API) {
	op := needs(token.Viewer, huma.Operation{
		OperationID: "getJobLogs", Method: http.MethodGet, Path: "/v1/jobs/{id}/logs", Tags: []string{"jobs"},
		Summary: "Read, search or follow a job's output",
		Description: "As text/plain: the output as far as there is any, byte by byte, with ranges, and an ETag once it is whole; Log-Attempt and Log-Offset say " +
			"of which attempt it is and where in its log it begins. As text/event-stream: the same, then what follows, " +
			"as events whose data is {\"t\": text} or {\"b\": base64}; `state` events carry the job whenever it changes, and `end` the job as it ended, " +
			"after all of its output; `head` ends a stream that does not follow. With grep, as application/json: lines that match, with their numbers and " +
			"offsets, page by page; a page is searched for at most 10 s.",
		Errors: []int{http.StatusNotFound, http.StatusGone, http.StatusRequestedRangeNotSatisfiable, http.StatusUnprocessableEntity, http.StatusTooManyRequests, http.StatusServiceUnavailable},
	})
	op.Middlewares = huma.Middlewares{varies}
	schema := api.OpenAPI().Components.Schemas.Schema
	op.Responses = map[string]*huma.Response{"200": {Description: "The output", Content: map[string]*huma.MediaType{
		"text/plain": {Schema: &huma.Schema{Type: huma.TypeString}, Example: "ok  \texample.com/shop\t1.204s\n"},
		streamType:   {Schema: schema(typeOf[wire.LogPiece](), true, "LogPiece")},
		jsonType:     {Schema: schema(typeOf[wire.LogSearch](), true, "LogSearch")},
	}}, "206": {Description: "A range of the output", Content: map[string]*huma.MediaType{"text/plain": {Schema: &huma.Schema{Type: huma.TypeString}}}}}
	schema(typeOf[wire.LogHead](), true, "LogHead")
	register(s, api, op, s.jobLogs)
	s.logSteps(api)
}

func (s *server) jobLogs(ctx context.Context, in *logsInput) (*huma.StreamResponse, error) {
	c, err := in.choice(s.Clock())
	if err != nil {
		return nil, err
	}
	j, err := s.findAttempt(ctx, in.ID, in.Attempt)
	if err != nil {
		return nil, err
	}
	if in.streams() {
		return s.streamLog(ctx, j, in, c)
	}
	key := joblog.Key{Job: j.ID, Attempt: in.Attempt}
	if key.Attempt == 0 {
		key.Attempt = j.Attempt
	}
	if err := s.readable(ctx, key, 0); err != nil {
		return nil, err
	}
	p, err := s.part(ctx, key, c)
	switch {
	case err != nil:
		return nil, err
	case c.pattern == nil:
		return &huma.StreamResponse{Body: func(hc huma.Context) { s.writeLog(hc, p, c) }}, nil
	case prefers(in.Accept, jsonType):
		return s.searchLog(ctx, p, c)
	}
	return s.grepLog(p, c)
}

// findAttempt returns the job of a request, and refuses an attempt it does not
// have.
func (s *server) findAttempt(ctx context.Context, text string, attempt uint32) (jobs.Job, error) {
	_, j, err := s.find(ctx, text)
	if err != nil {
		return j, err
	}
	if j.Status == job.None {
		if err := s.recall(ctx, &j); err != nil {
			return j, err
		}
	}
	if attempt > j.Attempt {
		p := wire.NewProblem(http.StatusNotFound, "not_found", fmt.Sprintf("job %s has no attempt %d, the newest is %d", j.ID, attempt, j.Attempt))
		p.Errors = []wire.Detail{{Location: "query.attempt", Message: p.Detail}}
		return j, p
	}
	return j, nil
}

// findLog is findAttempt for the log of an attempt; 0 is the current or last.
func (s *server) findLog(ctx context.Context, text string, attempt uint32) (joblog.Key, error) {
	j, err := s.findAttempt(ctx, text, attempt)
	if attempt == 0 {
		attempt = j.Attempt
	}
	return joblog.Key{Job: j.ID, Attempt: attempt}, err
}

// readable returns a problem if the log can't be read from the offset on: better
// than an answer that breaks off.
func (s *server) readable(ctx context.Context, key joblog.Key, from uint64) error {
	_, _, err := s.Logs.Read(ctx, key, from, 1)
	return unreadable("the output", key, err)
}

// unreadable names what keeps something of an attempt from being read as a problem.
func unreadable(what string, key joblog.Key, err error) error {
	switch {
	case errors.Is(err, joblog.ErrGone):
		return wire.NewProblem(http.StatusGone, "gone", fmt.Sprintf("%s of job %s, attempt %d, is not kept any more", what, key.Job, key.Attempt))
	case errors.Is(err, joblog.ErrAway):
		p := wire.NewProblem(http.StatusServiceUnavailable, "unavailable", fmt.Sprintf("%s of job %s is in a store that does not answer", what, key.Job))
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
