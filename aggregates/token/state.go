package token

import (
	"bytes"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
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

// UsedBy reports whether it is a worker token in the hands of the worker with this
// key. Who has given Use asks this afterwards: that another key was refused is an
// event too.
func (s State) UsedBy(publicKey []byte) bool {
	return s.Status == Used && len(publicKey) > 0 && bytes.Equal(s.PublicKey, publicKey)
}

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
