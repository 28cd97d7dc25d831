package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/watch"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/commands"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/embedded"
	"github.com/hodei-jobs/hodei/projections"
	"github.com/hodei-jobs/hodei/projections/joblog"
	"github.com/hodei-jobs/hodei/projections/telemetry"
)

var tester = commands.Caller{Actor: "system", Source: "test"}

// site is the API over a real store, World, commands and job logs.
type site struct {
	t        testing.TB
	url      string
	document *huma.OpenAPI
	handler  http.Handler
	commands *commands.Service
	runner   *projections.Runner
	store    *embedded.Store
	logs     *joblog.Log
	stop     chan struct{}
}

func newSite(t testing.TB) *site {
	t.Helper()
	dir, quiet := t.TempDir(), slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	store, _, err := embedded.Open(ctx, embedded.Config{Dir: filepath.Join(dir, "events"), Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, store: store, runner: projections.NewRunner(store, projections.RunnerConfig{}), stop: make(chan struct{})}
	if s.logs, err = joblog.Open(filepath.Join(dir, "logs"), joblog.Options{Logger: quiet}); err != nil {
		t.Fatal(err)
	}
	s.commands = commands.New(commands.Config{Store: store, Applied: s.runner.WaitFor, Admit: s.runner.Admit, Clock: store.Now})
	hub := watch.New(store, func() (eventstore.Position, <-chan struct{}) {
		w, next := s.runner.Wait()
		return w.Position, next
	})
	running, watching := make(chan error, 1), make(chan error, 1)
	go func() { running <- s.runner.Run(ctx) }()
	<-s.runner.Ready()
	<-store.Ready()
	go func() { watching <- hub.Run(ctx) }()
	handler, document := New(Config{Commands: s.commands, Runner: s.runner, Store: store, Logs: s.logs, Telemetry: telemetry.New(),
		Clock: store.Now, Logger: quiet, Watch: hub, Version: "test"}, s.stop)
	server := httptest.NewServer(handler)
	s.url, s.document, s.handler = server.URL, document, handler
	t.Cleanup(func() {
		close(s.stop)
		server.Close()
		cancel()
		<-running
		<-watching
		if err := errors.Join(s.logs.Close(), store.Close()); err != nil {
			t.Error(err)
		}
	})
	for _, name := range []string{"default", "web"} {
		if _, err := s.commands.CreateNamespace(ctx, tester, name, ""); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// token makes a token.
func (s *site) token(namespace string, role token.Role) string {
	s.t.Helper()
	plain, _, err := s.commands.CreateToken(s.t.Context(), tester, token.Create{Name: "test", Namespace: namespace, Role: role})
	if err != nil {
		s.t.Fatal(err)
	}
	return plain
}

func (s *site) client(plain string) *client.Client {
	s.t.Helper()
	c, err := client.New(client.Config{URL: s.url, Token: plain})
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

func (s *site) submit(c *client.Client, spec string) *wire.Job {
	s.t.Helper()
	j, err := c.Submit(s.t.Context(), []byte(spec), "")
	if err != nil {
		s.t.Fatal(err)
	}
	return j
}

// request sends a request and returns status, content type and body.
func (s *site) request(method, path, plain, body string) (int, string, []byte) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if plain != "" {
		req.Header.Set("Authorization", "Bearer "+plain)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("Content-Type"), b
}

// run plays a whole attempt of a job: what a worker would do, with this output.
func (s *site) run(jobID string, attempt uint32, output string, finish job.Finish) {
	s.t.Helper()
	ctx := s.t.Context()
	i, err := id.Parse(jobID)
	if err != nil {
		s.t.Fatal(err)
	}
	worker, err := s.commands.NewID()
	if err != nil {
		s.t.Fatal(err)
	}
	if _, errs := s.commands.BindJobs(ctx, tester, []commands.Binding{{Job: i, Attempt: attempt, Worker: worker}}); errs[0] != nil {
		s.t.Fatal(errs[0])
	}
	if err := s.commands.StartJob(ctx, tester, i, job.Start{Attempt: attempt, Worker: worker.String()}); err != nil {
		s.t.Fatal(err)
	}
	key := joblog.Key{Job: i, Attempt: attempt}
	if _, err := s.logs.Take(ctx, key, 1, nil); err != nil {
		s.t.Fatal(err)
	}
	if err := s.logs.Append(key, 1, joblog.Piece{Tag: 1, Time: 1, Data: []byte(output)}); err != nil {
		s.t.Fatal(err)
	}
	if err := s.logs.WaitDurable(ctx, key, uint64(len(output))); err != nil {
		s.t.Fatal(err)
	}
	finish.Attempt, finish.Worker = attempt, worker.String()
	if err := s.commands.FinishJob(ctx, tester, i, finish); err != nil {
		s.t.Fatal(err)
	}
	s.logs.Finish(key, uint64(len(output)))
}

func decode[T any](t *testing.T, b []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	return v
}
