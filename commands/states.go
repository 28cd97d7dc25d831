package commands

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/hodei-jobs/hodei/aggregates/event"
	"github.com/hodei-jobs/hodei/eventstore"
)

const (
	shards   = 16 // of one cache; commands on different streams rarely meet in one
	readPage = 32 // records a read while a stream is folded; most have fewer
)

// errHeld says that another command has the stream just now.
var errHeld = errors.New("stream is held by another command")

// states is a bounded cache of the folded states of one kind of aggregate, and
// the place where this process's commands on one stream take turns.
//
// Whoever holds a stream's entry is the only one in this process that decides on
// it, until its append has been answered. A revision number alone could not
// guard a command that was decided on top of an append still under way: if that
// one failed and another event took its revision, the number would fit and the
// history would not. Waiting is by channel; no lock is held over I/O.
type states[S any] struct {
	evolve func(S, proto.Message) S
	done   func(S) bool // no command is expected any more, so the state isn't kept; nil is never
	shards [shards]shard[S]
}

type shard[S any] struct {
	mu      sync.Mutex
	limit   int // idle entries kept
	entries map[eventstore.StreamID]*entry[S]
	idle    entry[S] // ring of entries nobody holds, the latest used first
	kept    int      // entries in the ring
}

// entry is what is known of one stream. While held, its state belongs to the
// holder; the rest is guarded by its shard's mu.
type entry[S any] struct {
	stream eventstore.StreamID
	state  S
	mark   mark

	held       bool
	released   chan struct{} // closed when the holder lets go; nil while nobody waits
	prev, next *entry[S]     // in the idle ring
}

// mark says up to where a state was folded.
type mark struct {
	revision eventstore.Revision
	position eventstore.Position // at or after the last event's
	time     int64               // of the last event, ns since 1970
}

func newStates[S any](limit int, evolve func(S, proto.Message) S, done func(S) bool) *states[S] {
	s := &states[S]{evolve: evolve, done: done}
	for i := range s.shards {
		sh := &s.shards[i]
		sh.limit = max(1, limit/shards)
		sh.entries = make(map[eventstore.StreamID]*entry[S])
		sh.idle.prev, sh.idle.next = &sh.idle, &sh.idle
	}
	return s
}

// hold makes the caller the stream's only decider in this process. If another
// one is, it waits for its turn, or answers errHeld if wait is false.
func (s *states[S]) hold(ctx context.Context, stream eventstore.StreamID, wait bool) (*entry[S], error) {
	sh := s.shard(stream)
	for {
		e, busy := sh.take(stream, wait)
		if busy == nil {
			if e == nil {
				return nil, errHeld
			}
			return e, nil
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// peek returns what is known of a stream that nobody holds.
func (s *states[S]) peek(stream eventstore.StreamID) (state S, known bool) {
	sh := s.shard(stream)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if e := sh.entries[stream]; e != nil && !e.held {
		return e.state, true
	}
	return state, false
}

// take returns the entry, now held; or, if it is held already, a channel that is
// closed when it is let go (nil unless the caller wants to wait).
func (sh *shard[S]) take(stream eventstore.StreamID, wait bool) (*entry[S], <-chan struct{}) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := sh.entries[stream]
	switch {
	case e == nil:
		e = &entry[S]{stream: stream, held: true}
		sh.entries[stream] = e
		return e, nil
	case !e.held:
		e.held = true
		sh.unlink(e)
		return e, nil
	case !wait:
		return nil, nil
	case e.released == nil:
		e.released = make(chan struct{})
	}
	return nil, e.released
}

// release lets go of an entry. One whose append failed, or whose stream does not
// exist or is done with, is forgotten.
func (s *states[S]) release(e *entry[S], good bool) {
	keep := good && e.mark.revision > 0 && (s.done == nil || !s.done(e.state))
	sh := s.shard(e.stream)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e.held = false
	if e.released != nil {
		close(e.released)
		e.released = nil
	}
	if !keep {
		delete(sh.entries, e.stream)
		return
	}
	sh.link(e)
	if sh.kept > sh.limit {
		oldest := sh.idle.prev
		sh.unlink(oldest)
		delete(sh.entries, oldest.stream)
	}
}

func (sh *shard[S]) link(e *entry[S]) {
	e.prev, e.next = &sh.idle, sh.idle.next
	e.prev.next, e.next.prev = e, e
	sh.kept++
}

func (sh *shard[S]) unlink(e *entry[S]) {
	e.prev.next, e.next.prev = e.next, e.prev
	e.prev, e.next = nil, nil
	sh.kept--
}

// refresh folds what the stream has beyond the entry's mark, and reports whether
// there was anything.
func (s *states[S]) refresh(ctx context.Context, store eventstore.Store, e *entry[S]) (changed bool, err error) {
	var page [readPage]*eventstore.Record
	for {
		records, err := store.ReadStream(ctx, page[:0], e.stream, e.mark.revision+1, readPage, eventstore.Forwards)
		if err != nil {
			return changed, err
		}
		for _, r := range records {
			m, err := message(r)
			if err != nil {
				return changed, err
			}
			if m != nil {
				e.state = s.evolve(e.state, m)
			}
			e.mark = mark{r.Revision, r.Position, r.Time}
			changed = true
		}
		if len(records) < readPage {
			return changed, nil
		}
	}
}

// message returns what a record says; nil if this version doesn't know its type,
// which then can't matter to it.
func message(r *eventstore.Record) (proto.Message, error) {
	if m, ok := r.Value.(proto.Message); ok {
		return m, nil
	}
	m, err := event.Decode(r.Type, r.Data)
	if errors.Is(err, event.ErrUnknown) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read #%d of %s: %w", r.Position, r.Stream, err)
	}
	return m, nil
}

func (s *states[S]) shard(stream eventstore.StreamID) *shard[S] {
	h := uint32(2166136261) // FNV-1a
	for i := range len(stream) {
		h = (h ^ uint32(stream[i])) * 16777619
	}
	return &s.shards[h%shards]
}
