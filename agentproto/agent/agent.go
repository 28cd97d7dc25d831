// Package agent is a worker's side of the Hodei Worker Protocol.
//
//	        ┌───────── Agent: attempts, draining ─────────┐
//	server ─┤ session: receiver ─▶ attempts ─▶ processes  │
//	        │          sender  ◀─ outbox ◀──── output     │
//	        └──────── watchdog, sampler, workspaces ──────┘
//
// The agent dials out, and one stream carries everything. A session ends for
// many reasons and another follows; attempts don't notice. What is told of an
// attempt is its state, not a queue of messages: each session tells it from the
// beginning, and all messages are idempotent.
//
// Every goroutine has one owner: Run waits for the sampler, the workspaces and
// the attempts; a session for its receiver.
package agent

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/agent/attempt"
	"github.com/hodei-jobs/hodei/agentproto/agent/cgroup"
	"github.com/hodei-jobs/hodei/agentproto/agent/credential"
	"github.com/hodei-jobs/hodei/agentproto/agent/link"
	"github.com/hodei-jobs/hodei/agentproto/agent/mask/socket"
	"github.com/hodei-jobs/hodei/agentproto/agent/outbox"
	"github.com/hodei-jobs/hodei/agentproto/agent/process"
	"github.com/hodei-jobs/hodei/agentproto/agent/sample"
	"github.com/hodei-jobs/hodei/agentproto/agent/workspace"
	agentprotov1 "github.com/hodei-jobs/hodei/agentproto/v1"
)

const (
	protocolVersion = 1

	// Until a server names others.
	defaultSuspect     = 12 * time.Second
	defaultOrphanAfter = time.Hour

	// defaultStopLimit is how long a stopping agent waits, once its jobs have
	// ended, until the server has their results.
	defaultStopLimit = 5 * time.Second
	// shutdownGrace bounds the grace that jobs get when the agent is told to stop.
	shutdownGrace = 10 * time.Second
)

// Config is all that an agent is told.
type Config struct {
	Server   string // URL, such as grpcs://host:9090
	Token    string // registers the agent; empty once it is registered
	StateDir string // its own; see package credential

	Facts       Facts
	Environment []string // what jobs inherit, as NAME=value
	Program     string   // absolute path of the agent's program, which jobs run for "mask"
	Logger      *slog.Logger

	// FirstSuspect is the silence after which a session is given up until the
	// server has named another; 0 is 12 s.
	FirstSuspect time.Duration
	// StopLimit is how long a stopping agent waits for the server to take the
	// results of its jobs; 0 is 5 s.
	StopLimit time.Duration
}

// ErrSuperseded ends an agent whose key another one uses.
var ErrSuperseded = errors.New("another agent with the same key has taken this one's place")

// RefusedError ends an agent that the server will never take.
type RefusedError struct{ Code, Reason string }

func (e *RefusedError) Error() string {
	return fmt.Sprintf("the server refuses this agent: %s (%s)", e.Reason, e.Code)
}

// Agent is one agent. Make it with Open.
type Agent struct {
	config   Config
	address  string
	pin      link.Pin
	instance [16]byte // of this process

	state      *credential.State
	machine    *sample.Machine // used by the sender alone
	sampler    *sample.Sampler
	outbox     *outbox.Outbox
	workspaces *workspace.Pool
	sockets    *socket.Root
	parts      attempt.Parts

	changed chan struct{} // holds one: there may be something to send

	mu          sync.Mutex
	attempts    []*attempt.Attempt // in the order they came
	draining    bool               // takes no more
	orphanAfter time.Duration
	tolerance   time.Duration // the last server's: silence after which it may give jobs up; 0 is not known yet
	orphaned    *time.Timer   // runs while there is no session

	work    context.Context // of Run: ends when the agent does
	running sync.WaitGroup  // attempts
}

// Open checks the configuration and takes the state folder. Errors are for
// people; credential.ErrInUse is among them.
func Open(config Config, host *process.Host) (*Agent, error) {
	a := &Agent{
		config:      config,
		outbox:      outbox.New(),
		sampler:     sample.New(host),
		changed:     make(chan struct{}, 1),
		orphanAfter: defaultOrphanAfter,
	}
	a.config.FirstSuspect = cmp.Or(config.FirstSuspect, defaultSuspect)
	a.config.StopLimit = cmp.Or(config.StopLimit, defaultStopLimit)
	rand.Read(a.instance[:])
	var err error
	if a.address, err = link.Address(config.Server); err != nil {
		return nil, err
	}
	if a.state, err = credential.Open(config.StateDir); err != nil {
		return nil, err
	}
	if err := a.open(host); err != nil {
		a.state.Close()
		return nil, err
	}
	return a, nil
}

