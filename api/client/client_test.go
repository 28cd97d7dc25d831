package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/wire"
)

func connect(t *testing.T, url string) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{URL: url, Token: "hodei_secret"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// serve is a server with one handler.
func serve(t *testing.T, h http.HandlerFunc) *client.Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return connect(t, s.URL)
}

func TestAddresses(t *testing.T) {
	for address, ok := range map[string]bool{
		"http://127.0.0.1:8080": true, "https://hodei.example": true, "http://[::1]:8080/": true, "http://host/prefix/": true,
		"": false, "127.0.0.1:8080": false, "grpcs://127.0.0.1:9090": false, "http://": false, "http://a b": false,
	} {
		c, err := client.New(client.Config{URL: address})
		if (err == nil) != ok {
			t.Errorf("%q: %v", address, err)
		}
		if err == nil && strings.HasSuffix(c.URL(), "/") {
			t.Errorf("%q became %q", address, c.URL())
		}
	}
}

// What each method sends.
func TestRequests(t *testing.T) {
	var got string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = strings.TrimSpace(r.Method + " " + r.URL.RequestURI() + " " + string(body))
		if key := r.Header.Get("Idempotency-Key"); key != "" {
			got += " key=" + key
		}
		if r.Header.Get("Authorization") != "Bearer hodei_secret" {
			got += " without its token"
		}
		if len(body) > 0 && r.Header.Get("Content-Type") != "application/json" {
			got += " as " + r.Header.Get("Content-Type")
		}
		_, _ = io.WriteString(w, `{}`)
	})
	ctx := t.Context()
	for _, row := range []struct {
		want string
		call func() error
	}{
		{`POST /v1/jobs {"command":"x"}`, func() error { return second(c.Submit(ctx, []byte(`{"command":"x"}`), "")) }},
		{`POST /v1/jobs {"command":"x"} key=k`, func() error { return second(c.Submit(ctx, []byte(`{"command":"x"}`), "k")) }},
		{`POST /v1/jobs:batch {"jobs":[{"a":1},{}]}`, func() error {
			return second(c.SubmitBatch(ctx, []json.RawMessage{json.RawMessage(`{"a":1}`), json.RawMessage(`{}`)}))
		}},
		{`GET /v1/jobs`, func() error { return second(c.Jobs(ctx, client.JobsQuery{})) }},
		{`GET /v1/jobs?cursor=9&limit=5&namespace=web&state=failed%2Clost`, func() error {
			return second(c.Jobs(ctx, client.JobsQuery{Namespace: "web", States: []string{"failed", "lost"}, Limit: 5, Cursor: "9"}))
		}},
		{`GET /v1/jobs?label=a%3D1&label=b&name=build-%2A&order=asc&q=web&since=1h&sort=ended&until=10m&worker=atlas`, func() error {
			return second(c.Jobs(ctx, client.JobsQuery{Labels: []string{"a=1", "b"}, Name: "build-*", Text: "web", Worker: "atlas", Since: "1h", Until: "10m", Ended: true, OldestFirst: true}))
		}},
		{`POST /v1/jobs/7f3k9qd2/rerun {"changes":{"priority":1},"replace":true} key=k`, func() error {
			return second(c.RerunJob(ctx, "7f3k9qd2", json.RawMessage(`{"priority":1}`), true, "k"))
		}},
		{`GET /v1/jobs/7f3k9qd2`, func() error { return second(c.Job(ctx, "7f3k9qd2")) }},
		{`GET /v1/jobs/..%2F..%2Fx%3Fy`, func() error { return second(c.Job(ctx, "../../x?y")) }},
		{`POST /v1/jobs/7f3k9qd2/cancel {"reason":"enough"}`, func() error { return second(c.CancelJob(ctx, "7f3k9qd2", "enough")) }},
		{`GET /v1/jobs/7f3k9qd2/events?cursor=4`, func() error { return second(c.JobEvents(ctx, "7f3k9qd2", "4")) }},
		{`GET /v1/jobs/7f3k9qd2/logs`, func() error { return c.Logs(ctx, "7f3k9qd2", client.LogsQuery{}, io.Discard) }},
		{`GET /v1/jobs/7f3k9qd2/logs?attempt=2`, func() error { return c.Logs(ctx, "7f3k9qd2", client.LogsQuery{Attempt: 2}, io.Discard) }},
		{`GET /v1/queue`, func() error { return second(c.Queue(ctx, "")) }},
		{`GET /v1/workers?cursor=x`, func() error { return second(c.Workers(ctx, "x")) }},
		{`GET /v1/workers/atlas`, func() error { return second(c.Worker(ctx, "atlas")) }},
		{`GET /v1/events?cursor=7&limit=3&order=desc&stream=job-&type=JobFailed%2CJobLost`, func() error {
			return second(c.Events(ctx, client.EventsQuery{Stream: "job-", Types: []string{"JobFailed", "JobLost"}, Limit: 3, Cursor: "7", Newest: true}))
		}},
		{`GET /readyz`, func() error { return second(c.Ready(ctx)) }},
		{`GET /v1/x?a=b`, func() error { return second(c.Raw(ctx, "/v1/x", url.Values{"a": {"b"}})) }},
		{`POST /v1/x {} key=k`, func() error { return second(c.Post(ctx, "/v1/x", []byte(`{}`), "k")) }},
	} {
		if err := row.call(); err != nil || got != row.want {
			t.Errorf("sent %s, want %s; %v", got, row.want, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// An answer that is a problem comes back as one, whoever sent it.
func TestProblems(t *testing.T) {
	for _, row := range []struct {
		name, kind, body string
		status           int
		want             wire.Problem
	}{
		{"one of the server's", "application/problem+json",
			`{"type":"about:blank","title":"Unprocessable Entity","status":422,"detail":"no","kind":"invalid","help":"do","errors":[{"location":"a.b","message":"bad"}]}`, 422,
			wire.Problem{Title: "Unprocessable Entity", Status: 422, Detail: "no", Kind: "invalid", Help: "do", Errors: []wire.Detail{{Location: "a.b", Message: "bad"}}}},
		{"a page of a proxy", "text/html", "<html>Bad Gateway</html>", 502, wire.Problem{Title: "Bad Gateway", Status: 502}},
		{"nothing", "", "", 503, wire.Problem{Title: "Service Unavailable", Status: 503}},
		{"JSON of something else", "application/json", `{"error":"x"}`, 404, wire.Problem{Title: "Not Found", Status: 404}},
		{"a list", "application/json", `[]`, 400, wire.Problem{Title: "Bad Request", Status: 400}},
	} {
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", row.kind)
			w.WriteHeader(row.status)
			_, _ = io.WriteString(w, row.body)
		})
		_, err := c.Job(t.Context(), "7f3k9qd2")
		var p *wire.Problem
		if !errors.As(err, &p) {
			t.Errorf("%s: %v", row.name, err)
			continue
		}
		if p.Status != row.want.Status || p.Title != row.want.Title || p.Kind != row.want.Kind || p.Help != row.want.Help ||
			len(p.Errors) != len(row.want.Errors) || row.want.Detail != "" && p.Detail != row.want.Detail || p.Error() == "" {
			t.Errorf("%s: %+v", row.name, p)
		}
	}
}

// No answer, or a part of one, is a server that could not be reached.
func TestUnreachable(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "http://" + l.Addr().String()
	_ = l.Close()
	var u *client.UnreachableError
	_, err = connect(t, address).Jobs(t.Context(), client.JobsQuery{})
	if want := "cannot reach the server at " + address + ": connection refused"; !errors.As(err, &u) || err.Error() != want {
		t.Errorf("nobody listens: %v, want %s", err, want)
	}
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, `{"items":[`)
		panic(http.ErrAbortHandler)
	})
	for name, call := range map[string]func() error{
		"a page": func() error { return second(c.Jobs(t.Context(), client.JobsQuery{})) },
		"a log":  func() error { return c.Logs(t.Context(), "7f3k9qd2", client.LogsQuery{}, io.Discard) },
	} {
		if err := call(); !errors.As(err, &u) || !strings.HasSuffix(err.Error(), ": the connection ended early") {
			t.Errorf("%s that was cut off: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Jobs(ctx, client.JobsQuery{}); !errors.Is(err, context.Canceled) || errors.As(err, &u) {
		t.Errorf("given up by its caller: %v", err)
	}
}

func TestAnAnswerThatIsNoJSON(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") })
	if _, err := c.Jobs(t.Context(), client.JobsQuery{}); err == nil || !strings.Contains(err.Error(), "cannot read the answer of /v1/jobs") {
		t.Errorf("%v", err)
	}
}
