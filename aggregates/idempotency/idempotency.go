// Package idempotency is the use of an idempotency key: what was submitted under
// it. Each key of a namespace has a stream of its own (event.KeyStream), written
// in the same append as what it stands for. A key is kept for a while and may be
// used anew afterwards.
//
// State, Evolve and Decide are pure.
package idempotency

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/fault"
)

const (
	// Kept is how long a key stands for what it was used for.
	Kept = 7 * 24 * time.Hour
	// MaxKey is how many bytes a key has.
	MaxKey = 256
	// DigestBytes is the length of a submission's digest, a SHA-256.
	DigestBytes = sha256.Size
)

// State is what its events make of a key. The zero value is a key that was never
// used.
type State struct {
	JobIDs []string // of its newest use
	Digest []byte   // of what was submitted then
}

// Used reports whether the key was ever used.
func (s State) Used() bool { return s.Digest != nil }

// Evolve returns the state after an event. It takes any event.
func Evolve(s State, m proto.Message) State {
	if e, ok := m.(*eventv1.KeyUsed); ok {
		s.JobIDs, s.Digest = e.GetJobIds(), e.GetDigest()
	}
	return s
}

const otherUse = "it was used for another submission before"

// Command is what can be asked of a key.
type Command interface {
	// decide returns the events the command yields; none if what it asks for is so
	// already.
	decide(s *State) (events, error)
}

// Use takes the key for a submission. The same submission again yields nothing:
// State.JobIDs are its answer. Another one is a Conflict.
type Use struct {
	JobIDs []string
	Digest []byte        // SHA-256 of the submission
	Age    time.Duration // since the key was used, by the records' times; of no matter if it was not
}

type events = []proto.Message

// Decide returns the events a command yields in this state: none if the key stands
// for the same submission, a *fault.Error if it can't be used.
func (s State) Decide(c Command) ([]proto.Message, error) { return c.decide(&s) }

func (c Use) decide(s *State) (events, error) {
	switch {
	case len(c.Digest) != DigestBytes:
		return nil, fault.Malformed("use", "key", fault.Field{
			Location: "digest", Message: fmt.Sprintf("it has %d bytes, %d are needed", len(c.Digest), DigestBytes),
		})
	case !s.Used() || c.Age > Kept:
		return events{&eventv1.KeyUsed{JobIds: c.JobIDs, Digest: c.Digest}}, nil
	case bytes.Equal(s.Digest, c.Digest):
		return nil, nil
	}
	return nil, &fault.Error{
		Kind: fault.Conflict, Op: "use", Subject: "key",
		Reason: otherUse, Help: "use a new key for each submission",
		Fields: []fault.Field{{Location: "idempotency_key", Message: otherUse}},
	}
}
