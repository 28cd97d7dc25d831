package worker

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/hodei-jobs/hodei/aggregates/event"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/resource"
)

type events = []proto.Message

// Decide returns the events a command yields in this state: none if what it asks
// for is so already, a *fault.Error if it can't be. The error's subject is
// "worker"; who knows which completes it by fault.About.
func (s State) Decide(c Command) ([]proto.Message, error) { return c.decide(&s) }

func (c Request) decide(s *State) (events, error) {
	switch {
	case s.Status == Requested && s.Provider == c.Provider && s.Pool == c.Pool && s.TokenID == c.TokenID:
		return nil, nil
	case s.Status != None:
		return nil, exists("request")
	case c.Provider == "" || len(c.Provider) > MaxName:
		return nil, malformed("request", "provider", "it has %d bytes, 1 to %d may be", len(c.Provider), MaxName)
	}
	return events{&eventv1.WorkerRequested{
		Provider: event.Cut(c.Provider, MaxName), Pool: event.Cut(c.Pool, MaxName), TokenId: event.Cut(c.TokenID, maxID),
		LaunchLimitNs: int64(max(0, c.LaunchLimit)),
	}}, nil
}

func (c Launch) decide(s *State) (events, error) {
	handle := event.Cut(c.Handle, MaxReason)
	switch {
	case s.Status == None:
		return nil, missing("launch")
	case s.Status == Terminated:
		return nil, s.refuse("launch", "it is %s", s.Status)
	case s.Provider == "":
		return nil, s.refuse("launch", "no provider was asked for it")
	case s.Status == Requested, s.Handle == "" && handle != "":
		return events{&eventv1.WorkerLaunched{Handle: handle}}, nil
	case s.Handle != handle:
		return nil, s.refuse("launch", "it was launched as %s", s.Handle)
	}
	return nil, nil
}

func (c FailLaunch) decide(s *State) (events, error) {
	switch s.Status {
	case None:
		return nil, missing("fail the launch of")
	case Requested, Launched:
		return events{&eventv1.WorkerLaunchFailed{Cause: event.Code(c.Cause, "error"), Detail: event.Cut(c.Detail, MaxReason)}}, nil
	case Terminated:
		return nil, nil
	}
	return nil, s.refuse("fail the launch of", "it has registered")
}

// A repeated registration with the same key yields nothing: the answer to the
// first may have been lost.
func (c Register) decide(s *State) (events, error) {
	switch {
	case s.Status == Terminated:
		return nil, s.refuse("register", "it is %s", s.Status)
	case s.Registered() && bytes.Equal(s.PublicKey, c.PublicKey):
		return nil, nil
	case s.Registered():
		return nil, s.refuse("register", "it has registered with another key")
	case len(c.PublicKey) != KeyBytes:
		return nil, malformed("register", "public_key", "it has %d bytes, %d are needed", len(c.PublicKey), KeyBytes)
	}
	if err := checkFacts("register", c.Facts); err != nil {
		return nil, err
	}
	if err := resource.FromPairs(c.Granted).Valid(); err != nil {
		return nil, malformed("register", "granted", "%s", err)
	}
	registered := &eventv1.WorkerRegistered{
		Facts: c.Facts, PublicKey: c.PublicKey,
		TokenId: event.Cut(c.TokenID, maxID), Provider: event.Cut(c.Provider, MaxName), Pool: event.Cut(c.Pool, MaxName),
		Granted: c.Granted,
	}
	if s.Status != None {
		registered.Provider, registered.Pool = s.Provider, s.Pool
	}
	return events{registered}, nil
}

func (c Connect) decide(s *State) (events, error) {
	next := s.Epoch + 1
	same := bytes.Equal(s.Instance, c.Instance)
	switch {
	case s.Status == None:
		return nil, missing("connect")
	case s.Status == Terminated || !s.Registered():
		return nil, s.refuse("connect", "it is %s", s.Status)
	case s.Status == Connected && c.Epoch == s.Epoch && same:
		return nil, nil
	case c.Epoch != 0 && c.Epoch != next:
		return nil, s.refuse("connect", "session %d is stale, next is %d", c.Epoch, next)
	case len(c.Instance) == 0 || len(c.Instance) > maxID:
		return nil, malformed("connect", "instance", "it has %d bytes, 1 to %d may be", len(c.Instance), maxID)
	}
	connected := &eventv1.WorkerConnected{Epoch: next, Instance: c.Instance}
	if c.Facts != nil && !proto.Equal(c.Facts, s.Facts) {
		if err := checkFacts("connect", c.Facts); err != nil {
			return nil, err
		}
		connected.Facts = c.Facts
	}
	if s.Status != Connected || same {
		return events{connected}, nil
	}
	superseded := &eventv1.WorkerSuperseded{Epoch: s.Epoch, Instance: s.Instance, ByInstance: c.Instance}
	return events{superseded, connected}, nil
}

