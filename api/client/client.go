// Package client is the Go client of the HTTP API: what the command line and the
// tests use. Its methods mirror the routes; an answer of the server that is a
// problem comes back as *[wire.Problem], a server that can't be reached as
// *[UnreachableError]. A Client is safe for concurrent use.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hodei-jobs/hodei/api/wire"
)

// Client talks to one server.
type Client struct {
	base  string
	token string
	http  *http.Client
}

// MaxAnswer is the longest JSON answer the client takes, in bytes.
const MaxAnswer = 64 << 20

// Config says where the server is and who asks.
type Config struct {
	URL   string // such as http://127.0.0.1:8080
	Token string // hodei_…
	HTTP  *http.Client
}

// New returns a client.
func New(c Config) (*Client, error) {
	u, err := url.Parse(c.URL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("server address %q is not a URL such as http://127.0.0.1:8080", c.URL)
	}
	h := c.HTTP
	if h == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost = 256
		t.ResponseHeaderTimeout = 60 * time.Second
		h = &http.Client{Transport: t}
	}
	return &Client{base: strings.TrimRight(c.URL, "/"), token: c.Token, http: h}, nil
}

// URL returns the server's address.
func (c *Client) URL() string { return c.base }

var errCut = errors.New("the connection ended early")

// UnreachableError says that no answer came, or only a part of one.
type UnreachableError struct {
	URL   string
	Cause error
}

func (e *UnreachableError) Error() string {
	cause := e.Cause
	var ue *url.Error
	if errors.As(cause, &ue) {
		cause = ue.Err
	}
	var no syscall.Errno
	switch {
	case errors.As(cause, &no): // without the way through Go's net package
		cause = no
	case errors.Is(cause, io.EOF), errors.Is(cause, io.ErrUnexpectedEOF):
		cause = errCut
	}
	return fmt.Sprintf("cannot reach the server at %s: %v", e.URL, cause)
}

func (e *UnreachableError) Unwrap() error { return e.Cause }

// Submit submits a spec in JSON. key is the idempotency key, or empty.
func (c *Client) Submit(ctx context.Context, spec []byte, key string) (*wire.Job, error) {
	var job wire.Job
	return &job, c.call(ctx, http.MethodPost, "/v1/jobs", spec, header{"Idempotency-Key": key}, &job)
}

// SubmitBatch submits several specs; each has its own outcome.
func (c *Client) SubmitBatch(ctx context.Context, specs []json.RawMessage) (*wire.Batch, error) {
	body, err := json.Marshal(map[string]any{"jobs": specs})
	if err != nil {
		return nil, err
	}
	var batch wire.Batch
	return &batch, c.call(ctx, http.MethodPost, "/v1/jobs:batch", body, nil, &batch)
}

// Job returns one job, with its spec.
func (c *Client) Job(ctx context.Context, id string) (*wire.Job, error) {
	var job wire.Job
	return &job, c.get(ctx, "/v1/jobs/"+url.PathEscape(id), nil, &job)
}

// CancelJob asks for a job to be stopped and returns it as it is then.
func (c *Client) CancelJob(ctx context.Context, id, reason string) (*wire.Job, error) {
	body, err := json.Marshal(map[string]string{"reason": reason})
	if err != nil {
		return nil, err
	}
	var job wire.Job
	return &job, c.call(ctx, http.MethodPost, "/v1/jobs/"+url.PathEscape(id)+"/cancel", body, nil, &job)
}

// JobEvents returns a job's own events from the one after the cursor.
func (c *Client) JobEvents(ctx context.Context, id, cursor string) (*wire.Events, error) {
	v := url.Values{}
	set(v, "cursor", cursor)
	var page wire.Events
	return &page, c.get(ctx, "/v1/jobs/"+url.PathEscape(id)+"/events", v, &page)
}

// Queue lists what waits.
func (c *Client) Queue(ctx context.Context, cursor string) (*wire.Queue, error) {
	v := url.Values{}
	set(v, "cursor", cursor)
	var q wire.Queue
	return &q, c.get(ctx, "/v1/queue", v, &q)
}

// Workers lists workers.
func (c *Client) Workers(ctx context.Context, cursor string) (*wire.Workers, error) {
	v := url.Values{}
	set(v, "cursor", cursor)
	var page wire.Workers
	return &page, c.get(ctx, "/v1/workers", v, &page)
}

// Worker returns one worker by id or name.
func (c *Client) Worker(ctx context.Context, id string) (*wire.Worker, error) {
	var w wire.Worker
	return &w, c.get(ctx, "/v1/workers/"+url.PathEscape(id), nil, &w)
}

