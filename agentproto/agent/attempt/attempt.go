// Package attempt runs one attempt of a job: its steps in order, in one
// workspace, each a process with its own exit code and time limit.
//
//	accepted ──Start──▶ running ──▶ ended ──▶ (its result is acknowledged) dropped
//	    └────────┴────────Cancel──────▲
//	any ──Fence──▶ ended without a word
//
// Its output goes to its outbox box. The result exists only once all output is
// there, so that the end of a log is known when an attempt has ended.
package attempt

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/agent/mask"
	"github.com/hodei-jobs/hodei/agentproto/agent/mask/socket"
	"github.com/hodei-jobs/hodei/agentproto/agent/outbox"
	"github.com/hodei-jobs/hodei/agentproto/agent/process"
	"github.com/hodei-jobs/hodei/agentproto/agent/sample"
	"github.com/hodei-jobs/hodei/agentproto/agent/workspace"
	agentprotov1 "github.com/hodei-jobs/hodei/agentproto/v1"
)

// Parts are what all attempts of an agent share.
type Parts struct {
	Host       *process.Host
	Outbox     *outbox.Outbox
	Workspaces *workspace.Pool
	Sampler    *sample.Sampler
	Sockets    *socket.Root // where steps add secrets
	Added      *mask.Budget // what they may add
	Program    string       // path of this program, which is what they do it with
	Inherited  []string     // environment of every job; see Inherited

	// Changed is called when an attempt has something new to tell. It must not
	// block nor call the attempt.
	Changed func()
}

// Stop says how and why an attempt is ended before its time.
type Stop struct {
	Signal syscall.Signal // the first word; KILL follows
	Grace  time.Duration  // after which it does
	Reason Reason
	Detail string // words for the job's page
}

// Reason is why an attempt was stopped.
type Reason uint8

const (
	notStopped Reason = iota
	Cancelled         // somebody asked for it
	TimedOut          // its own time limit, or that of a step
	ByWorker          // the worker goes away, or found no server for too long
)

// Attempt is one attempt that this agent has. It is safe for concurrent use.
type Attempt struct {
	parts  Parts
	assign *agentprotov1.Assign // without its secrets
	key    outbox.Key
	box    *outbox.Box
	series *outbox.Box // of what it uses, second by second

	// Owned by run once it has begun; forgotten at its end.
	secrets []*agentprotov1.Secret
	masks   masks
	socket  string // where steps add secrets; its path

	start chan struct{} // closed by Start
	ended chan struct{} // closed when run returns

	mu       sync.Mutex
	started  bool
	fenced   bool
	disowned bool             // ended, and only its result is left to tell
	stop     Stop             // the first that was asked for
	stopping chan struct{}    // closed with the first stop
	current  *process.Process // that of the step that runs
	updates  []*agentprotov1.StepUpdate
	result   *agentprotov1.Result
}

// New makes an attempt of an assignment, or says why this agent can't run it. It
// takes the secrets out of the assignment and has them until it has ended.
// Nothing of it runs before Start.
func New(parts Parts, assign *agentprotov1.Assign) (*Attempt, error) {
	if err := check(assign); err != nil {
		return nil, err
	}
	secrets := assign.GetSecrets()
	assign.Secrets = nil
	key := outbox.Key{Job: assign.GetRef().GetJob(), Attempt: assign.GetRef().GetAttempt()}
	box := parts.Outbox.Open(key)
	if limit := assign.GetLogLimitBytes(); limit > 0 {
		box.Limit(limit, func(lost uint64) []byte { return beyondLimit(limit, lost) })
	}
	return &Attempt{
		parts:    parts,
		assign:   assign,
		secrets:  secrets,
		key:      key,
		box:      box,
		series:   parts.Outbox.Open(key),
		start:    make(chan struct{}),
		ended:    make(chan struct{}),
		stopping: make(chan struct{}),
	}, nil
}

// Key names the attempt.
func (a *Attempt) Key() outbox.Key { return a.key }

// Ref names it in messages.
func (a *Attempt) Ref() *agentprotov1.AttemptRef { return a.assign.GetRef() }

// Resources is what the scheduler reserved for it.
func (a *Attempt) Resources() *agentprotov1.Resources { return a.assign.GetResources() }