func (a *Agent) open(host *process.Host) (err error) {
	if err := a.choosePin(); err != nil {
		return err
	}
	work := filepath.Join(a.config.StateDir, "work")
	a.killAbandoned(work)
	if a.workspaces, err = workspace.Open(work); err != nil {
		return err
	}
	a.workspaces.Report = func(err error) { a.config.Logger.Warn("workspaces", "cause", err) }
	if a.sockets, err = socket.OpenRoot(a.config.StateDir); err != nil {
		return err
	}
	a.machine = sample.NewMachine(cgroup.Self(), a.config.StateDir)
	a.config.Facts = a.config.Facts.complete(a.machine)
	a.parts = a.attemptParts(host)
	return nil
}

// choosePin takes the token's pin, else that of the last server. A token for
// another server makes this agent a stranger there.
func (a *Agent) choosePin() (err error) {
	identity := a.state.Identity()
	if a.config.Token == "" {
		if identity.WorkerID == "" {
			return errors.New("this agent is not registered yet, so it needs a worker token")
		}
		a.pin, err = link.ParsePin(identity.Pin)
		return err
	}
	if a.pin, err = link.PinOf(a.config.Token); err != nil {
		return err
	}
	if identity.Pin != a.pin.String() {
		return a.state.Keep(credential.Identity{Pin: a.pin.String()})
	}
	return nil
}

// Run is the agent's life. It returns nil when it was drained, or when ctx has
// ended and its jobs with it; else why it can't go on: a *RefusedError or
// ErrSuperseded. Nothing of it runs any more then.
func (a *Agent) Run(ctx context.Context) error {
	defer a.state.Close()
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	a.work = work
	var helpers sync.WaitGroup
	helpers.Go(func() { a.sampler.Run(work) })
	helpers.Go(func() { a.workspaces.Run(work) })
	helpers.Go(func() { a.sockets.Run(work) })
	helpers.Go(func() { a.shutdown(ctx, work, cancel) })
	a.setOrphaned(true)
	err := a.connect(work)
	a.setOrphaned(false)
	a.abandon()
	a.running.Wait()
	cancel()
	helpers.Wait()
	return err
}

// shutdown waits for the end of ctx; then jobs are stopped with grace, and when
// they have ended the server gets some time to take their results.
func (a *Agent) shutdown(ctx, work context.Context, cancel context.CancelFunc) {
	select {
	case <-ctx.Done():
	case <-work.Done():
		return
	}
	a.config.Logger.Info("stopping: jobs get some time to end")
	a.drain()
	a.stopAll(shutdownGrace, "the worker was stopped")
	// Output that nobody takes can hold up the end of a job beyond its grace.
	last := time.NewTimer(shutdownGrace + 2*process.DrainLimit)
	defer last.Stop()
	for _, at := range a.held() {
		select {
		case <-at.Ended():
		case <-last.C:
			cancel()
		case <-work.Done():
			return
		}
	}
	results := time.NewTimer(a.config.StopLimit)
	defer results.Stop()
	select {
	case <-results.C:
		cancel()
	case <-work.Done():
	}
}

// connect holds one session after the other until there is no more to do.
func (a *Agent) connect(work context.Context) error {
	var wait backoff
	var log quiet
	for !a.drained() && work.Err() == nil {
		live, err := a.session(work)
		if live {
			wait = backoff{}
		}
		pause := wait.next()
		var refused *refusal
		switch {
		case a.drained() || work.Err() != nil:
			return nil
		case errors.Is(err, ErrSuperseded):
			return err
		case errors.As(err, &refused) && refused.final:
			if !a.registerAnew(refused) {
				return &RefusedError{Code: refused.code, Reason: refused.reason}
			}
			pause = 0
		case errors.As(err, &refused):
			pause += refused.after
		}
		pause = min(pause, a.longestPause())
		log.warn(a.config.Logger, "no session with the server", err, "server", a.address, "again_in", pause.Round(time.Millisecond))
		a.sleep(work, pause)
	}
	return nil
}

// sleep waits, or until there is no more to do.
func (a *Agent) sleep(work context.Context, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return
		case <-work.Done():
			return
		case <-a.changed:
			if a.drained() {
				return
			}
		}
	}
}

// registerAnew forgets a worker id that the server doesn't know (any more), if
// there is a token to get another with.
func (a *Agent) registerAnew(r *refusal) bool {
	forgotten := r.code == "unknown_worker" || r.code == "terminated"
	if !forgotten || a.config.Token == "" || a.state.Identity().WorkerID == "" {
		return false
	}
	a.config.Logger.Warn("registering anew", "cause", r.reason)
	return a.state.Keep(credential.Identity{Pin: a.pin.String()}) == nil
}

// change wakes whoever sends.
func (a *Agent) change() {
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

func ref(key outbox.Key) *agentprotov1.AttemptRef {
	return &agentprotov1.AttemptRef{Job: key.Job, Attempt: key.Attempt}
}
