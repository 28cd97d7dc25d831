package token

import (
	"bytes"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hodei-jobs/hodei/aggregates/event"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/fault"
)

// State is what its events make of a token. The zero value is a token of which
// nothing was recorded. Copies are independent of each other.
type State struct {
	Status Status

	Hash      []byte // of an API token
	Hint      string
	Name      string
	Namespace string
	Role      Role
	Lifetime  time.Duration // from its creation; 0 is without end

	PublicKey []byte // of the worker that used a worker token
	WorkerID  string

	refused [][]byte // keys that came with a used worker token; never changed in place
}

// Admits returns why a worker may not register by this token, or nil if the token
// is in its hands. Who has given Use asks it of the state afterwards: that another
// key came is recorded, so it is no fault of the command.
func (s State) Admits(c Use) error {
	switch {
	case s.Status != Used:
		return fault.Refuse("use", "token", "it is %s", s.Status)
	case !bytes.Equal(s.PublicKey, c.PublicKey):
		return fault.Refuse("use", "token", "%s", usedBefore)
	case s.WorkerID != c.WorkerID:
		return fault.Refuse("use", "token", "it was used for worker %s, not for %s", s.WorkerID, event.Cut(c.WorkerID, MaxName))
	}
	return nil
}

const usedBefore = "it was used with another key before"

// Evolve returns the state after an event. It takes any event in any state. A
// role this version doesn't know is Nobody.
func Evolve(s State, m proto.Message) State {
	switch e := m.(type) {
	case *eventv1.TokenCreated:
		s.Status = Active
		s.Hash, s.Hint, s.Name, s.Namespace = e.GetHash(), e.GetHint(), e.GetName(), e.GetNamespace()
		s.Role, _ = ParseRole(e.GetRole())
		s.Lifetime = time.Duration(e.GetLifetimeNs())
	case *eventv1.WorkerTokenUsed:
		s.Status, s.PublicKey, s.WorkerID = Used, e.GetPublicKey(), e.GetWorkerId()
	case *eventv1.WorkerTokenRefused:
		s.refused = append(slices.Clip(s.refused), e.GetPublicKey())
	case *eventv1.TokenRevoked:
		s.Status = Revoked
	}
	return s
}
