package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/hodei-jobs/hodei/api/sse"
	"github.com/hodei-jobs/hodei/api/wire"
)

// logPatience is how long a server may be away in the middle of a log that is not
// followed.
const logPatience = 30 * time.Second

// LogsQuery chooses what of a job's output is read, and how a text looks. The zero
// value is all of the current or last attempt, as it was written.
type LogsQuery struct {
	Attempt      uint32
	Step         string // number or name
	Since, Until string // RFC 3339 or an age
	Lines        string // A:B
	Tail         string // a number of lines
	Stream       string // stdout, stderr

	// Of a text only.
	Strip      bool // without escape sequences
	Timestamps bool
	Numbers    bool
}

func (q LogsQuery) values() url.Values {
	v := url.Values{}
	if q.Attempt > 0 {
		v.Set("attempt", strconv.FormatUint(uint64(q.Attempt), 10))
	}
	set(v, "step", q.Step)
	set(v, "since", q.Since)
	set(v, "until", q.Until)
	set(v, "lines", q.Lines)
	set(v, "tail", q.Tail)
	set(v, "stream", q.Stream)
	if q.Strip {
		v.Set("ansi", "strip")
	}
	if q.Timestamps {
		v.Set("timestamps", "true")
	}
	if q.Numbers {
		v.Set("line_numbers", "true")
	}
	return v
}

func logsPath(id string) string { return "/v1/jobs/" + url.PathEscape(id) + "/logs" }

// Logs copies a job's output as far as there is any to w, as text. If the
// connection breaks in the middle of what the server can give parts of (bytes as
// they were written, of both streams), it goes on from there.
func (c *Client) Logs(ctx context.Context, id string, q LogsQuery, w io.Writer) error {
	resp, err := c.do(ctx, http.MethodGet, logsPath(id), q.values(), nil, header{"Accept": "text/plain"})
	if err != nil {
		return err
	}
	attempt, aerr := strconv.ParseUint(resp.Header.Get("Log-Attempt"), 10, 32)
	from, oerr := strconv.ParseUint(resp.Header.Get("Log-Offset"), 10, 64)
	done, err := c.copyBody(w, resp)
	var cut *UnreachableError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case !errors.As(err, &cut), aerr != nil, oerr != nil, resp.ContentLength < 0, resp.Header.Get("Accept-Ranges") != "bytes":
		return err
	}
	return c.LogRange(ctx, id, uint32(attempt), from+uint64(done), from+uint64(resp.ContentLength), w)
}

// LogRange copies bytes [from, to) of an attempt's log to w. It connects again by
// itself unless the server is away for long.
func (c *Client) LogRange(ctx context.Context, id string, attempt uint32, from, to uint64, w io.Writer) error {
	v := LogsQuery{Attempt: attempt}.values()
	limit, since := firstRetry, time.Now()
	for from < to {
		var n int64
		resp, err := c.do(ctx, http.MethodGet, logsPath(id), v, nil, header{"Accept": "text/plain", "Range": fmt.Sprintf("bytes=%d-%d", from, to-1)})
		switch {
		case err == nil && resp.StatusCode != http.StatusPartialContent:
			_ = resp.Body.Close()
			return &UnreachableError{c.base, errNoRange}
		case err == nil:
			n, err = c.copyBody(w, resp)
		}
		from += uint64(n)
		switch {
		case err != nil && !again(err):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case n > 0:
			limit, since = firstRetry, time.Now()
		case err != nil && time.Since(since) > logPatience:
			return err
		}
		if from < to {
			if err := pause(ctx, &limit); err != nil {
				return err
			}
		}
	}
	return nil
}

var errNoRange = errors.New("it does not give parts of a log")

// again says whether asking for the range once more can help. One that is not there
// may come: the server died before those bytes were durable, and gets them again
// from the worker.
func again(err error) bool {
	var cut *UnreachableError
	var p *wire.Problem
	return errors.As(err, &cut) || errors.As(err, &p) && (temporary(p) || p.Status == http.StatusRequestedRangeNotSatisfiable)
}

// writeError is an error of the writer a body is copied to.
type writeError struct{ error }

type ownWriter struct{ io.Writer }

func (w ownWriter) Write(b []byte) (int, error) {
	n, err := w.Writer.Write(b)
	if err != nil {
		err = writeError{err}
	}
	return n, err
}

