package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/hodei-jobs/hodei/api/sse"
	"github.com/hodei-jobs/hodei/api/wire"
)

// Reconnecting: full jitter between nothing and a cap that doubles.
const (
	firstRetry = 100 * time.Millisecond
	maxRetry   = 4 * time.Second
)

// silence is after how long a stream is taken for a dead connection that nobody
// closed: it brings a comment at least every sse.Heartbeat.
const silence = 2*sse.Heartbeat + 5*time.Second

// Follower is told what a job does. Its methods are called by one goroutine.
type Follower struct {
	// State is called with the job as it is at first and after each change.
	State func(*wire.Job)
	// Log is called with each piece of output, in order, once; it is required. An
	// error ends the following and is returned.
	Log func(*wire.LogPiece) error
	// Lost is called when the connection broke; it is tried again after wait.
	Lost func(err error, wait time.Duration)
	// Patience is how long a server may be away before the following ends with
	// its error; 0 is for ever.
	Patience time.Duration
}

// FollowEvents calls each with the events after the query's cursor, then with
// new ones as they are recorded, until ctx ends or each returns an error.
func (c *Client) FollowEvents(ctx context.Context, q EventsQuery, each func(*wire.Event) error, lost func(error, time.Duration)) error {
	return c.follow(ctx, "/v1/events", q.values(), 0, lost, func(e sse.Event) (bool, error) {
		if e.Name != "message" {
			return false, nil
		}
		var ev wire.Event
		if err := json.Unmarshal(e.Data, &ev); err != nil {
			return false, fmt.Errorf("cannot read the event stream: %w", err)
		}
		return false, each(&ev)
	})
}

// handlerError is an error of the caller's, which ends a following.
type handlerError struct{ error }

// follow reads an event stream until handle says it is done, connecting again
// after the last id seen.
func (c *Client) follow(ctx context.Context, path string, v url.Values, patience time.Duration,
	lost func(error, time.Duration), handle func(sse.Event) (bool, error)) error {
	last, limit, since := "", firstRetry, time.Now()
	for {
		progress, done, err := c.followOnce(ctx, path, v, &last, handle)
		var he handlerError
		switch {
		case done:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &he):
			return he.error
		case !temporary(err):
			return err
		}
		if progress {
			limit, since = firstRetry, time.Now()
		}
		if patience > 0 && time.Since(since) > patience {
			return err
		}
		wait := backoff(&limit)
		if lost != nil {
			lost(err, wait)
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// backoff is how long to wait below the limit, which it doubles.
func backoff(limit *time.Duration) time.Duration {
	wait := rand.N(*limit) + time.Millisecond
	*limit = min(2**limit, maxRetry)
	return wait
}

func pause(ctx context.Context, limit *time.Duration) error { return sleep(ctx, backoff(limit)) }

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func (c *Client) followOnce(ctx context.Context, path string, v url.Values, last *string,
	handle func(sse.Event) (bool, error)) (progress, done bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watch := time.AfterFunc(silence, cancel)
	defer watch.Stop()
	resp, err := c.do(ctx, http.MethodGet, path, v, nil, header{"Accept": "text/event-stream", "Last-Event-ID": *last})
	if err != nil {
		return false, false, err
	}
	defer func() { _ = resp.Body.Close() }()
	r := sse.NewReader(alive{resp.Body, watch})
	for {
		e, err := r.Next()
		if err != nil {
			return progress, false, &UnreachableError{c.base, err}
		}
		progress = true
		done, err := handle(e)
		if err != nil {
			return progress, false, handlerError{err}
		}
		if e.ID != "" {
			*last = e.ID
		}
		if done {
			return progress, true, nil
		}
	}
}

// alive puts the watchdog off at every read.
type alive struct {
	io.Reader
	watch *time.Timer
}

func (a alive) Read(p []byte) (int, error) {
	n, err := a.Reader.Read(p)
	if n > 0 {
		a.watch.Reset(silence)
	}
	return n, err
}

// temporary says whether trying again can help.
func temporary(err error) bool {
	var p *wire.Problem
	if errors.As(err, &p) {
		return p.Status == http.StatusTooManyRequests || p.Status >= 500
	}
	return true
}
