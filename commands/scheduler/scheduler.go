// Package scheduler is the loop around the plan. It wakes on a new World, plans
// a batch of bindings on it, has them recorded, and plans again on a World that
// includes them. It is level-triggered: what it knows beyond the World is only
// what it needn't look at again, so a restart or a failed pass changes nothing
// but the work of the next one.
package scheduler

import (
	"context"
	"errors"
	"log/slog"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/commands"
	"github.com/hodei-jobs/hodei/commands/placement"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections"
	"github.com/hodei-jobs/hodei/projections/telemetry"
)

var errNothingNew = errors.New("the log refuses what its World asks for")

// Worlds is where Worlds come from; a *projections.Runner is it.
type Worlds interface {
	// Wait returns the newest World and a channel closed at the next.
	Wait() (*projections.World, <-chan struct{})
	// WaitFor returns when a World that includes the position is published.
	WaitFor(context.Context, eventstore.Position) error
}

// Binder records bindings; a *commands.Service is it.
type Binder interface {
	BindJobs(context.Context, commands.Caller, []commands.Binding) (eventstore.Position, []error)
}

// Config says what a scheduler works with.
type Config struct {
	Runner    Worlds           // required
	Commands  Binder           // required
	Telemetry *telemetry.Table // nil plans by what is reserved alone
	Logger    *slog.Logger     // nil is slog.Default
}

// Scheduler places waiting jobs.
type Scheduler struct {
	worlds    Worlds
	commands  Binder
	telemetry *telemetry.Table
	log       *slog.Logger

	// Of Run.
	memory placement.Memory
	seen   eventstore.Position // the next pass's World must include this
	pause  commands.Pause
}

// New returns a scheduler that does nothing until it is run.
func New(c Config) *Scheduler {
	s := &Scheduler{worlds: c.Runner, commands: c.Commands, telemetry: c.Telemetry, log: c.Logger}
	if s.log == nil {
		s.log = slog.Default()
	}
	return s
}

// Run places jobs until ctx ends, and returns nil then, else why Worlds can't be
// had any more. It may be run by one goroutine at a time.
func (s *Scheduler) Run(ctx context.Context) error {
	err := s.run(ctx)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (s *Scheduler) run(ctx context.Context) error {
	for {
		if err := s.worlds.WaitFor(ctx, s.seen); err != nil {
			return err
		}
		world, next := s.worlds.Wait()
		view, reported := s.reported()
		bindings, memory := placement.Plan(s.memory, placement.Input{
			Position: world.Position, Queue: world.Queue, Cluster: world.Cluster,
			Settings: world.Settings, Telemetry: view,
		})
		s.memory = memory
		if len(bindings) > 0 {
			if err := s.bind(ctx, world.Position, bindings); err != nil {
				return err
			}
			continue
		}
		select {
		case <-next:
		case <-reported:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// reported returns what workers said of their use, and a channel closed when that
// changes, which may give back room.
func (s *Scheduler) reported() (*telemetry.View, <-chan struct{}) {
	if s.telemetry == nil {
		return nil, nil
	}
	return s.telemetry.Wait()
}

// bind records the bindings. One that is refused was overtaken, by a
// cancellation most likely: its worker has the room after all, and a World that
// includes why is waited for. If the log can't be written, or says nothing that
// the World it was planned on did not, the scheduler rests and then looks at
// everything.
func (s *Scheduler) bind(ctx context.Context, planned eventstore.Position, bindings []placement.Binding) error {
	position, errs := s.commands.BindJobs(ctx, commands.Caller{Actor: "system", Source: "scheduler"}, asCommands(bindings))
	s.seen = max(s.seen, position)
	var returned []id.ID
	var broken error
	for i, err := range errs {
		switch {
		case err == nil:
		case commands.Overtaken(err):
			s.log.Debug("a binding was overtaken", "job", bindings[i].Job.String(), "error", err)
			returned = append(returned, bindings[i].Worker)
		default:
			broken = err
		}
	}
	s.memory = s.memory.Returned(returned...)
	if position <= planned && broken == nil {
		broken = errNothingNew
	}
	if broken == nil {
		s.pause.Succeeded()
		return ctx.Err()
	}
	s.memory = placement.Memory{}
	rested, err := s.pause.Failed(ctx)
	if err == nil {
		s.log.Warn("cannot record bindings", "error", broken, "rested", rested)
	}
	return err
}

func asCommands(bindings []placement.Binding) []commands.Binding {
	out := make([]commands.Binding, len(bindings))
	for i, b := range bindings {
		out[i] = commands.Binding{Job: b.Job, Attempt: b.Attempt, Worker: b.Worker, Decision: b.Decision}
	}
	return out
}