// copyBody copies an answer's body. Its error is w's own, or that of a server that
// can't be reached.
func (c *Client) copyBody(w io.Writer, resp *http.Response) (int64, error) {
	defer drain(resp)
	n, err := io.Copy(ownWriter{w}, resp.Body)
	var we writeError
	switch {
	case errors.As(err, &we):
		return n, we.error
	case err != nil:
		return n, &UnreachableError{c.base, err}
	}
	return n, nil
}

// FollowJob reports the job's output from where the query says until its end and
// returns the job as it ended. It reconnects by itself, without a gap and without a
// repeat. Attempt 0 begins with the current one and goes on to later ones.
func (c *Client) FollowJob(ctx context.Context, id string, q LogsQuery, f Follower) (*wire.Job, error) {
	var end *wire.Job
	err := c.follow(ctx, logsPath(id), q.values(), f.Patience, f.Lost, func(e sse.Event) (done bool, err error) {
		switch e.Name {
		case "message":
			return false, f.piece(e)
		case "state", "end":
			var j wire.Job
			if err := json.Unmarshal(e.Data, &j); err != nil {
				return false, fmt.Errorf("cannot read the log stream: %w", err)
			}
			if e.Name == "end" {
				end = &j
				return true, nil
			}
			if f.State != nil {
				f.State(&j)
			}
		}
		return false, nil
	})
	return end, err
}

// ReplayLog reports what there is of the output that the query chooses, as
// FollowJob does, and says up to where that was.
func (c *Client) ReplayLog(ctx context.Context, id string, q LogsQuery, f Follower) (*wire.LogHead, error) {
	v := q.values()
	v.Set("follow", "false")
	head := new(wire.LogHead)
	err := c.follow(ctx, logsPath(id), v, f.Patience, f.Lost, func(e sse.Event) (done bool, err error) {
		switch e.Name {
		case "message":
			return false, f.piece(e)
		case "head":
			if err := json.Unmarshal(e.Data, head); err != nil {
				return false, fmt.Errorf("cannot read the log stream: %w", err)
			}
			return true, nil
		}
		return false, nil
	})
	return head, err
}

// piece tells of a piece of output. Its place is in its id.
func (f *Follower) piece(e sse.Event) error {
	var p wire.LogPiece
	if err := json.Unmarshal(e.Data, &p); err != nil {
		return fmt.Errorf("cannot read the log stream: %w", err)
	}
	if n, err := strconv.ParseUint(e.ID, 10, 64); err == nil {
		p.Attempt, p.Offset = uint32(n>>wire.LogOffsetBits), n&(1<<wire.LogOffsetBits-1)-uint64(len(p.Bytes()))
	}
	return f.Log(&p)
}

// LogSteps returns the steps of an attempt with their parts of its log. attempt 0
// is the current or last.
func (c *Client) LogSteps(ctx context.Context, id string, attempt uint32) (*wire.LogSteps, error) {
	var steps wire.LogSteps
	return &steps, c.get(ctx, logsPath(id)+"/steps", LogsQuery{Attempt: attempt}.values(), &steps)
}

// SearchQuery says what lines a search is for. Zero fields mean the server's
// defaults.
type SearchQuery struct {
	Pattern string // RE2
	Context int    // lines around those that match
	Limit   int    // of matches on a page
	Cursor  string // the Next of a page
	Keep    bool   // match, and show, escape sequences too
}

// SearchLog returns a page of what a search finds in what the query chooses, and
// the body as the server sent it.
func (c *Client) SearchLog(ctx context.Context, id string, q LogsQuery, s SearchQuery) (*wire.LogSearch, json.RawMessage, error) {
	v := q.values()
	set(v, "grep", s.Pattern)
	set(v, "cursor", s.Cursor)
	if s.Context > 0 {
		v.Set("context", strconv.Itoa(s.Context))
	}
	if s.Limit > 0 {
		v.Set("limit", strconv.Itoa(s.Limit))
	}
	if s.Keep {
		v.Set("ansi", "keep")
	}
	resp, err := c.do(ctx, http.MethodGet, logsPath(id), v, nil, header{"Accept": "application/json"})
	if err != nil {
		return nil, nil, err
	}
	var raw json.RawMessage
	if err := c.decode(resp, &raw); err != nil {
		return nil, nil, err
	}
	page := new(wire.LogSearch)
	if err := json.Unmarshal(raw, page); err != nil {
		return nil, nil, fmt.Errorf("cannot read the answer to a search: %w", err)
	}
	return page, raw, nil
}
