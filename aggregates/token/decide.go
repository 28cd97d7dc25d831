package token

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hodei-jobs/hodei/aggregates/event"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/spec"
)

// Command is what can be asked of a token.
type Command interface {
	// decide returns the events the command yields; none if what it asks for is so
	// already.
	decide(s *State) (events, error)
}

// Create lets an API token come into being.
type Create struct {
	Hash      []byte // SHA-256 of the token
	Hint      string // its last 4 characters
	Name      string
	Namespace string // AllNamespaces is all
	Role      Role
	Lifetime  time.Duration // 0 is without end
}

// Revoke ends a token. A worker that has used one keeps its own key.
type Revoke struct{ Reason string }

// Use binds a worker token to a key. The same key again yields nothing; another
// one is refused, which is recorded once a key and at most MaxRefusals times, and
// a fault after that. See State.Admits.
type Use struct {
	PublicKey []byte // Ed25519
	WorkerID  string
}

type events = []proto.Message

// Decide returns the events a command yields in this state: none if what it asks
// for is so already, a *fault.Error if it can't be. The error's subject is
// "token"; who knows which completes it by fault.About.
func (s State) Decide(c Command) ([]proto.Message, error) { return c.decide(&s) }

func (c Create) decide(s *State) (events, error) {
	switch {
	case s.Status == Active && bytes.Equal(s.Hash, c.Hash):
		return nil, nil
	case s.Status != None:
		return nil, &fault.Error{Kind: fault.Conflict, Op: "create", Subject: "token", Reason: "a token with this id exists"}
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	return events{&eventv1.TokenCreated{
		Hash: c.Hash, Hint: event.Cut(c.Hint, HintBytes), Name: event.Cut(c.Name, MaxName), Namespace: c.Namespace,
		Role: c.Role.String(), LifetimeNs: int64(c.Lifetime),
	}}, nil
}

func (c Create) check() error {
	var wrong []fault.Field
	add := func(location, format string, args ...any) {
		wrong = append(wrong, fault.Field{Location: location, Message: fmt.Sprintf(format, args...)})
	}
	if len(c.Hash) != HashBytes {
		add("hash", "it has %d bytes, %d are needed", len(c.Hash), HashBytes)
	}
	if c.Name == "" || len(c.Name) > MaxName {
		add("name", "it has %d bytes, 1 to %d may be", len(c.Name), MaxName)
	}
	if c.Namespace != AllNamespaces {
		if err := spec.ValidNamespace(c.Namespace); err != nil {
			add("namespace", "%s", err)
		}
	}
	if !slices.Contains(Roles, c.Role) {
		add("role", "%s is not a role a token can have", c.Role)
	}
	if c.Lifetime < 0 || c.Lifetime > MaxLifetime {
		add("lifetime", "%s can't be: 0 to %s may be", event.Duration(c.Lifetime), event.Duration(MaxLifetime))
	}
	return fault.Malformed("create", "token", wrong...)
}

func (c Revoke) decide(s *State) (events, error) {
	switch s.Status {
	case None:
		return nil, fault.Missing("revoke", "token", "there is no such token")
	case Revoked:
		return nil, nil
	}
	return events{&eventv1.TokenRevoked{Reason: event.Cut(c.Reason, MaxReason)}}, nil
}

func (c Use) decide(s *State) (events, error) {
	switch {
	case len(c.PublicKey) != KeyBytes:
		return nil, fault.Malformed("use", "token", fault.Field{
			Location: "public_key", Message: fmt.Sprintf("it has %d bytes, %d are needed", len(c.PublicKey), KeyBytes),
		})
	case s.Status == None:
		return events{&eventv1.WorkerTokenUsed{PublicKey: c.PublicKey, WorkerId: event.Cut(c.WorkerID, MaxName)}}, nil
	case s.Status != Used || bytes.Equal(s.PublicKey, c.PublicKey):
		return nil, s.Admits(c)
	case len(s.refused) >= MaxRefusals || slices.ContainsFunc(s.refused, func(k []byte) bool { return bytes.Equal(k, c.PublicKey) }):
		return nil, s.Admits(c)
	}
	return events{&eventv1.WorkerTokenRefused{PublicKey: c.PublicKey, Reason: usedBefore}}, nil
}
