// Package simulate plays a cluster behind the commands: agents without machines,
// which register, take what is bound to them, let it start, and report its end.
// Log, World, scheduler and commands are the real ones. So it measures what the
// system does apart from running programs, and shows what it would do with a
// cluster that isn't there.
package simulate

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/resource"
	"github.com/hodei-jobs/hodei/aggregates/worker"
	"github.com/hodei-jobs/hodei/commands"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections"
	"github.com/hodei-jobs/hodei/projections/cluster"
)

// Config says what agents there are.
type Config struct {
	Commands *commands.Service   // required
	Runner   *projections.Runner // required; it must run
	Workers  int                 // how many
	Capacity resource.Amount     // of each

	// Started is told when the permission to start a job is durable. It is called
	// from many goroutines. Nil tells nobody.
	Started func(job id.ID)
}

// Agents are simulated workers. An attempt ends as soon as it has started.
type Agents struct {
	config  Config
	workers []id.ID
}

// NewAgents returns agents that have not joined yet.
func NewAgents(c Config) *Agents { return &Agents{config: c} }

// Join registers and connects the workers.
func (a *Agents) Join(ctx context.Context) error {
	for n := range a.config.Workers {
		i, err := a.join(ctx, fmt.Sprintf("simulated-%d", n+1))
		if err != nil {
			return err
		}
		a.workers = append(a.workers, i)
	}
	return nil
}

func (a *Agents) join(ctx context.Context, name string) (id.ID, error) {
	c := a.config.Commands
	i, err := c.NewID()
	if err != nil {
		return 0, err
	}
	token, err := c.NewID()
	if err != nil {
		return 0, err
	}
	key := make([]byte, worker.KeyBytes)
	if _, err := io.ReadFull(rand.Reader, key); err != nil {
		return 0, err
	}
	facts := &eventv1.WorkerFacts{Name: name, Os: "linux", Arch: "amd64", Version: "simulated", Capacity: a.config.Capacity.Event()}
	who := caller(i)
	if _, err := c.RegisterWorker(ctx, who, i, worker.Register{Facts: facts, PublicKey: key, TokenID: token.String()}, token.String()); err != nil {
		return 0, err
	}
	_, err = c.ConnectWorker(ctx, who, i, worker.Connect{Instance: key[:16]})
	return i, err
}

func caller(worker id.ID) commands.Caller {
	return commands.Caller{Actor: worker.String(), Source: "gateway"}
}

// Run plays the agents until ctx ends. It returns nil then, else why a command
// was not taken.
func (a *Agents) Run(ctx context.Context) error {
	group, run := errgroup.WithContext(ctx)
	for _, w := range a.workers {
		group.Go(func() error { return a.serve(run, w) })
	}
	if err := group.Wait(); ctx.Err() == nil {
		return err
	}
	return nil
}

// serve plays one agent: it takes every attempt that is bound to it. There are
// never more than its capacity allows.
func (a *Agents) serve(ctx context.Context, w id.ID) error {
	attempts, run := errgroup.WithContext(ctx)
	var seen eventstore.Position
	for {
		world, next := a.config.Runner.Wait()
		for attempt := range world.Cluster.Attempts(w, seen) {
			seen = attempt.BoundAt
			attempts.Go(func() error { return a.live(run, w, attempt) })
		}
		select {
		case <-next:
		case <-run.Done():
			return attempts.Wait()
		}
	}
}

// live plays one attempt. Being overtaken by a cancellation is part of life.
func (a *Agents) live(ctx context.Context, w id.ID, attempt cluster.Attempt) error {
	c, who := a.config.Commands, caller(w)
	err := c.StartJob(ctx, who, attempt.Job, job.Start{Attempt: attempt.Attempt, Worker: w.String()})
	if err != nil {
		return unlessRefused(err)
	}
	if a.config.Started != nil {
		a.config.Started(attempt.Job)
	}
	exit := int32(0)
	return unlessRefused(c.FinishJob(ctx, who, attempt.Job, job.Finish{
		Attempt: attempt.Attempt, Worker: w.String(), Outcome: job.OutcomeSucceeded, Ending: &eventv1.Ending{ExitCode: &exit},
	}))
}

func unlessRefused(err error) error {
	if err != nil && fault.KindOf(err) == fault.Refused {
		return nil
	}
	return err
}
