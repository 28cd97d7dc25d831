package simulate

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"testing"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/resource"
	"github.com/hodei-jobs/hodei/aggregates/settings"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/commands"
	"github.com/hodei-jobs/hodei/commands/scheduler"
	"github.com/hodei-jobs/hodei/eventstore/embedded"
	"github.com/hodei-jobs/hodei/projections"
)

// server is the middle of a server: store, World, commands, scheduler.
type server struct {
	store    *embedded.Store
	runner   *projections.Runner
	commands *commands.Service
	started  chan id.ID
	agents   *Agents
}

const (
	simulatedWorkers = 10
	simulatedSlots   = 32
	slotMilli        = 100
)

func newServer(tb testing.TB) *server {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	quiet := slog.New(slog.DiscardHandler)
	store, _, err := embedded.Open(ctx, embedded.Config{Dir: tb.TempDir(), Logger: quiet})
	if err != nil {
		tb.Fatal(err)
	}
	s := &server{store: store, runner: projections.NewRunner(store, projections.RunnerConfig{Logger: quiet}), started: make(chan id.ID, 1024)}
	s.commands = commands.New(commands.Config{Store: store, Applied: s.runner.WaitFor, Admit: s.runner.Admit, Clock: store.Now})
	running := make(chan error, 1)
	go func() { running <- s.runner.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-running; err != nil {
			tb.Error(err)
		}
		if err := store.Close(); err != nil {
			tb.Error(err)
		}
	})
	<-s.runner.Ready()
	<-store.Ready()
	if _, err := s.commands.CreateNamespace(ctx, user, spec.DefaultNamespace, ""); err != nil {
		tb.Fatal(err)
	}
	return s
}

// begin lets agents join, and scheduler and agents run until the test ends.
func (s *server) begin(tb testing.TB, told func(id.ID)) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	s.agents = NewAgents(Config{
		Commands: s.commands, Runner: s.runner, Workers: simulatedWorkers,
		Capacity: resource.Amount{CPU: simulatedSlots * slotMilli, Memory: 1 << 40}, Started: told,
	})
	if err := s.agents.Join(ctx); err != nil {
		tb.Fatal(err)
	}
	ended := make(chan error, 2)
	go func() { ended <- s.agents.Run(ctx) }()
	go func() { ended <- scheduler.New(scheduler.Config{Runner: s.runner, Commands: s.commands}).Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				tb.Error(err)
			}
		}
	})
}

func (s *server) tell(i id.ID) {
	select {
	case s.started <- i:
	default:
	}
}

var trivial = spec.Spec{Argv: []string{"true"}, Resources: resource.Amount{CPU: slotMilli}}

func TestJobsLiveWhollyBehindTheCommands(t *testing.T) {
	s := newServer(t)
	s.begin(t, s.tell)
	const lives = 2000
	if _, err := Fill(t.Context(), s.commands, []spec.Spec{trivial}, lives); err != nil {
		t.Fatal(err)
	}
	for s.runner.World().Jobs.Counts()[job.Succeeded] < lives {
		if _, err := Lives(t.Context(), s.runner, 1); err != nil {
			t.Fatal(err)
		}
	}
	if w := s.runner.World(); w.Queue.Waiting() != 0 || w.Cluster.Live() != 0 {
		t.Fatalf("%d wait and %d are live after all have ended", w.Queue.Waiting(), w.Cluster.Live())
	}
}

// The World of many jobs that have ended is no larger than that of a few: it keeps
// as many of them as it is told to, and no class, attempt or key of the others.
func TestTheWorldDoesNotGrowWithJobsThatHaveEnded(t *testing.T) {
	const kept, growth = 50, 512 // bytes that numbers take more when they are larger
	lives := 10_000
	if testing.Short() {
		lives = 500
	}
	s := newServer(t)
	if _, err := s.commands.ChangeSettings(t.Context(), user, settings.Change{KeptFinished: new(uint32(kept))}); err != nil {
		t.Fatal(err)
	}
	s.begin(t, nil)
	var sizes [2]int
	for round := range sizes {
		for n := 0; n < lives; n += fillBatch {
			batch := make([]commands.Submission, min(fillBatch, lives-n))
			for i := range batch {
				one := trivial // in a class of its own
				one.Resources.Memory = resource.Bytes(round*lives+n+i+1) << 10
				batch[i] = commands.Submission{Spec: one, Key: fmt.Sprintf("%d-%d", round, n+i)}
			}
			for _, done := range s.commands.SubmitJobs(t.Context(), user, batch) {
				if done.Err != nil {
					t.Fatal(done.Err)
				}
			}
		}
		for s.runner.World().Jobs.Counts()[job.Succeeded] < uint64((round+1)*lives) {
			if _, err := Lives(t.Context(), s.runner, 1); err != nil {
				t.Fatal(err)
			}
		}
		var form bytes.Buffer
		w := s.runner.World()
		if err := w.Encode(&form); err != nil {
			t.Fatal(err)
		}
		sizes[round] = form.Len()
		if n := w.Jobs.Len(); n != kept {
			t.Errorf("%d jobs are kept of %d, want %d", n, (round+1)*lives, kept)
		}
	}
	if sizes[1] > sizes[0]+growth {
		t.Errorf("with %d ended jobs the World has %d bytes, with twice as many %d", lives, sizes[0], sizes[1])
	}
}

func TestStartsAreMeasuredOneByOne(t *testing.T) {
	s := newServer(t)
	s.begin(t, s.tell)
	r, err := Starts(t.Context(), s.commands, trivial, s.started, 20)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Latency) != 20 || r.Latency.At(50) <= 0 {
		t.Fatalf("of 20 starts %d were measured, p50 %s", len(r.Latency), r.Latency.At(50))
	}
}
