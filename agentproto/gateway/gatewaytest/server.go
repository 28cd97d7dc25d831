// Package gatewaytest has what tests of the worker protocol need: a server on a
// real store with the gateway on a real TLS connection, an agent that does what
// a test tells it message by message, and a load of simulated agents.
package gatewaytest

import (
	"context"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/hodei-jobs/hodei/agentproto/gateway"
	"github.com/hodei-jobs/hodei/agentproto/gateway/authority"
	"github.com/hodei-jobs/hodei/agentproto/gateway/door"
	pb "github.com/hodei-jobs/hodei/agentproto/v1"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/commands"
	"github.com/hodei-jobs/hodei/eventstore/embedded"
	"github.com/hodei-jobs/hodei/eventstore/keyring"
	"github.com/hodei-jobs/hodei/eventstore/wal"
	"github.com/hodei-jobs/hodei/projections"
	"github.com/hodei-jobs/hodei/projections/joblog"
	"github.com/hodei-jobs/hodei/projections/telemetry"
)

// Patience is how long a test waits for what must come.
const Patience = 10 * time.Second

// Options of a server. The zero value is usable.
type Options struct {
	Dir       string        // of its data; a temporary one
	AdmitRate int           // handshakes a second; as many as come
	Suspect   time.Duration // silence after which a session ends; that of the gateway
	Handshake time.Duration // from the call to Welcome; that of the gateway
	Answer    time.Duration // from an assignment to its answer; that of the gateway
	Strangers int           // handshakes and connections of strangers; those of package door
	Fair      time.Duration // that a stranger has; that of package door
	Renew     time.Duration // after which agents open their next session; that of the gateway
	LogFiles  wal.Files     // what job logs do to their disk; the disk
	Logger    *slog.Logger  // nil discards
}

// Server is a server without scheduler and HTTP: tests bind jobs themselves.
type Server struct {
	Options
	Store     *embedded.Store
	Runner    *projections.Runner
	Commands  *commands.Service
	JobLog    *joblog.Log
	Telemetry *telemetry.Table
	Authority *authority.Authority
	Gateway   *gateway.Gateway
	Address   string

	grpc    *grpc.Server
	cancel  context.CancelFunc
	running sync.WaitGroup
	keys    *keyring.File
}

// Start starts a server that the end of the test stops.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.AdmitRate == 0 {
		o.AdmitRate = 1 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	s := &Server{Options: o}
	s.open(t)
	s.serve(t)
	if _, err := s.Commands.CreateNamespace(t.Context(), Caller, spec.DefaultNamespace, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop(t) })
	return s
}

func (s *Server) open(t testing.TB) {
	t.Helper()
	var err error
	must := func() {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	s.Store, _, err = embedded.Open(t.Context(), embedded.Config{Dir: filepath.Join(s.Dir, "events"), Logger: s.Logger, ReserveBytes: -1})
	must()
	s.JobLog, err = joblog.Open(filepath.Join(s.Dir, "logs"), joblog.Options{Logger: s.Logger, Files: s.LogFiles})
	must()
	s.keys, err = keyring.OpenFile(filepath.Join(s.Dir, "keyring"), filepath.Join(s.Dir, "keyring.key"))
	must()
	s.Authority, err = authority.Open(t.Context(), authority.Config{Keyring: s.keys})
	must()
	s.Runner = projections.NewRunner(s.Store, projections.RunnerConfig{Logger: s.Logger})
	s.Commands = commands.New(commands.Config{Store: s.Store, Keys: s.keys, Applied: s.Runner.WaitFor})
	s.Telemetry = telemetry.New()
	s.Gateway = gateway.New(gateway.Config{
		Commands: s.Commands, Runner: s.Runner, Store: s.Store, JobLog: s.JobLog, Telemetry: s.Telemetry,
		Authority: s.Authority, Logger: s.Logger, AdmitRate: s.AdmitRate, Strangers: s.Strangers, Fair: s.Fair, Renew: s.Renew,
		Suspect: s.Suspect, Handshake: s.Handshake, Answer: s.Answer,
	})
}

func (s *Server) serve(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.running.Go(func() { _ = s.Runner.Run(ctx) })
	<-s.Runner.Ready()
	if err := s.Gateway.Start(ctx); err != nil {
		t.Fatal(err)
	}
	s.running.Go(func() { _ = s.Gateway.Run(ctx) })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Address = listener.Addr().String()
	s.grpc = grpc.NewServer(gateway.ServerOptions(s.Authority.TLS())...)
	pb.RegisterWorkerServiceServer(s.grpc, s.Gateway)
	s.running.Go(func() { _ = s.grpc.Serve(door.Listen(listener, s.Strangers, s.Fair)) })
}

// Stop stops the server in order. It may be called again.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	if err := s.Gateway.Close(ctx); err != nil {
		t.Errorf("sessions do not end: %v", err)
	}
	s.end(t)
}