func (c Disconnect) decide(s *State) (events, error) {
	switch {
	case s.Status == None:
		return nil, missing("disconnect")
	case c.Epoch == 0 || c.Epoch > s.Epoch:
		return nil, s.refuse("disconnect", "there was no session %d, the newest is %d", c.Epoch, s.Epoch)
	case c.Epoch < s.Epoch || s.Status != Connected:
		return nil, nil
	}
	return events{&eventv1.WorkerDisconnected{Epoch: c.Epoch, Reason: event.Cut(c.Reason, MaxReason)}}, nil
}

func (c Cordon) decide(s *State) (events, error) {
	if err := s.alive("cordon"); err != nil || s.Cordoned {
		return nil, err
	}
	return events{&eventv1.WorkerCordoned{Reason: event.Cut(c.Reason, MaxReason)}}, nil
}

func (c Uncordon) decide(s *State) (events, error) {
	err := s.alive("uncordon")
	switch {
	case err != nil:
		return nil, err
	case s.Draining:
		return nil, s.refuse("uncordon", "it is draining, which can't be undone")
	case !s.Cordoned:
		return nil, nil
	}
	return events{&eventv1.WorkerUncordoned{}}, nil
}

func (c Drain) decide(s *State) (events, error) {
	err := s.alive("drain")
	switch {
	case err != nil:
		return nil, err
	case c.Deadline < 0:
		return nil, malformed("drain", "deadline", "it is less than 0")
	case s.Draining && s.Deadline == c.Deadline:
		return nil, nil
	}
	return events{&eventv1.WorkerDraining{Reason: event.Cut(c.Reason, MaxReason), DeadlineNs: int64(c.Deadline)}}, nil
}

func (c Lose) decide(s *State) (events, error) {
	switch {
	case s.Status == None:
		return nil, missing("lose")
	case !s.Registered() && s.Status != Terminated:
		return nil, s.refuse("lose", "it is %s, it never registered", s.Status)
	case s.Status == Lost, s.Status == Terminated, c.Epoch != 0 && c.Epoch != s.Epoch:
		return nil, nil
	}
	return events{&eventv1.WorkerLost{SilentNs: int64(max(0, c.Silent)), Epoch: s.Epoch}}, nil
}

func (c Terminate) decide(s *State) (events, error) {
	switch s.Status {
	case None:
		return nil, missing("terminate")
	case Terminated:
		return nil, nil
	}
	return events{&eventv1.WorkerTerminated{Reason: event.Cut(c.Reason, MaxReason)}}, nil
}

// checkFacts returns why a worker can't be what it says it is, or nil.
func checkFacts(op string, f *eventv1.WorkerFacts) error {
	if f == nil {
		return malformed(op, "facts", "they are needed")
	}
	for _, t := range []struct{ location, text string }{
		{"facts.name", f.Name}, {"facts.os", f.Os}, {"facts.arch", f.Arch}, {"facts.version", f.Version},
	} {
		if len(t.text) > MaxName || !utf8.ValidString(t.text) {
			return malformed(op, t.location, "it has %d bytes, at most %d of UTF-8 may be", len(t.text), MaxName)
		}
	}
	if c := resource.FromEvent(f.Capacity); c.CPU > resource.MaxCPU || c.Memory > resource.MaxBytes || c.Disk > resource.MaxBytes {
		return malformed(op, "facts.capacity", "%s can't be true", c)
	}
	if err := resource.FromPairs(f.Labels).Valid(); err != nil {
		return malformed(op, "facts.labels", "%s", err)
	}
	return nil
}

// alive returns why nothing can be changed about the worker any more, or nil.
func (s *State) alive(op string) error {
	switch s.Status {
	case None:
		return missing(op)
	case Terminated:
		return s.refuse(op, "it is %s", s.Status)
	}
	return nil
}

func (s *State) refuse(op, format string, args ...any) error {
	return fault.Refuse(op, "worker", format, args...)
}

func missing(op string) error { return fault.Missing(op, "worker", "there is no such worker") }

func exists(op string) error {
	return &fault.Error{Kind: fault.Conflict, Op: op, Subject: "worker", Reason: "a worker with this id exists"}
}

func malformed(op, location, format string, args ...any) error {
	return fault.Malformed(op, "worker", fault.Field{Location: location, Message: fmt.Sprintf(format, args...)})
}
