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
	"sync"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/resource"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/aggregates/worker"
	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/metrics"
	"github.com/hodei-jobs/hodei/api/sse"
	"github.com/hodei-jobs/hodei/api/watch"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/commands"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/embedded"
	"github.com/hodei-jobs/hodei/eventstore/keyring"
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
	web      *http.Server
	server   *server // a second one over the same parts, for what no request reaches
	failures *failures
	kept     keptLogs // what logs the archive has
}

// failures collects what the API logs as its own failures.
type failures struct {
	slog.Handler
	mu       sync.Mutex
	messages []string
}

func (f *failures) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelError }

func (f *failures) Handle(_ context.Context, r slog.Record) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	text := r.Message
	r.Attrs(func(a slog.Attr) bool { text += " " + a.String(); return true })
	f.messages = append(f.messages, text)
	return nil
}

// take returns what was logged since the last call.
func (f *failures) take() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := f.messages
	f.messages = nil
	return out
}

func newSite(t testing.TB) *site { return newSiteOn(t, embedded.Config{}, nil) }

// newSiteOn is newSite with a store of its own sort; what follow returns is what the
// World reads.
func newSiteOn(t testing.TB, c embedded.Config, follow func(eventstore.Store) eventstore.Store) *site {
	t.Helper()
	dir, quiet := t.TempDir(), slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	c.Dir, c.Logger = filepath.Join(dir, "events"), quiet
	store, _, err := embedded.Open(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	followed := eventstore.Store(store)
	if follow != nil {
		followed = follow(store)
	}
	s := &site{t: t, store: store, runner: projections.NewRunner(followed, projections.RunnerConfig{}), stop: make(chan struct{}),
		failures: &failures{Handler: slog.DiscardHandler}}
	if s.logs, err = joblog.Open(filepath.Join(dir, "logs"), joblog.Options{Logger: quiet, Archive: &s.kept}); err != nil {
		t.Fatal(err)
	}
	keys, err := keyring.OpenFile(filepath.Join(dir, "keyring"), filepath.Join(dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	s.commands = commands.New(commands.Config{Store: store, Keys: keys, Applied: s.runner.WaitFor, Admit: s.runner.Admit, Clock: store.Now})
	hub := watch.New(store, func() (eventstore.Position, <-chan struct{}) {
		w, next := s.runner.Wait()
		return w.Position, next
	})
	running, watching := make(chan error, 1), make(chan error, 1)
	go func() { running <- s.runner.Run(ctx) }()
	<-s.runner.Ready()
	<-store.Ready()
	go func() { watching <- hub.Run(ctx) }()
	counted := metrics.New(metrics.Config{Store: store, Wait: s.runner.Wait, Lag: s.runner.Lag, Journals: s.logs.Size, Version: "test", Commit: "test"})
	counting := make(chan error, 1)
	go func() { counting <- counted.Run(ctx) }()
	parts := Config{Metrics: counted, Commands: s.commands, Runner: s.runner, Store: store, Logs: s.logs, Telemetry: telemetry.New(),
		Clock: store.Now, Logger: slog.New(s.failures), Watch: hub, Version: "test",
		WorkerToken: func(_ context.Context, labels map[string]string, expires time.Time) (*wire.WorkerToken, error) {
			return &wire.WorkerToken{Token: "for " + labels["disk"], Server: "grpcs://here", Expires: expires}, nil
		}}
	handler, document := New(parts, s.stop)
	s.server = newServer(parts, s.stop)
	server := httptest.NewServer(handler)
	s.url, s.document, s.handler, s.web = server.URL, document, handler, server.Config
	t.Cleanup(func() {
		close(s.stop)
		server.Close()
		cancel()
		<-running
		<-watching
		<-counting
		if err := errors.Join(s.logs.Close(), store.Close(), keys.Close()); err != nil {
			t.Error(err)
		}
		if failed := s.failures.take(); len(failed) > 0 {
			t.Errorf("the API failed: %q", failed)
		}
	})
	for _, name := range []string{"default", "web"} {
		if _, err := s.commands.CreateNamespace(ctx, tester, name, ""); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// create makes a token.
func (s *site) create(c token.Create) (plain string, i id.ID) {
	s.t.Helper()
	plain, i, err := s.commands.CreateToken(s.t.Context(), tester, c)
	if err != nil {
		s.t.Fatal(err)
	}
	return plain, i
}

func (s *site) token(namespace string, role token.Role) string {
	s.t.Helper()
	plain, _ := s.create(token.Create{Name: "test", Namespace: namespace, Role: role})
	return plain
}

// admin is a client that may do all.
func (s *site) admin() *client.Client {
	s.t.Helper()
	return s.client(s.token(token.AllNamespaces, token.Admin))
}

// worker makes a worker that is connected, and returns its id.
func (s *site) worker(name string) string {
	s.t.Helper()
	return s.workerAs(s.id(), name)
}

func (s *site) workerAs(i id.ID, name string) string {
	s.t.Helper()
	key := make([]byte, 32)
	facts := &eventv1.WorkerFacts{Name: name, Os: "linux", Arch: "amd64", Version: "test", Capacity: resource.Amount{CPU: 2000, Memory: 4 << 30}.Event()}
	t := s.id().String()
	if _, err := s.commands.RegisterWorker(s.t.Context(), tester, i, worker.Register{Facts: facts, PublicKey: key, TokenID: t}, t); err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.commands.ConnectWorker(s.t.Context(), tester, i, worker.Connect{Instance: key[:16]}); err != nil {
		s.t.Fatal(err)
	}
	return i.String()
}

func (s *site) id() id.ID {
	s.t.Helper()
	i, err := s.commands.NewID()
	if err != nil {
		s.t.Fatal(err)
	}
	return i
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

// request sends a request with headers, which alternate with their values, and returns status, content type and body.
func (s *site) request(method, path, plain, body string, headers ...string) (int, string, []byte) {
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
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
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

func parseID(t testing.TB, text string) id.ID {
	t.Helper()
	i, err := id.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// attempt is one attempt of a job, played as a worker and the gateway would.
type attempt struct {
	*site
	key    joblog.Key
	worker string
	head   uint64
}

// start binds and starts a job's attempt.
func (s *site) start(jobID string, number uint32) *attempt {
	s.t.Helper()
	i, w := parseID(s.t, jobID), s.id()
	if _, errs := s.commands.BindJobs(s.t.Context(), tester, []commands.Binding{{Job: i, Attempt: number, Worker: w}}); errs[0] != nil {
		s.t.Fatal(errs[0])
	}
	if err := s.commands.StartJob(s.t.Context(), tester, i, job.Start{Attempt: number, Worker: w.String()}); err != nil {
		s.t.Fatal(err)
	}
	a := &attempt{site: s, key: joblog.Key{Job: i, Attempt: number}, worker: w.String()}
	if _, err := s.logs.Take(s.t.Context(), a.key, 1, nil); err != nil {
		s.t.Fatal(err)
	}
	return a
}

// print appends output of a tag and waits until it is durable.
func (a *attempt) print(tag uint8, output string) {
	a.t.Helper()
	for data := []byte(output); len(data) > 0; {
		n := min(len(data), joblog.MaxPiece)
		if err := a.logs.Append(a.key, 1, joblog.Piece{Tag: tag, Offset: a.head, Time: int64(a.head) + 1, Data: data[:n]}); err != nil {
			a.t.Fatal(err)
		}
		a.head, data = a.head+uint64(n), data[n:]
		if err := a.logs.WaitDurable(a.t.Context(), a.key, a.head); err != nil {
			a.t.Fatal(err)
		}
	}
}

func (a *attempt) finish(f job.Finish) {
	a.t.Helper()
	f.Attempt, f.Worker = a.key.Attempt, a.worker
	if err := a.commands.FinishJob(a.t.Context(), tester, a.key.Job, f); err != nil {
		a.t.Fatal(err)
	}
	a.logs.Finish(a.key, a.head)
}

// run plays a whole attempt.
func (s *site) run(jobID string, number uint32, output string, finish job.Finish) {
	s.t.Helper()
	a := s.start(jobID, number)
	a.print(1, output)
	a.finish(finish)
}

func failed(code int32) job.Finish {
	return job.Finish{Outcome: job.OutcomeFailed, Cause: "exit", Ending: ending(code)}
}

func succeeded() job.Finish { return job.Finish{Outcome: job.OutcomeSucceeded, Ending: ending(0)} }

func ending(code int32) *eventv1.Ending { return &eventv1.Ending{ExitCode: &code} }

// get opens a GET with headers, which alternate with their values.
func (s *site) get(path, plain string, headers ...string) *http.Response {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), "GET", s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+plain)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func readAll(resp *http.Response) (string, error) {
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

// events opens an event stream, which must be one.
func (s *site) events(path, plain string, headers ...string) *sse.Reader {
	s.t.Helper()
	resp := s.get(path, plain, append([]string{"Accept", streamType}, headers...)...)
	if kind := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || kind != streamType {
		s.t.Fatalf("%s: %s, %s", path, resp.Status, kind)
	}
	return sse.NewReader(resp.Body)
}

// next is the stream's next event of that name; others are passed over.
func next(t testing.TB, r *sse.Reader, name string) sse.Event {
	t.Helper()
	for {
		e, err := r.Next()
		if err != nil {
			t.Fatalf("the stream ended before a %s: %v", name, err)
		}
		if e.Name == name {
			return e
		}
	}
}

func decode[T any](t testing.TB, b []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	return v
}