// EventsQuery chooses events. Zero fields choose all.
type EventsQuery struct {
	Stream string // a stream or the beginning of its name
	Types  []string
	Limit  int
	Cursor string // position to go on after
	Newest bool   // the newest first, backwards
}

func (q EventsQuery) values() url.Values {
	v := url.Values{}
	set(v, "stream", q.Stream)
	set(v, "type", strings.Join(q.Types, ","))
	set(v, "cursor", q.Cursor)
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	if q.Newest {
		v.Set("order", "desc")
	}
	return v
}

// Events lists events in the order of the log.
func (c *Client) Events(ctx context.Context, q EventsQuery) (*wire.Events, error) {
	var page wire.Events
	return &page, c.get(ctx, "/v1/events", q.values(), &page)
}

// Ready asks whether the server can serve.
func (c *Client) Ready(ctx context.Context) (*wire.Ready, error) {
	var r wire.Ready
	return &r, c.get(ctx, "/readyz", nil, &r)
}

// Raw returns the body of a GET as the server sent it.
func (c *Client) Raw(ctx context.Context, path string, v url.Values) (json.RawMessage, error) {
	var raw json.RawMessage
	err := c.get(ctx, path, v, &raw)
	return raw, err
}

// Post sends JSON and returns the body of the answer as the server sent it. key is
// the idempotency key, or empty.
func (c *Client) Post(ctx context.Context, path string, body []byte, key string) (json.RawMessage, error) {
	var raw json.RawMessage
	err := c.call(ctx, http.MethodPost, path, body, header{"Idempotency-Key": key}, &raw)
	return raw, err
}

// Put sends JSON and returns the body of the answer as the server sent it.
func (c *Client) Put(ctx context.Context, path string, v url.Values, body []byte) (json.RawMessage, error) {
	resp, err := c.do(ctx, http.MethodPut, path, v, body, nil)
	if err != nil {
		return nil, err
	}
	var raw json.RawMessage
	return raw, c.decode(resp, &raw)
}

// Patch sends JSON and returns the body of the answer as the server sent it. match is
// the ETag that what is changed must still have, or empty.
func (c *Client) Patch(ctx context.Context, path string, body []byte, match string) (json.RawMessage, error) {
	var raw json.RawMessage
	err := c.call(ctx, http.MethodPatch, path, body, header{"If-Match": match}, &raw)
	return raw, err
}

// Delete deletes what path names.
func (c *Client) Delete(ctx context.Context, path string, v url.Values) error {
	resp, err := c.do(ctx, http.MethodDelete, path, v, nil, nil)
	if err != nil {
		return err
	}
	drain(resp)
	return nil
}

type header map[string]string

func set(v url.Values, key, value string) {
	if value != "" {
		v.Set(key, value)
	}
}

func (c *Client) get(ctx context.Context, path string, v url.Values, into any) error {
	resp, err := c.do(ctx, http.MethodGet, path, v, nil, nil)
	if err != nil {
		return err
	}
	return c.decode(resp, into)
}

func (c *Client) call(ctx context.Context, method, path string, body []byte, h header, into any) error {
	resp, err := c.do(ctx, method, path, nil, body, h)
	if err != nil {
		return err
	}
	return c.decode(resp, into)
}

func (c *Client) decode(resp *http.Response, into any) error {
	defer drain(resp)
	body, err := io.ReadAll(io.LimitReader(resp.Body, MaxAnswer))
	if err != nil {
		return &UnreachableError{c.base, err}
	}
	if raw, ok := into.(*json.RawMessage); ok {
		*raw = body
		return nil
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("cannot read the answer of %s: %w", resp.Request.URL.Path, err)
	}
	return nil
}

func drain(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10) // so that the connection can be used again
	_ = resp.Body.Close()
}

// do sends a request and returns the answer if its status is below 400.
func (c *Client) do(ctx context.Context, method, path string, v url.Values, body []byte, h header) (*http.Response, error) {
	u := c.base + path
	if len(v) > 0 {
		u += "?" + v.Encode()
	}
	var r io.Reader
	if body != nil {
		r = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, u, r)
	if err != nil {
		return nil, err
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for k, val := range h {
		if val != "" {
			req.Header.Set(k, val)
		}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &UnreachableError{c.base, err}
	}
	if resp.StatusCode < 400 {
		return resp, nil
	}
	defer drain(resp)
	return nil, problem(resp)
}

// problem reads a problem; an answer that is none (from a proxy, say) becomes one.
func problem(resp *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	var p wire.Problem
	if json.Unmarshal(body, &p) == nil && p.Status != 0 {
		return &p
	}
	return wire.NewProblem(resp.StatusCode, "", fmt.Sprintf("%s answered %s", resp.Request.URL.Host, resp.Status))
}
