package worker

import (
	"time"

	"google.golang.org/protobuf/proto"

	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
)

// State is what its events make of a worker. The zero value is a worker that does
// not exist.
type State struct {
	Status   Status
	Cordoned bool
	Draining bool
	Deadline time.Duration // of the drain, from its beginning; 0 is none

	Epoch     uint64 // of its newest session; 0 before the first
	Instance  []byte // of the agent's process that had it
	PublicKey []byte // nil until it registered
	Facts     *eventv1.WorkerFacts

	Provider, Pool string
	TokenID        string
	Handle         string // the provider's own name for it
}

// Registered reports whether it has proved its key.
func (s State) Registered() bool { return s.PublicKey != nil }

// Evolve returns the state after an event. It takes any event in any state.
func Evolve(s State, m proto.Message) State {
	switch e := m.(type) {
	case *eventv1.WorkerRequested:
		s.Status, s.Provider, s.Pool, s.TokenID = Requested, e.GetProvider(), e.GetPool(), e.GetTokenId()
	case *eventv1.WorkerLaunched:
		s.Handle = e.GetHandle()
		if s.Status == Requested {
			s.Status = Launched
		}
	case *eventv1.WorkerLaunchFailed, *eventv1.WorkerTerminated:
		s.Status = Terminated
	case *eventv1.WorkerRegistered:
		s.Status, s.Facts, s.PublicKey = Disconnected, e.GetFacts(), e.GetPublicKey()
		s.Provider, s.Pool, s.TokenID = e.GetProvider(), e.GetPool(), e.GetTokenId()
	case *eventv1.WorkerConnected:
		s.Status, s.Epoch, s.Instance = Connected, e.GetEpoch(), e.GetInstance()
		if e.GetFacts() != nil {
			s.Facts = e.GetFacts()
		}
	case *eventv1.WorkerDisconnected:
		s.Status = Disconnected
	case *eventv1.WorkerLost:
		s.Status = Lost
	case *eventv1.WorkerCordoned:
		s.Cordoned = true
	case *eventv1.WorkerUncordoned:
		s.Cordoned = false
	case *eventv1.WorkerDraining:
		s.Draining, s.Deadline = true, time.Duration(e.GetDeadlineNs())
	}
	return s
}
