// Package namespace is the life of a namespace: a name that jobs, and the tokens
// that may see them, belong to. Its stream bears the name, so there is one of each.
//
//	Create ──▶ active ◀── Resume ── Pause ──▶ paused
//
// The jobs of a paused namespace are submitted and wait; none is placed.
//
// State, Evolve and Decide are pure. A decision is idempotent: what has been
// decided once yields nothing the second time.
package namespace

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/hodei-jobs/hodei/aggregates/event"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/spec"
)

// MaxReason is how many bytes a description and a reason have.
const MaxReason = 1024

// Status is where in its life a namespace is.
type Status uint8

const (
	// None: there is no such namespace.
	None Status = iota
	// Active: its jobs are placed.
	Active
	// Paused: its jobs wait.
	Paused
)

// Statuses are all statuses in order.
var Statuses = []Status{None, Active, Paused}

var statusNames = [...]string{None: "none", Active: "active", Paused: "paused"}

// String returns the status as it is written everywhere.
func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return fmt.Sprintf("status_%d", uint8(s))
}

// State is what its events make of a namespace. The zero value is one that does
// not exist.
type State struct {
	Status      Status
	Description string
	Reason      string // why it is paused
}

// Evolve returns the state after an event. It takes any event in any state.
func Evolve(s State, m proto.Message) State {
	switch e := m.(type) {
	case *eventv1.NamespaceCreated:
		s.Status, s.Description = Active, e.GetDescription()
	case *eventv1.NamespacePaused:
		s.Status, s.Reason = Paused, e.GetReason()
	case *eventv1.NamespaceResumed:
		s.Status, s.Reason = Active, ""
	}
	return s
}

// Command is what can be asked of a namespace.
type Command interface {
	// decide returns the events the command yields; none if what it asks for is so
	// already.
	decide(s *State) (events, error)
}

// Create lets a namespace come into being. Name is that of its stream.
type Create struct {
	Name        string
	Description string
}

// Pause lets its jobs wait.
type Pause struct{ Reason string }

// Resume lets its jobs be placed again.
type Resume struct{}

type events = []proto.Message

// Decide returns the events a command yields in this state: none if what it asks
// for is so already, a *fault.Error if it can't be. The error's subject is
// "namespace"; who knows which completes it by fault.About.
func (s State) Decide(c Command) ([]proto.Message, error) { return c.decide(&s) }

func (c Create) decide(s *State) (events, error) {
	switch {
	case s.Status != None && s.Description == c.Description:
		return nil, nil
	case s.Status != None:
		return nil, &fault.Error{Kind: fault.Conflict, Op: "create", Subject: "namespace", Reason: "it exists with another description"}
	case len(c.Description) > MaxReason:
		return nil, malformed("create", "description", "it has %d bytes, at most %d may be", len(c.Description), MaxReason)
	}
	if err := spec.ValidNamespace(c.Name); err != nil {
		return nil, malformed("create", "name", "%s", err)
	}
	return events{&eventv1.NamespaceCreated{Description: event.Cut(c.Description, MaxReason)}}, nil
}

func (c Pause) decide(s *State) (events, error) {
	switch {
	case s.Status == None:
		return nil, missing("pause")
	case s.Status == Paused:
		return nil, nil
	case len(c.Reason) > MaxReason:
		return nil, malformed("pause", "reason", "it has %d bytes, at most %d may be", len(c.Reason), MaxReason)
	}
	return events{&eventv1.NamespacePaused{Reason: event.Cut(c.Reason, MaxReason)}}, nil
}

func (c Resume) decide(s *State) (events, error) {
	switch s.Status {
	case None:
		return nil, missing("resume")
	case Active:
		return nil, nil
	}
	return events{&eventv1.NamespaceResumed{}}, nil
}

func missing(op string) error { return fault.Missing(op, "namespace", "there is no such namespace") }

func malformed(op, location, format string, args ...any) error {
	return fault.Malformed(op, "namespace", fault.Field{Location: location, Message: fmt.Sprintf(format, args...)})
}
