package commands

import (
	"context"
	"errors"

	"google.golang.org/protobuf/proto"

	"github.com/hodei-jobs/hodei/eventstore"
)

// unit is one atomic append while it is being decided: the streams it holds and
// what is to be written to them.
type unit struct {
	s        *Service
	metadata []byte
	wait     bool // for streams that other commands hold; else they are errHeld

	batches []eventstore.Batch
	settle  []func(*eventstore.Result) // one a held stream
	yields  int                        // events in batches
	rests   eventstore.Position        // the last event its decisions rest on
}

// build decides what a unit writes. It is called again when the append was
// refused because a stream had moved on, so it must start afresh each time.
type build func(ctx context.Context, u *unit) error

// answer is what became of a build.
type answer struct {
	position eventstore.Position // of its last event; if it yielded none, of the last its decision rests on
	err      error
}

// decide holds the stream, lets its state decide and adds what that yields to
// the unit; a decision that yields nothing is added as an assertion. It returns
// the state after it. A refusal, or nothing to do, that was decided on a cached
// state is decided once more on the stream itself.
func decide[S any](
	ctx context.Context, u *unit, states *states[S], stream eventstore.StreamID,
	decision func(state S, at mark) ([]proto.Message, error),
) (S, error) {
	e, err := states.hold(ctx, stream, u.wait)
	if err != nil {
		return *new(S), err
	}
	cached := e.mark.revision > 0
	if !cached {
		_, err = states.refresh(ctx, u.s.store, e)
	}
	var messages []proto.Message
	if err == nil {
		messages, err = decision(e.state, e.mark)
	}
	if cached && (err != nil || len(messages) == 0) {
		if moved, failed := states.refresh(ctx, u.s.store, e); failed != nil {
			err = failed
		} else if moved {
			messages, err = decision(e.state, e.mark)
		}
	}
	u.rests = max(u.rests, e.mark.position)
	if err != nil {
		states.release(e, true)
		return *new(S), err
	}
	return add(u, states, e, messages), nil
}

// create is decide for a stream that isn't expected to exist: it isn't read, the
// append finds out.
func create[S any](
	ctx context.Context, u *unit, states *states[S], stream eventstore.StreamID,
	decision func(state S, at mark) ([]proto.Message, error),
) error {
	e, err := states.hold(ctx, stream, u.wait)
	if err != nil {
		return err
	}
	messages, err := decision(*new(S), mark{})
	if err != nil {
		states.release(e, true)
		return err
	}
	e.state, e.mark = *new(S), mark{}
	add(u, states, e, messages)
	return nil
}

// add puts messages for a held stream into the unit. The stream is let go when
// the unit is settled.
func add[S any](u *unit, states *states[S], e *entry[S], messages []proto.Message) S {
	next := e.state
	for _, m := range messages {
		next = states.evolve(next, m)
	}
	n := len(messages)
	u.yields += n
	u.batches = append(u.batches, eventstore.Batch{
		Stream: e.stream, Expect: eventstore.Exactly(e.mark.revision), Events: events(u.metadata, messages),
	})
	u.settle = append(u.settle, func(r *eventstore.Result) {
		if r != nil && r.Err == nil && n > 0 {
			e.state = next
			e.mark = mark{e.mark.revision + eventstore.Revision(n), r.Position, r.Time}
		}
		states.release(e, r == nil || r.Err == nil)
	})
	return next
}

// look returns a state that satisfies, from the cache if that one does, else from
// the stream itself, whether or not it does. It is for what, once true, stays so.
func look[S any](ctx context.Context, s *Service, states *states[S], stream eventstore.StreamID, satisfies func(S) bool) (S, error) {
	if state, known := states.peek(stream); known && satisfies(state) {
		return state, nil
	}
	e, err := states.hold(ctx, stream, true)
	if err != nil {
		return *new(S), err
	}
	defer func() { states.release(e, true) }()
	if !satisfies(e.state) {
		_, err = states.refresh(ctx, s.store, e)
	}
	return e.state, err
}

