// Package commands holds the use cases: what may be asked of the system. Each
// command loads the aggregates it concerns, lets them decide, and appends what
// they decided in one atomic step. The aggregates know the rules; this package
// knows the log.
//
// A command is guarded by compare-and-swap on the revisions it was decided on.
// It is decided again when another writer was faster, a bounded number of times.
// States come from a bounded cache. Since a cached state may be old, a refusal,
// or the answer that there is nothing to do, is decided once more on what the
// stream itself says before it is given.
//
// A command answers once its events are durable and [Config.Applied] has
// returned, so that its caller reads its own write. Errors are *fault.Error, or
// the context's error. All methods are safe for concurrent use.
package commands

import (
	"context"
	"crypto/rand"
	"io"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hodei-jobs/hodei/aggregates/event"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/idempotency"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/namespace"
	"github.com/hodei-jobs/hodei/aggregates/secret"
	"github.com/hodei-jobs/hodei/aggregates/settings"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/aggregates/worker"
	"github.com/hodei-jobs/hodei/eventstore"
)

const (
	defaultCacheStates = 16_384
	smallCacheStates   = 10_000 // of kinds that are few or rarely asked for
	maxTries           = 8      // of one command against other writers
)

// Config says what the commands work with.
type Config struct {
	Store eventstore.Store // required

	// Keys is where the data keys of secrets are. Nil means that what has secrets
	// is refused.
	Keys Keys

	// Applied waits until this server's read models include the position. Nil
	// means that commands answer as soon as their events are durable.
	Applied func(context.Context, eventstore.Position) error

	// Admit is asked before each command; its error is the answer. It may wait
	// for a while: that is how a log that runs ahead of its readers is slowed.
	// Nil admits all.
	Admit func(context.Context) error

	Clock       func() time.Time // nil is time.Now
	Random      io.Reader        // of ids and tokens; nil is crypto/rand
	CacheStates int              // folded jobs kept; 0 is 16,384
}

// Caller says on whose behalf a command is given; it becomes the metadata of its
// events. Zero ids are left out.
type Caller struct {
	Actor       string // id of a token or a worker, or system; never a name
	Source      string // the part that gives the command: api, scheduler, deadline, gateway, provider, server
	RequestID   [16]byte
	Correlation [16]byte // what began it all
	Causation   [16]byte // the event this command answers
	Traceparent []byte   // 25 bytes, or none
}

// Service executes commands.
type Service struct {
	store   eventstore.Store
	keyring Keys
	applied func(context.Context, eventstore.Position) error
	admit   func(context.Context) error
	clock   func() time.Time
	random  io.Reader
	ids     eventstore.EventIDs

	jobs       *states[job.State]
	workers    *states[worker.State]
	tokens     *states[token.State]
	namespaces *states[namespace.State]
	secrets    *states[secret.State]
	settings   *states[settings.State]
	keys       *states[idempotency.State]
}

// New returns a service that works on c.Store.
func New(c Config) *Service {
	s := &Service{store: c.Store, keyring: c.Keys, applied: c.Applied, admit: c.Admit, clock: c.Clock, random: c.Random}
	if s.keyring == nil {
		s.keyring = noKeys{}
	}
	if s.applied == nil {
		s.applied = func(context.Context, eventstore.Position) error { return nil }
	}
	if s.admit == nil {
		s.admit = func(context.Context) error { return nil }
	}
	if s.clock == nil {
		s.clock = time.Now
	}
	if s.random == nil {
		s.random = rand.Reader
	}
	n := c.CacheStates
	if n <= 0 {
		n = defaultCacheStates
	}
	s.jobs = newStates(n, job.Evolve, func(j job.State) bool { return j.Status.Terminal() })
	s.workers = newStates(smallCacheStates, worker.Evolve, nil)
	s.tokens = newStates(smallCacheStates, token.Evolve, nil)
	s.namespaces = newStates(smallCacheStates, namespace.Evolve, nil)
	s.secrets = newStates(smallCacheStates, secret.Evolve, nil)
	s.settings = newStates(shards, settings.Evolve, nil)
	s.keys = newStates(smallCacheStates, idempotency.Evolve, nil)
	return s
}

// metadata returns what all events of one command carry.
func (c Caller) metadata() []byte {
	m := &eventv1.Metadata{
		Actor: c.Actor, Source: c.Source, Traceparent: c.Traceparent,
		RequestId: binary16(c.RequestID),
	}
	if c.Correlation != c.RequestID {
		m.Correlation = binary16(c.Correlation)
	}
	if c.Causation != c.Correlation {
		m.Causation = binary16(c.Causation)
	}
	return event.EncodeMetadata(m)
}

func binary16(b [16]byte) []byte {
	if b == ([16]byte{}) {
		return nil
	}
	return b[:]
}

// events makes the store's events from messages. Their ids are given out when
// they are sent.
func events(metadata []byte, messages []proto.Message) []eventstore.Event {
	out := make([]eventstore.Event, len(messages))
	for i, m := range messages {
		out[i] = eventstore.Event{Type: event.TypeOf(m), Metadata: metadata, Data: event.Encode(m), Value: m}
	}
	return out
}

// NewID returns an id that was most likely never given out. An append that uses
// it expects that its stream does not exist.
func (s *Service) NewID() (id.ID, error) {
	for {
		var b [5]byte
		if _, err := io.ReadFull(s.random, b[:]); err != nil {
			return 0, &fault.Error{Kind: fault.Internal, Op: "make an id", Reason: "there is no randomness", Cause: err}
		}
		if i := id.FromBytes(b); i != 0 {
			return i, nil
		}
	}
}
