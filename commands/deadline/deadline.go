// Package deadline does what is due: it declares workers lost that were silent
// for longer than the reconnect tolerance, and launches failed whose workers have
// not registered in time, takes the attempts of workers that
// are gone, ends attempts whose workers don't report their time limit, lets jobs
// wait again whose retry's delay is over, and shreds the secrets of jobs that
// ended long enough ago.
//
// It is level-triggered: on every new World and at the next due moment it
// compares what is with what should be and gives commands. What is due comes
// from ordered trees of the World, never from a scan of all jobs. A lease counts
// only time in which this controller ran: at its start each begins anew.
package deadline

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/worker"
	"github.com/hodei-jobs/hodei/commands"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections"
)

const (
	// overdue is how long after its time limit and grace an attempt's worker may
	// still report it.
	overdue = 10 * time.Second

	maxBatch = 256 // of jobs in one command

	// notUp is why the launch of a worker failed that was not heard of.
	notUp = "its agent has not registered in time; the agent's own log says more"
)

var errNothingNew = errors.New("the log refuses what its World asks for")

// Worlds is where Worlds come from; a *projections.Runner is it.
type Worlds interface {
	// Wait returns the newest World and a channel closed at the next.
	Wait() (*projections.World, <-chan struct{})
	// WaitFor returns when a World that includes the position is published.
	WaitFor(context.Context, eventstore.Position) error
}

// Heard tells when workers were last heard; a *telemetry.Table is it.
type Heard interface {
	// LastHeard returns when a worker was last heard, in ns since 1970.
	LastHeard(worker id.ID) (at int64, ok bool)
}

// Commands is what the controller may do; a *commands.Service is it.
type Commands interface {
	LoseWorker(context.Context, commands.Caller, id.ID, worker.Lose) (eventstore.Position, error)
	FailLaunch(context.Context, commands.Caller, id.ID, worker.FailLaunch) (eventstore.Position, error)
	LoseJobs(context.Context, commands.Caller, []commands.Loss) (eventstore.Position, []error)
	RequeueJobs(context.Context, commands.Caller, []commands.Requeue) (eventstore.Position, []error)
	ExpireJobs(context.Context, commands.Caller, []commands.Expiry) (eventstore.Position, []error)
	ShredSecrets(context.Context, commands.Caller, []id.ID) (eventstore.Position, []error)
}

// Config says what the controller works with.
type Config struct {
	Runner    Worlds           // required
	Commands  Commands         // required
	Telemetry Heard            // nil: workers are heard only through their events
	Clock     func() time.Time // the log's time, and that of Telemetry; nil is time.Now
	Logger    *slog.Logger     // nil is slog.Default
}

// Controller does what is due.
type Controller struct {
	worlds   Worlds
	commands Commands
	heard    Heard
	clock    func() time.Time
	log      *slog.Logger

	// Of Run.
	watch watch
	seen  eventstore.Position // the next look's World must include this
	pause commands.Pause
}

// New returns a controller that does nothing until it is run.
func New(c Config) *Controller {
	d := &Controller{worlds: c.Runner, commands: c.Commands, heard: c.Telemetry, clock: c.Clock, log: c.Logger}
	if d.heard == nil {
		d.heard = nobody{}
	}
	if d.clock == nil {
		d.clock = time.Now
	}
	if d.log == nil {
		d.log = slog.Default()
	}
	return d
}

type nobody struct{}

func (nobody) LastHeard(id.ID) (int64, bool) { return 0, false }

// Run does what is due until ctx ends, and returns nil then, else why Worlds
// can't be had any more. Leases begin when it is called, so it is called when
// the server is ready. It may be run by one goroutine at a time.
func (d *Controller) Run(ctx context.Context) error {
	err := d.run(ctx)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (d *Controller) run(ctx context.Context) error {
	d.watch = watch{since: d.clock().UnixNano()}
	for {
		if err := d.worlds.WaitFor(ctx, d.seen); err != nil {
			return err
		}
		world, changed := d.worlds.Wait()
		now := max(d.clock().UnixNano(), world.Time)
		work := d.watch.look(world, d.heard, now)
		if !work.none() {
			if err := d.act(ctx, world.Position, work); err != nil {
				return err
			}
			continue
		}
		if err := await(ctx, changed, work.next, now); err != nil {
			return err
		}
	}
}

// await returns at the next World or when something is due.
func await(ctx context.Context, changed <-chan struct{}, due, now int64) error {
	var alarm <-chan time.Time
	if due != never {
		timer := time.NewTimer(time.Duration(max(due-now, 1)))
		defer timer.Stop()
		alarm = timer.C
	}
	select {
	case <-changed:
	case <-alarm:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

var caller = commands.Caller{Actor: "system", Source: "deadline"}

// act gives the commands for what is due. One that is refused was overtaken: a
// World that includes why is waited for. If the log can't be written, or says
// nothing that the World looked at did not, the controller rests.
func (d *Controller) act(ctx context.Context, looked eventstore.Position, w work) error {
	var broken error
	d.seen = looked
	note := func(position eventstore.Position, errs ...error) {
		d.seen = max(d.seen, position)
		for _, err := range errs {
			switch {
			case err == nil:
			case commands.Overtaken(err):
				d.log.Debug("what was due was overtaken", "error", err)
			default:
				broken = err
			}
		}
	}
	d.give(ctx, w, note)
	if d.seen == looked && broken == nil {
		broken = errNothingNew
	}
	if broken == nil {
		d.pause.Succeeded()
		return ctx.Err()
	}
	rested, err := d.pause.Failed(ctx)
	if err == nil {
		d.log.Warn("cannot record what is due", "error", broken, "rested", rested)
	}
	return err
}

func (d *Controller) give(ctx context.Context, w work, note func(eventstore.Position, ...error)) {
	for _, s := range w.silent {
		position, err := d.commands.LoseWorker(ctx, caller, s.worker, s.lose)
		note(position, err)
	}
	for _, r := range w.late {
		position, err := d.commands.FailLaunch(ctx, caller, r.ID, worker.FailLaunch{Cause: "timeout", Detail: notUp})
		note(position, err)
	}
	if len(w.losses) > 0 {
		position, errs := d.commands.LoseJobs(ctx, caller, w.losses)
		note(position, errs...)
	}
	if len(w.expired) > 0 {
		position, errs := d.commands.ExpireJobs(ctx, caller, w.expired)
		note(position, errs...)
	}
	if len(w.due) > 0 {
		position, errs := d.commands.RequeueJobs(ctx, caller, w.due)
		note(position, errs...)
	}
	if len(w.shred) > 0 {
		position, errs := d.commands.ShredSecrets(ctx, caller, w.shred)
		note(position, errs...)
	}
}