// done lets go of all streams of the unit. The result is nil if nothing was sent.
func (u *unit) done(r *eventstore.Result) {
	for _, settle := range u.settle {
		settle(r)
	}
}

// append gives ids to the unit's events and returns it as the store wants it.
func (u *unit) append() eventstore.Append {
	first, n := u.s.ids.New(u.s.clock()), 0
	for _, b := range u.batches {
		for i := range b.Events {
			b.Events[i].ID = first.Add(n)
			n++
		}
	}
	return eventstore.Append{Batches: u.batches}
}

// write executes one build and answers when its events are applied.
func (s *Service) write(ctx context.Context, c Caller, b build) (eventstore.Position, error) {
	a := s.writeEach(ctx, c, []build{b})[0]
	return a.position, a.err
}

// writeEach executes builds that don't depend on each other, in one call of the
// store as far as they can be. Those that meet another command on a stream
// follow one by one: a unit never waits for a stream while other units are held.
func (s *Service) writeEach(ctx context.Context, c Caller, builds []build) []answer {
	answers := make([]answer, len(builds))
	if err := s.admit(ctx); err != nil {
		return fail(answers, err)
	}
	metadata := c.metadata()
	late := s.writeTogether(ctx, metadata, builds, answers)
	for _, i := range late {
		answers[i] = s.writeAlone(ctx, metadata, builds[i])
	}
	var last eventstore.Position
	for _, a := range answers {
		last = max(last, a.position)
	}
	if last == 0 {
		return answers
	}
	if err := s.applied(ctx, last); err != nil {
		for i := range answers {
			if answers[i].err == nil {
				answers[i].err = unseen(err)
			}
		}
	}
	return answers
}

// writeTogether tries each build once, in one call of the store. It returns those
// that have to be tried again.
func (s *Service) writeTogether(ctx context.Context, metadata []byte, builds []build, answers []answer) (late []int) {
	var units []*unit
	var at []int
	var appends []eventstore.Append
	for i, b := range builds {
		u := &unit{s: s, metadata: metadata, wait: len(builds) == 1}
		switch err := b(ctx, u); {
		case err == errHeld:
			u.done(nil)
			late = append(late, i)
		case err != nil:
			u.done(nil)
			answers[i] = answer{u.rests, storeFault(err)}
		case u.yields == 0:
			u.done(nil)
			answers[i].position = u.rests
		default:
			units, at = append(units, u), append(at, i)
			appends = append(appends, u.append())
		}
	}
	if len(units) == 0 {
		return late
	}
	results := s.send(ctx, appends)
	for n, u := range units {
		r := &results[n]
		u.done(r)
		if isConflict(r.Err) {
			late = append(late, at[n])
			continue
		}
		answers[at[n]] = answer{r.Position, storeFault(r.Err)}
	}
	return late
}

// writeAlone executes one build against other writers, at most maxTries times.
func (s *Service) writeAlone(ctx context.Context, metadata []byte, b build) answer {
	var conflict error
	for range maxTries {
		u := &unit{s: s, metadata: metadata, wait: true}
		if err := b(ctx, u); err != nil {
			u.done(nil)
			return answer{u.rests, storeFault(err)}
		}
		if u.yields == 0 {
			u.done(nil)
			return answer{position: u.rests}
		}
		r := s.send(ctx, []eventstore.Append{u.append()})[0]
		u.done(&r)
		if !isConflict(r.Err) {
			return answer{r.Position, storeFault(r.Err)}
		}
		conflict = r.Err
	}
	return answer{err: contended(conflict)}
}

// send is AppendEach with the call's error in each result.
func (s *Service) send(ctx context.Context, appends []eventstore.Append) []eventstore.Result {
	results, err := s.store.AppendEach(ctx, appends)
	if err == nil {
		return results
	}
	results = make([]eventstore.Result, len(appends))
	for i := range results {
		results[i].Err = err
	}
	return results
}

func fail(answers []answer, err error) []answer {
	for i := range answers {
		answers[i].err = err
	}
	return answers
}

func isConflict(err error) bool {
	var conflict *eventstore.ConflictError
	return errors.As(err, &conflict)
}