// Box holds its output.
func (a *Attempt) Box() *outbox.Box { return a.box }

// Series holds what it uses, second by second.
func (a *Attempt) Series() *outbox.Box { return a.series }

// Drop gives up what of it the server has not taken, or has taken.
func (a *Attempt) Drop() {
	a.box.Drop()
	a.series.Drop()
}

// Run is the attempt's life. It waits for Start or a stop, and returns when
// nothing of it is left but its result. The end of ctx is not a stop: it only
// spares waiting for clean-up that the next agent does too.
func (a *Attempt) Run(ctx context.Context) {
	defer close(a.ended)
	select {
	case <-a.start:
	case <-a.stopping:
	}
	a.run(ctx)
	a.parts.Changed()
}

// Start lets it run: the server has recorded that it does. Again is nothing.
func (a *Attempt) Start() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.started {
		a.started = true
		close(a.start)
	}
}

// Cancel stops it: the signal now, KILL after the grace. It then ends with a
// result like any other. A second one may shorten the grace, but not change why,
// nor is the job signalled again: a server may say it after each reconnect.
func (a *Attempt) Cancel(stop Stop) {
	a.mu.Lock()
	current := a.halt(stop)
	a.mu.Unlock()
	if current != nil {
		halt(current, stop)
	}
}

// Fence stops it without a word: the server has given it up. Its output, steps
// and result are dropped.
func (a *Attempt) Fence(stop Stop) {
	a.mu.Lock()
	a.fenced = true
	current := a.halt(stop)
	a.mu.Unlock()
	a.Drop()
	if current != nil {
		halt(current, stop)
	}
}

// Disown drops the output and the steps of an attempt that has ended, and reports
// whether it has. Its result is still told: the server refuses it and records that.
func (a *Attempt) Disown() bool {
	a.mu.Lock()
	a.disowned = a.result != nil && !a.fenced
	disowned := a.disowned
	a.mu.Unlock()
	if disowned {
		a.Drop()
	}
	return disowned
}

// halt notes the stop and gives the process that must hear of it; a.mu is held.
func (a *Attempt) halt(stop Stop) *process.Process {
	if a.stop.Reason == notStopped {
		a.stop = stop
		close(a.stopping)
	}
	return a.current
}

func halt(p *process.Process, stop Stop) { p.Stop(stop.Signal, stop.Grace) }

// Phase is where it stands.
func (a *Attempt) Phase() agentprotov1.Phase {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.result != nil:
		return agentprotov1.Phase_PHASE_ENDED
	case a.started:
		return agentprotov1.Phase_PHASE_RUNNING
	}
	return agentprotov1.Phase_PHASE_ACCEPTED
}

// Updates are what became of its steps, from the given one on; none once it is
// fenced or disowned. The list only grows, and its messages never change.
func (a *Attempt) Updates(from int) []*agentprotov1.StepUpdate {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fenced || a.disowned || from >= len(a.updates) {
		return nil
	}
	return a.updates[from:len(a.updates):len(a.updates)]
}

// Result is how it ended, or nil: it hasn't, or it is fenced.
func (a *Attempt) Result() *agentprotov1.Result {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fenced {
		return nil
	}
	return a.result
}

// Fenced reports whether the server has given it up.
func (a *Attempt) Fenced() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.fenced
}

// Disowned reports whether only its result is left to tell.
func (a *Attempt) Disowned() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.disowned
}

// Ended is closed when nothing of it runs any more.
func (a *Attempt) Ended() <-chan struct{} { return a.ended }

// beyondLimit is what a log says where it begins to be cut, and at its end.
func beyondLimit(limit, lost uint64) []byte {
	if lost > 0 {
		return fmt.Appendf(nil, "hodei: %d bytes of output were not kept\n", lost)
	}
	size, unit := limit, "bytes"
	for _, larger := range []string{"KiB", "MiB", "GiB"} {
		if size%1024 != 0 {
			break
		}
		size, unit = size/1024, larger
	}
	return fmt.Appendf(nil, "hodei: the log's limit of %d %s is reached; output that follows is not kept, the job goes on\n", size, unit)
}
