package scheduler

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/resource"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/commands"
	"github.com/hodei-jobs/hodei/commands/simulate"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/embedded"
	"github.com/hodei-jobs/hodei/projections"
	"github.com/hodei-jobs/hodei/projections/telemetry"
)

var user = commands.Caller{Actor: "ana", Source: "api"}

// stage is a server without its outer parts and one worker of 2 CPU, whose jobs
// never end by themselves. It lives in a bubble of synctest.
type stage struct {
	*testing.T
	runner    *projections.Runner
	commands  *commands.Service
	telemetry *telemetry.Table
	begin     func(Binder) // lets the scheduler run until the test ends
}

// on plays a test on a stage.
func on(t *testing.T, test func(*stage)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		quiet := slog.New(slog.DiscardHandler)
		store, _, err := embedded.Open(context.Background(), embedded.Config{Dir: dir, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		<-store.Ready()
		s := &stage{T: t, runner: projections.NewRunner(store, projections.RunnerConfig{Logger: quiet}), telemetry: telemetry.New()}
		s.commands = commands.New(commands.Config{Store: store, Applied: s.runner.WaitFor, Clock: store.Now})
		running, stop := context.WithCancel(context.Background())
		ended := make(chan error, 2)
		started := 1
		go func() { ended <- s.runner.Run(running) }()
		<-s.runner.Ready()
		ctx, cancel := context.WithCancel(context.Background())
		s.begin = func(b Binder) {
			started++
			go func() {
				ended <- New(Config{Runner: s.runner, Commands: b, Telemetry: s.telemetry, Logger: quiet}).Run(ctx)
			}()
			synctest.Wait()
		}
		defer func() {
			cancel()
			synctest.Wait()
			stop()
			for range started {
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		}()
		s.prepare()
		test(s)
	})
}

func (s *stage) prepare() {
	ctx := context.Background()
	if _, err := s.commands.CreateNamespace(ctx, user, spec.DefaultNamespace, ""); err != nil {
		s.Fatal(err)
	}
	agents := simulate.NewAgents(simulate.Config{
		Commands: s.commands, Runner: s.runner, Workers: 1, Capacity: resource.Amount{CPU: 2000},
	})
	if err := agents.Join(ctx); err != nil {
		s.Fatal(err)
	}
}

func (s *stage) submit(cpu resource.CPU) id.ID {
	s.Helper()
	sp := spec.Spec{Argv: []string{"true"}, Resources: resource.Amount{CPU: cpu}}
	done := s.commands.SubmitJobs(context.Background(), user, []commands.Submission{{Spec: sp}})[0]
	if done.Err != nil {
		s.Fatal(done.Err)
	}
	synctest.Wait()
	return done.ID
}

// want fails unless so many jobs are bound and so many wait.
func (s *stage) want(live, waiting int) {
	s.Helper()
	w := s.runner.World()
	if w.Cluster.Live() != live || w.Queue.Waiting() != waiting {
		s.Fatalf("%d are bound and %d wait, want %d and %d", w.Cluster.Live(), w.Queue.Waiting(), live, waiting)
	}
}

func TestJobsAreBoundAsTheyComeAndRoomComes(t *testing.T) {
	on(t, func(s *stage) {
		first := s.submit(1000)
		s.begin(s.commands)
		s.want(1, 0)
		s.submit(1000)
		s.submit(1000)
		s.want(2, 1)
		if _, err := s.commands.CancelJob(context.Background(), user, first, ""); err != nil {
			s.Fatal(err)
		}
		synctest.Wait()
		s.want(2, 0)
	})
}

// binder does something else than bind, now and then.
type binder struct {
	Binder
	calls  int
	before func(call int, b []commands.Binding) (instead error)
}

func (b *binder) BindJobs(ctx context.Context, c commands.Caller, bindings []commands.Binding) (eventstore.Position, []error) {
	b.calls++
	if err := b.before(b.calls, bindings); err != nil {
		errs := make([]error, len(bindings))
		for i := range errs {
			errs[i] = err
		}
		return 0, errs
	}
	return b.Binder.BindJobs(ctx, c, bindings)
}

func TestLogThatCantBeWrittenIsTriedAgain(t *testing.T) {
	on(t, func(s *stage) {
		b := &binder{Binder: s.commands, before: func(call int, _ []commands.Binding) error {
			if call <= 5 {
				return &fault.Error{Kind: fault.Unavailable, Reason: "the disk is full"}
			}
			return nil
		}}
		s.begin(b)
		s.submit(1000)
		time.Sleep(time.Minute)
		synctest.Wait()
		s.want(1, 0)
		if b.calls != 6 {
			s.Fatalf("it was tried %d times, want 6", b.calls)
		}
	})
}

func TestLogThatRefusesForNoReasonIsNotAskedWithoutEnd(t *testing.T) {
	on(t, func(s *stage) {
		b := &binder{Binder: s.commands, before: func(int, []commands.Binding) error {
			return fault.Refuse("bind", "job", "it is none of your business")
		}}
		s.begin(b)
		s.submit(1000)
		time.Sleep(time.Minute)
		synctest.Wait()
		const most = 100
		if b.calls < 3 || b.calls > most {
			s.Fatalf("it was tried %d times in a minute", b.calls)
		}
	})
}

// A job that is cancelled between the plan and its binding leaves its room to one
// that did not fit beside it.
func TestOvertakenBindingGivesItsRoomBack(t *testing.T) {
	on(t, func(s *stage) {
		b := &binder{Binder: s.commands, before: func(call int, bindings []commands.Binding) error {
			if call == 1 {
				if _, err := s.commands.CancelJob(context.Background(), user, bindings[0].Job, ""); err != nil {
					s.Error(err)
				}
			}
			return nil
		}}
		s.submit(2000)
		s.submit(1500)
		s.begin(b)
		s.want(1, 0)
	})
}

// Room that a worker gives back by using less is no event, and is seen.
func TestFallingUseMakesRoom(t *testing.T) {
	on(t, func(s *stage) {
		var worker id.ID
		for w := range s.runner.World().Workers.All() {
			worker = w.ID
		}
		s.telemetry.Report(worker, 1, telemetry.Sample{CPU: telemetry.Measured(1500)})
		s.begin(s.commands)
		s.submit(1000)
		s.submit(1000)
		s.want(1, 1)
		s.telemetry.Report(worker, 2, telemetry.Sample{CPU: telemetry.Measured(100)})
		synctest.Wait()
		s.want(2, 0)
	})
}