// Kill stops the server without letting it record that its sessions end.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	_ = s.Store.Close() // first, so that nothing is recorded any more
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	_ = s.Gateway.Close(ctx)
	s.end(t)
}

func (s *Server) end(t testing.TB) {
	t.Helper()
	s.grpc.Stop()
	s.cancel()
	s.running.Wait()
	for _, closing := range []func() error{s.JobLog.Close, s.Store.Close, s.keys.Close} {
		if err := closing(); err != nil {
			t.Error(err)
		}
	}
}

// Restart starts the server again, after Stop or Kill, on the same data.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.open(t)
	s.serve(t)
}

// Caller is on whose behalf tests give commands.
var Caller = commands.Caller{Actor: "system", Source: "server"}

// Token returns a new worker token.
func (s *Server) Token(t testing.TB, c authority.Claims) string {
	t.Helper()
	if c.ID == "" {
		i, err := s.Commands.NewID()
		if err != nil {
			t.Fatal(err)
		}
		c.ID = i.String()
	}
	if c.Expires.IsZero() {
		c.Expires = time.Now().Add(time.Hour)
	}
	token, err := s.Authority.IssueWorkerToken(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// Submit submits a job.
func (s *Server) Submit(t testing.TB, job spec.Spec) id.ID {
	t.Helper()
	if job.Command == "" && len(job.Steps) == 0 {
		job.Command = "true"
	}
	done := s.Commands.SubmitJobs(t.Context(), Caller, []commands.Submission{{Spec: job}})[0]
	if done.Err != nil {
		t.Fatal(done.Err)
	}
	return done.ID
}

// Bind gives a job to a worker, as its next attempt, and names it.
func (s *Server) Bind(t testing.TB, job, worker id.ID) *pb.AttemptRef {
	t.Helper()
	j, ok := s.Runner.World().Jobs.ByID(job)
	if !ok {
		t.Fatalf("there is no job %s", job)
	}
	_, errs := s.Commands.BindJobs(t.Context(), Caller, []commands.Binding{{Job: job, Attempt: j.Attempt + 1, Worker: worker}})
	if errs[0] != nil {
		t.Fatal(errs[0])
	}
	return &pb.AttemptRef{Job: job.String(), Attempt: j.Attempt + 1}
}

// Until waits for a World in which something is so.
func (s *Server) Until(t testing.TB, what string, so func(*projections.World) bool) *projections.World {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	for {
		world, next := s.Runner.Wait()
		if so(world) {
			return world
		}
		select {
		case <-next:
		case <-ctx.Done():
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// Lose records that an attempt is lost with its worker.
func (s *Server) Lose(t testing.TB, ref *pb.AttemptRef) {
	t.Helper()
	i, err := id.Parse(ref.Job)
	if err != nil {
		t.Fatal(err)
	}
	_, errs := s.Commands.LoseJobs(t.Context(), Caller, []commands.Loss{{
		Job: i, Lose: job.Lose{Attempt: ref.Attempt, Cause: job.CauseWorkerLost},
	}})
	if errs[0] != nil {
		t.Fatal(errs[0])
	}
}
