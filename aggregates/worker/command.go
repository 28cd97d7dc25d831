package worker

import (
	"time"

	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
)

// Command is what can be asked of a worker.
type Command interface {
	// decide returns the events the command yields; none if what it asks for is so
	// already.
	decide(s *State) (events, error)
}

// Request asks a provider for a worker.
type Request struct {
	Provider    string
	Pool        string
	TokenID     string        // of the token it will come with
	LaunchLimit time.Duration // it must have registered by then; 0 is none
}

// Launch says that the provider has started it. Its agent may have registered
// before the provider answered.
type Launch struct {
	Handle string // the provider's own name for it
}

// FailLaunch says that the provider can't start it. That is its end.
type FailLaunch struct {
	Cause  string // a code, such as timeout
	Detail string // words of the provider, cut to MaxReason bytes
}

// Register takes the worker's key, once. Provider and Pool of a worker that was
// requested are those of the request.
type Register struct {
	Facts     *eventv1.WorkerFacts
	PublicKey []byte // Ed25519
	TokenID   string
	Provider  string
	Pool      string
	Granted   []*eventv1.Pair // labels of the facts that the token gave it, sorted
}

// Connect begins a session. One of another instance supersedes the session that is
// live; one of the same instance replaces it silently.
type Connect struct {
	// Epoch is that of the new session, one more than State.Epoch. 0 takes the next;
	// such a command is a new session each time it is given.
	Epoch    uint64
	Instance []byte // of the agent's process
	Facts    *eventv1.WorkerFacts
}

// Disconnect ends a session; one that is not the newest any more yields nothing.
type Disconnect struct {
	Epoch  uint64
	Reason string
}

// Cordon lets the worker take no new job.
type Cordon struct{ Reason string }

// Uncordon lets a cordoned worker take jobs again.
type Uncordon struct{}

// Drain lets the worker take no new job and end when its jobs have ended, or when
// Deadline is over.
type Drain struct {
	Deadline time.Duration // from now; 0 is none
	Reason   string
}

// Lose says that the worker was silent for longer than is tolerated.
type Lose struct {
	Epoch  uint64 // of the session that was silent; if another has begun it yields nothing. 0 is any
	Silent time.Duration
}

// Terminate ends the worker for good: its key is not accepted any more.
type Terminate struct{ Reason string }
