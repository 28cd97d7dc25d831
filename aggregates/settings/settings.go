// Package settings is what shapes the cluster's behaviour. Settings are set by
// events, never by flags, so that the same log gives the same World.
//
// State, Evolve and Decide are pure. A decision is idempotent: what has been
// decided once yields nothing the second time.
package settings

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hodei-jobs/hodei/aggregates/event"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/fault"
)

// Bounds of the settings.
const (
	MaxKeptFinished       = 1_000_000
	MaxAgingStep          = 24 * time.Hour
	MinReconnectTolerance = 10 * time.Second // two beats of an agent: with less, workers that live would be lost
	MaxReconnectTolerance = time.Hour
	MaxOrphanAfter        = 7 * 24 * time.Hour
	MaxSecretRetention    = 365 * 24 * time.Hour
)

// Policies are the ways the scheduler chooses among workers, sorted.
var Policies = []string{"binpack", "leastloaded"}

// Names are the settings as events, the API and the command line call them, sorted.
var Names = []string{"aging_step", "kept_finished", "orphan_after", "policy", "reconnect_tolerance", "secret_retention"}

// State is the settings. The zero value stands for Default.
type State struct {
	Version            uint64        // how often they were changed
	KeptFinished       uint32        // finished jobs that stay in memory
	AgingStep          time.Duration // waiting time that one point of priority is worth; 0: priority counts nothing
	Policy             string        // one of Policies
	ReconnectTolerance time.Duration // silence after which a worker is lost
	OrphanAfter        time.Duration // how long an agent goes on without any server
	SecretRetention    time.Duration // from a job's end until its own secrets are shredded; 0 is at once
}

// Default returns the settings before anything was set.
func Default() State {
	return State{
		KeptFinished: 10_000, AgingStep: time.Minute, Policy: "binpack",
		ReconnectTolerance: 30 * time.Second, OrphanAfter: time.Hour,
		SecretRetention: 7 * 24 * time.Hour,
	}
}

// WithDefaults returns Default for the zero value, else the settings as they are.
func (s State) WithDefaults() State {
	if s == (State{}) {
		return Default()
	}
	return s
}

// Evolve returns the settings after an event. It takes any event.
func Evolve(s State, m proto.Message) State {
	e, ok := m.(*eventv1.SettingsChanged)
	if !ok {
		return s
	}
	s = s.WithDefaults()
	s.Version++
	if e.KeptFinished != nil {
		s.KeptFinished = *e.KeptFinished
	}
	if e.AgingStepNs != nil {
		s.AgingStep = time.Duration(*e.AgingStepNs)
	}
	if e.Policy != nil {
		s.Policy = *e.Policy
	}
	if e.ReconnectToleranceNs != nil {
		s.ReconnectTolerance = time.Duration(*e.ReconnectToleranceNs)
	}
	if e.OrphanAfterNs != nil {
		s.OrphanAfter = time.Duration(*e.OrphanAfterNs)
	}
	if e.SecretRetentionNs != nil {
		s.SecretRetention = time.Duration(*e.SecretRetentionNs)
	}
	return s
}

// Command is what can be asked of the settings.
type Command interface {
	// decide returns the events the command yields; none if what it asks for is so
	// already.
	decide(s State) (events, error)
}

// Change sets what is not nil. With Of it is refused as a Conflict unless the
// settings still have that version, but for a change that is made already.
type Change struct {
	Of                 *uint64
	KeptFinished       *uint32
	AgingStep          *time.Duration
	Policy             *string
	ReconnectTolerance *time.Duration
	OrphanAfter        *time.Duration
	SecretRetention    *time.Duration
}

type events = []proto.Message

// Decide returns the events a command yields in this state: none if what it asks
// for is so already, a *fault.Error if it can't be.
func (s State) Decide(c Command) ([]proto.Message, error) { return c.decide(s.WithDefaults()) }

func (c Change) decide(s State) (events, error) {
	e := &eventv1.SettingsChanged{
		KeptFinished:         changed(c.KeptFinished, s.KeptFinished),
		AgingStepNs:          nanoseconds(changed(c.AgingStep, s.AgingStep)),
		Policy:               changed(c.Policy, s.Policy),
		ReconnectToleranceNs: nanoseconds(changed(c.ReconnectTolerance, s.ReconnectTolerance)),
		OrphanAfterNs:        nanoseconds(changed(c.OrphanAfter, s.OrphanAfter)),
		SecretRetentionNs:    nanoseconds(changed(c.SecretRetention, s.SecretRetention)),
	}
	next := Evolve(s, e)
	next.Version = s.Version
	switch {
	case next == s:
		return nil, nil
	case c.Of != nil && *c.Of != s.Version:
		return nil, &fault.Error{
			Kind: fault.Conflict, Op: "change", Subject: "the settings",
			Reason: fmt.Sprintf("they are at version %d, the change is of version %d", s.Version, *c.Of),
			Help:   "read them anew and decide again",
		}
	}
	if err := next.check(e); err != nil {
		return nil, err
	}
	return events{e}, nil
}

// changed returns what is to be set if it is not so already.
func changed[T comparable](to *T, is T) *T {
	if to == nil || *to == is {
		return nil
	}
	return to
}

func nanoseconds(d *time.Duration) *int64 {
	if d == nil {
		return nil
	}
	ns := int64(*d)
	return &ns
}

// check returns why the settings can't be after a change, or nil. What the change
// leaves as it was is not checked: another version may have had other bounds.
func (s State) check(e *eventv1.SettingsChanged) error {
	var wrong []fault.Field
	add := func(location, format string, args ...any) {
		wrong = append(wrong, fault.Field{Location: location, Message: fmt.Sprintf(format, args...)})
	}
	within := func(location string, d, least, most time.Duration) {
		if d < least || d > most {
			add(location, "%s can't be: %s to %s may be", event.Duration(d), event.Duration(least), event.Duration(most))
		}
	}
	if e.KeptFinished != nil && s.KeptFinished > MaxKeptFinished {
		add("kept_finished", "%d is too many: at most %d may be", s.KeptFinished, MaxKeptFinished)
	}
	if e.AgingStepNs != nil {
		within("aging_step", s.AgingStep, 0, MaxAgingStep)
	}
	if e.Policy != nil && !slices.Contains(Policies, s.Policy) {
		add("policy", "%q is not a policy: %s may be", event.Cut(s.Policy, 32), strings.Join(Policies, ", "))
	}
	if e.ReconnectToleranceNs != nil {
		within("reconnect_tolerance", s.ReconnectTolerance, MinReconnectTolerance, MaxReconnectTolerance)
	}
	switch {
	case e.OrphanAfterNs != nil:
		within("orphan_after", s.OrphanAfter, s.ReconnectTolerance, MaxOrphanAfter)
	case s.ReconnectTolerance > s.OrphanAfter:
		add("reconnect_tolerance", "%s can't be: it may not be longer than orphan_after, %s", event.Duration(s.ReconnectTolerance), event.Duration(s.OrphanAfter))
	}
	if e.SecretRetentionNs != nil {
		within("secret_retention", s.SecretRetention, 0, MaxSecretRetention)
	}
	return fault.Malformed("change", "the settings", wrong...)
}
