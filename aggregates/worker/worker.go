// Package worker is the life of one worker: a machine, or part of one, with an
// agent that executes jobs. A provider may have been asked for it, or it came by
// itself with a token; either way it registers its key once and connects as often
// as it must. Each session has an epoch, a number that only grows and fences
// what older sessions still say.
//
//	Request              Launch
//	   │                    │
//	   ▼                    ▼                Register                Connect
//	requested ─────────▶ launched ──────────────────▶ disconnected ◀─────────▶ connected
//	   │ FailLaunch         │ FailLaunch    (also from none     │   Disconnect      │
//	   ▼                    ▼                and requested)     │ Lose              │ Lose
//	terminated ◀── Terminate ── any                             ▼                   │
//	                                                   lost ◀───────────────────────┘
//	                                                     └──▶ connected (Connect)
//
// Beside its status it can be cordoned (it takes no new job) and draining (the
// same, and it ends when its jobs have; that can't be undone).
//
// State, Evolve and Decide are pure. A decision is idempotent: what has been
// decided once yields nothing the second time.
package worker

import "fmt"

// Bounds of what is recorded of a worker.
const (
	MaxName   = 128  // bytes of names: its own, its provider's, its pool's, of os, arch and version
	MaxReason = 1024 // bytes of a reason or of a provider's words
	KeyBytes  = 32   // an Ed25519 public key
	maxCode   = 32   // bytes of a cause
	maxID     = 64   // bytes of an instance
)

// Status is where in its life a worker is.
type Status uint8

const (
	// None: there is no such worker.
	None Status = iota
	// Requested: a provider was asked for it.
	Requested
	// Launched: its provider has started it, it has not registered yet.
	Launched
	// Connected: a session of it is live.
	Connected
	// Disconnected: it is registered and has no session. Its jobs go on.
	Disconnected
	// Lost: it was silent for too long; its attempts are given up. It may come back.
	Lost
	// Terminated: it has ended for good.
	Terminated
)

// Statuses are all statuses in order.
var Statuses = []Status{None, Requested, Launched, Connected, Disconnected, Lost, Terminated}

var statusNames = [...]string{
	None: "none", Requested: "requested", Launched: "launched", Connected: "connected",
	Disconnected: "disconnected", Lost: "lost", Terminated: "terminated",
}

// String returns the status as it is written everywhere.
func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return fmt.Sprintf("status_%d", uint8(s))
}
