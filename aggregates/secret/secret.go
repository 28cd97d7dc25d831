// Package secret is the life of one stored secret: a value that jobs of its
// namespace use by its name, and that nobody is ever shown. Each time it is set it
// has a new version; a job may ask for one of them, else it gets the newest. Its
// stream bears namespace and name, so there is one of each.
//
//	Set ──▶ set ◀── Set ── Delete ──▶ deleted
//
// An event holds the value sealed; the data key of each version is in the keyring.
// The newest MaxVersions can be read until the secret is deleted. Versions go on
// after that, so that no version ever means two values.
//
// State, Evolve and Decide are pure. A decision is idempotent: what has been
// decided once yields nothing the second time.
package secret

import (
	"fmt"
	"math"
	"slices"

	"google.golang.org/protobuf/proto"

	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/spec"
)

const (
	// MaxVersions is how many versions of a secret can be read, the newest ones.
	MaxVersions = 10
	// MaxSealed is how many bytes a sealed value has.
	MaxSealed = spec.MaxSecretValue + 256

	maxKeyID = 256 // bytes
)

// Status is where in its life a secret is.
type Status uint8

const (
	// None: there never was such a secret.
	None Status = iota
	// Set: it can be used.
	Set
	// Deleted: it can't, until it is set again.
	Deleted
)

// Statuses are all statuses in order.
var Statuses = []Status{None, Set, Deleted}

var statusNames = [...]string{None: "none", Set: "set", Deleted: "deleted"}

// String returns the status as it is written everywhere.
func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return fmt.Sprintf("status_%d", uint8(s))
}

// Version is one version that can be read.
type Version struct {
	Number uint32
	KeyID  string // of the data key in the keyring
}

// State is what its events make of a secret. The zero value is one that does not
// exist. Copies are independent of each other.
type State struct {
	Status Status
	Newest uint32 // number of the newest version there ever was

	// Versions are those that can be read, the newest last. Never changed in place.
	Versions []Version
}

// Evolve returns the state after an event. It takes any event in any state.
func Evolve(s State, m proto.Message) State {
	switch e := m.(type) {
	case *eventv1.SecretSet:
		s.Status, s.Newest = Set, e.GetVersion()
		s.Versions = append(slices.Clip(s.Versions), Version{e.GetVersion(), e.GetKeyId()})
		s.Versions = s.Versions[max(0, len(s.Versions)-MaxVersions):]
	case *eventv1.SecretDeleted:
		s.Status, s.Versions = Deleted, nil
	}
	return s
}

// Find returns a version that can be read, the newest for 0; else a NotFound
// fault that says why there is none.
func (s State) Find(number uint32) (Version, error) {
	switch {
	case s.Status == None:
		return Version{}, missing("read")
	case s.Status == Deleted || len(s.Versions) == 0:
		return Version{}, fault.Missing("read", "secret", "it was deleted")
	case number == 0:
		return s.Versions[len(s.Versions)-1], nil
	case number > s.Newest:
		return Version{}, fault.Missing("read", "secret", "it has no version %d, the newest is %d", number, s.Newest)
	}
	for _, v := range s.Versions {
		if v.Number == number {
			return v, nil
		}
	}
	return Version{}, fault.Missing("read", "secret", "version %d can't be read any more, the oldest is %d", number, s.Versions[0].Number)
}

// Command is what can be asked of a secret.
type Command interface {
	// decide returns the events the command yields; none if what it asks for is so
	// already.
	decide(s *State) (events, error)
}

// Put sets the secret's next version. Namespace and Name are those of its stream.
type Put struct {
	Namespace, Name string
	Version         uint32 // one more than State.Newest
	Sealed          []byte // the value, under the data key
	KeyID           string
}

// Delete ends all versions.
type Delete struct{}

type events = []proto.Message

// Decide returns the events a command yields in this state: none if what it asks
// for is so already, a *fault.Error if it can't be. The error's subject is
// "secret"; who knows which completes it by fault.About.
func (s State) Decide(c Command) ([]proto.Message, error) { return c.decide(&s) }

func (c Put) decide(s *State) (events, error) {
	if n := len(s.Versions); n > 0 && s.Versions[n-1] == (Version{c.Version, c.KeyID}) {
		return nil, nil
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	switch {
	case s.Newest == math.MaxUint32:
		return nil, fault.Refuse("set", "secret", "it had %d versions", s.Newest)
	case c.Version != s.Newest+1:
		return nil, &fault.Error{Kind: fault.Conflict, Op: "set", Subject: "secret",
			Reason: fmt.Sprintf("version %d is not the next, that is %d", c.Version, s.Newest+1)}
	}
	return events{&eventv1.SecretSet{Version: c.Version, Sealed: c.Sealed, KeyId: c.KeyID}}, nil
}

func (c Put) check() error {
	var wrong []fault.Field
	add := func(location, format string, args ...any) {
		wrong = append(wrong, fault.Field{Location: location, Message: fmt.Sprintf(format, args...)})
	}
	if err := spec.ValidNamespace(c.Namespace); err != nil {
		add("namespace", "%s", err)
	}
	if err := spec.ValidSecretName(c.Name); err != nil {
		add("name", "%s", err)
	}
	if len(c.Sealed) == 0 || len(c.Sealed) > MaxSealed {
		add("sealed", "it has %d bytes, 1 to %d may be", len(c.Sealed), MaxSealed)
	}
	if c.KeyID == "" || len(c.KeyID) > maxKeyID {
		add("key_id", "it has %d bytes, 1 to %d may be", len(c.KeyID), maxKeyID)
	}
	return fault.Malformed("set", "secret", wrong...)
}

func (Delete) decide(s *State) (events, error) {
	switch s.Status {
	case None:
		return nil, missing("delete")
	case Deleted:
		return nil, nil
	}
	return events{&eventv1.SecretDeleted{}}, nil
}

func missing(op string) error { return fault.Missing(op, "secret", "there is no such secret") }
