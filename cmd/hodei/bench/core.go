package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/resource"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/commands"
	"github.com/hodei-jobs/hodei/commands/scheduler"
	"github.com/hodei-jobs/hodei/commands/simulate"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/embedded"
	"github.com/hodei-jobs/hodei/projections"
)

const (
	simWorkers = 10
	simSlots   = 32
	callers    = 64
)

// trivial is a job that asks for one slot of a simulated worker.
var trivial = spec.Spec{Command: "true", Resources: resource.Amount{CPU: 100}}.WithDefaults()

// core is log, World, commands and scheduler, without faces.
type core struct {
	store    *embedded.Store
	runner   *projections.Runner
	commands *commands.Service
	group    *errgroup.Group
	stop     context.CancelFunc
}

// openCore opens a core on dir; close it.
func openCore(ctx context.Context, dir string) (*core, error) {
	quiet := slog.New(slog.DiscardHandler)
	store, _, err := embedded.Open(ctx, embedded.Config{Dir: filepath.Join(dir, "events"), Logger: quiet})
	if err != nil {
		return nil, err
	}
	k := &core{store: store}
	ctx, k.stop = context.WithCancel(ctx)
	k.runner = projections.NewRunner(store, projections.RunnerConfig{})
	k.commands = commands.New(commands.Config{Store: store, Applied: k.runner.WaitFor, Admit: k.runner.Admit})
	k.group, ctx = errgroup.WithContext(ctx)
	k.group.Go(func() error { return k.runner.Run(ctx) })
	select {
	case <-k.runner.Ready():
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), k.close())
	}
	<-store.Ready()
	if _, ok := k.runner.World().Access.Namespace(spec.DefaultNamespace); !ok {
		if _, err := k.commands.CreateNamespace(ctx, commands.Caller{Actor: "system", Source: "server"}, spec.DefaultNamespace, ""); err != nil {
			return nil, errors.Join(err, k.close())
		}
	}
	return k, nil
}

// simulate starts the scheduler and simulated workers.
func (k *core) simulate(ctx context.Context) error {
	agents := simulate.NewAgents(simulate.Config{Commands: k.commands, Runner: k.runner, Workers: simWorkers,
		Capacity: resource.Amount{CPU: simSlots * 100, Memory: 64 << 30, Disk: 1 << 40}})
	if err := agents.Join(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := k.stop
	k.stop = func() { cancel(); stop() }
	s := scheduler.New(scheduler.Config{Runner: k.runner, Commands: k.commands})
	k.group.Go(func() error { return unlessEnded(ctx, s.Run(ctx)) })
	k.group.Go(func() error { return unlessEnded(ctx, agents.Run(ctx)) })
	return nil
}

func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (k *core) close() error {
	k.stop()
	err := k.group.Wait()
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return errors.Join(err, k.store.Close())
}

// withCore runs fn on a core in a folder of its own.
func withCore(ctx context.Context, fn func(k *core, dir string) error) error {
	dir, done, err := folder()
	if err != nil {
		return err
	}
	defer done()
	k, err := openCore(ctx, dir)
	if err != nil {
		return err
	}
	return errors.Join(fn(k, dir), k.close())
}

func lives(ctx context.Context, r *Run) error {
	return withCore(ctx, func(k *core, _ string) error {
		if err := k.simulate(ctx); err != nil {
			return err
		}
		rate, err := simulate.Whole(ctx, k.commands, k.runner, trivial, callers, r.count(150_000, 1000))
		r.Figures["lives_per_s"] = rate.PerSecond()
		return err
	})
}

// lives1m measures lives beside a million jobs of 100 classes that fit nowhere at
// once but are waiting all the same.
func lives1m(ctx context.Context, r *Run) error {
	return withCore(ctx, func(k *core, _ string) error {
		classes := make([]spec.Spec, 100)
		for i := range classes {
			classes[i] = trivial
			classes[i].Resources.Memory = resource.Bytes(i)
		}
		if _, err := simulate.Fill(ctx, k.commands, classes, r.count(1_000_000, 1000)); err != nil {
			return err
		}
		if err := k.simulate(ctx); err != nil {
			return err
		}
		rate, err := simulate.Whole(ctx, k.commands, k.runner, trivial, callers, r.count(100_000, 500))
		r.Figures["lives_per_s_1m"] = rate.PerSecond()
		return err
	})
}

// replay fills a log with finished lives of 8 events, then reads it whole and
// builds the World from nothing.
func replay(ctx context.Context, r *Run) error {
	dir, done, err := folder()
	if err != nil {
		return err
	}
	defer done()
	events, err := fillLives(ctx, dir, r.count(1_000_000, 8000))
	if err != nil {
		return err
	}
	store, _, err := embedded.Open(ctx, embedded.Config{Dir: filepath.Join(dir, "events"), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	begun := time.Now()
	read, err := readAll(ctx, store)
	if err != nil {
		return err
	}
	if read < events {
		return fmt.Errorf("%d events were read, %d were written", read, events)
	}
	r.Figures["replay_events_per_s"] = perSecond(read, time.Since(begun))
	return rebuild(ctx, r, store, read)
}

func rebuild(ctx context.Context, r *Run, store eventstore.Store, events int) error {
	runner := projections.NewRunner(unsaved{store}, projections.RunnerConfig{})
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	begun := time.Now()
	go func() { ended <- runner.Run(ctx) }()
	select {
	case <-runner.Ready():
		r.Figures["rebuild_events_per_s"] = perSecond(events, time.Since(begun))
	case <-ctx.Done():
	}
	cancel()
	return <-ended
}

// unsaved is a store without snapshots, so that a World is built from the log.
type unsaved struct{ eventstore.Store }

func (unsaved) LoadSnapshot(context.Context, string, string, eventstore.Position) (eventstore.Snapshot, bool, []error, error) {
	return eventstore.Snapshot{}, false, nil, nil
}

func (unsaved) SaveSnapshot(context.Context, eventstore.Snapshot, int) error { return nil }

// fillLives appends finished lives until the log has so many events.
func fillLives(ctx context.Context, dir string, events int) (int, error) {
	k, err := openCore(ctx, dir)
	if err != nil {
		return 0, err
	}
	written, err := appendLives(ctx, k.store, events)
	return written, errors.Join(err, k.close())
}

func readAll(ctx context.Context, store eventstore.Store) (n int, err error) {
	head, _ := store.Wait()
	var records []*eventstore.Record
	for at := eventstore.Position(1); at <= head; {
		if records, at, err = store.ReadAll(ctx, records[:0], at, 4096, eventstore.Filter{}); err != nil {
			return n, err
		}
		for _, rec := range records {
			if err := decode(rec); err != nil {
				return n, err
			}
		}
		n += len(records)
	}
	return n, nil
}

var exit0 = int32(0)

// ending is the end of a life that went well.
var ending = &eventv1.Ending{ExitCode: &exit0, EndOffset: 1234, TookNs: int64(time.Second)}
