package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/embedded/index"
	"github.com/hodei-jobs/hodei/eventstore/wal"
)

const (
	maxUnindexed = 200_000 // events; appends wait above it
	indexBatch   = 32_000  // events in one transaction: large ones cost appends less

	indexRetry = time.Second // between tries to write the index on a full disk
)

// indexer owns the index: it scrubs it, brings it up to the log's end, writes
// what is appended behind the writer, and makes a new one when it is damaged.
type indexer struct {
	store  *Store
	files  indexFiles
	logger *slog.Logger

	state atomic.Pointer[indexState]
	done  atomic.Uint64 // position up to which everything is indexed
	share atomic.Uint64 // float64 bits: how far the preparation is
	low   atomic.Bool   // the disk is too full to write the index

	moved chan struct{} // holds a token when done has grown or state has changed
	wake  chan struct{} // holds a token when there is work
	ready chan struct{} // closed when the index was usable for the first time

	mu      sync.Mutex // guards what the writer leaves for the indexer
	pending []index.Run
	events  int
	to      index.Checkpoint // after pending was written
	rolled  int              // journals since the last copy

	copying copying

	once    sync.Once
	stopped chan struct{}
}

// indexState is what others see of the index.
type indexState struct {
	index  index.Index
	refuse string // why appends are refused; empty if the index is whole
	cause  error  // the index is damaged: this was found
}

// newIndexer takes an open index, and damage that was found in it, if any.
func newIndexer(s *Store, files indexFiles, ix index.Index, damage error) *indexer {
	x := &indexer{
		store: s, files: files, logger: s.logger,
		moved: make(chan struct{}, 1), wake: make(chan struct{}, 1),
		ready: make(chan struct{}), stopped: make(chan struct{}),
	}
	x.done.Store(uint64(ix.Checkpoint().Position))
	x.state.Store(&indexState{index: ix, refuse: "its index is being checked", cause: damage})
	return x
}

// usable returns the state with an index that can be believed, or why appends are
// refused.
func (x *indexer) usable() (*indexState, error) {
	s := x.state.Load()
	if x.low.Load() && x.far(x.store.tail.Load().head) {
		return nil, x.store.space.refusal()
	}
	if s.refuse != "" {
		return nil, &eventstore.ReadOnlyError{Reason: s.refuse, Progress: math.Float64frombits(x.share.Load())}
	}
	return s, nil
}

func (x *indexer) indexed() eventstore.Position { return eventstore.Position(x.done.Load()) }

// behind reports whether appends must wait for the index. They don't if it is
// being prepared or its disk is full: they are refused then. Half the way there a
// copy is given up, for which the index may be waiting.
func (x *indexer) behind(head eventstore.Position) bool {
	if head > x.indexed()+maxUnindexed/2 {
		x.copying.giveUp()
	}
	return x.far(head) && x.state.Load().refuse == "" && !x.low.Load()
}

func (x *indexer) far(head eventstore.Position) bool { return head > x.indexed()+maxUnindexed }

// add leaves a frame's runs for the indexer. Called by the writer.
func (x *indexer) add(runs []index.Run, f *frame, after eventstore.Hash) {
	x.mu.Lock()
	x.pending = append(x.pending, runs...)
	x.events += len(f.records)
	x.to = index.Checkpoint{Position: f.last(), Chain: after, Frame: f.number}
	work := x.events >= indexBatch
	x.mu.Unlock()
	if work {
		token(x.wake)
	}
}

func token(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// condemn says that the index is damaged, as it was asked in state s. It is made
// anew; until then appends are refused with the error that is returned, never nil.
// If another state has come since, its index is not to blame.
func (x *indexer) condemn(s *indexState, cause error) error {
	if s.refuse == "" && x.state.CompareAndSwap(s, &indexState{index: s.index, refuse: "its index is damaged and is made anew", cause: cause}) {
		x.share.Store(0)
		token(x.wake)
		token(x.moved)
	}
	if _, err := x.usable(); err != nil {
		return err
	}
	return &eventstore.ReadOnlyError{Reason: "its index has just been made anew", Progress: 1}
}

// run prepares the index, then follows the log until ctx ends.
func (x *indexer) run(ctx context.Context) {
	defer close(x.stopped)
	x.prepare(ctx)
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-x.wake:
			x.step(ctx)
		}
	}
	x.flush()
}

func (x *indexer) step(ctx context.Context) {
	if x.state.Load().cause != nil {
		x.prepare(ctx)
		return
	}
	err := x.write(indexBatch)
	switch {
	case err == nil:
		x.low.Store(false)
		x.copyIfDue(ctx)
	case wal.NoRoom(err):
		x.low.Store(true)
		token(x.moved)
		x.store.space.enter()
		x.pause(ctx)
		token(x.wake)
	default:
		_ = x.condemn(x.state.Load(), err) // appends are told
	}
}

func (x *indexer) pause(ctx context.Context) {
	t := time.NewTimer(indexRetry)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// write takes what is pending into the index, if it is at least least events.
// On an error it stays pending; so it does while the disk's room is for others.
func (x *indexer) write(least int) error {
	x.mu.Lock()
	runs, to, events := x.pending, x.to, x.events
	if events == 0 || events < least {
		x.mu.Unlock()
		return nil
	}
	if x.store.space.isLow() {
		x.mu.Unlock()
		return wal.ErrFull
	}
	x.pending, x.events = nil, 0
	x.mu.Unlock()
	if err := x.state.Load().index.Write(runs, to); err != nil {
		x.mu.Lock()
		x.pending = append(runs, x.pending...)
		x.events += events
		x.mu.Unlock()
		return err
	}
	x.done.Store(uint64(to.Position))
	token(x.moved)
	return nil
}

// flush writes what is left when the store closes. If it can't, the next start
// reads it from the log again.
func (x *indexer) flush() {
	x.copying.end()
	s := x.state.Load()
	if s.refuse == "" {
		if err := x.write(1); err != nil {
			x.logger.Warn("index is not up to date; the next start makes up for it", "error", err)
		}
	}
	if err := x.files.close(s.index); err != nil {
		x.logger.Warn("cannot close index", "error", err)
	}
}

// prepare scrubs the index and brings it up to the log's end; if it is damaged
// a new one is made, over and over if need be. Then appends are taken.
func (x *indexer) prepare(ctx context.Context) {
	x.copying.end()        // it is of an index that may go
	x.store.writing.Lock() // a frame that was judged before appends were refused is finished
	s := x.state.Load()
	x.store.writing.Unlock()
	ix, err := s.index, s.cause
	if err == nil {
		err = x.scrub(ctx, ix)
	}
	if err == nil {
		err = x.catchUp(ctx, ix)
	}
	for err != nil && ctx.Err() == nil && x.store.Err() == nil {
		x.logger.Warn("index cannot be used and is made anew from the log", "error", err)
		if ix, err = x.renew(ctx, ix); err != nil {
			x.state.Store(&indexState{index: ix, refuse: "its index cannot be made: " + err.Error()})
			x.pause(ctx)
		}
	}
	if ctx.Err() != nil || x.store.Err() != nil { // closed, or the log itself is damaged
		return
	}
	// The writer must not be in the middle of a frame that it judged by the old one.
	x.store.writing.Lock()
	x.store.heads.reset()
	x.mu.Lock()
	x.pending, x.events = nil, 0
	x.mu.Unlock()
	x.done.Store(uint64(x.store.tail.Load().head))
	x.state.Store(&indexState{index: ix})
	x.store.writing.Unlock()
	x.once.Do(func() { close(x.ready) })
	token(x.moved)
}

// scrub finds the index whole; from there on its making goes on after a kill.
func (x *indexer) scrub(ctx context.Context, ix index.Index) error {
	if ix.Checkpoint().Position > 0 {
		if err := ix.Scrub(ctx, func(done, total uint64) { x.progress(done, total) }); err != nil {
			return err
		}
	}
	x.files.unmark()
	return nil
}

func (x *indexer) progress(done, total uint64) {
	if total > 0 {
		x.share.Store(math.Float64bits(float64(done) / float64(total)))
	}
}

// renew puts another index in the place of a damaged one and brings it up to
// the log's end. On an error it is called again with what it returned.
func (x *indexer) renew(ctx context.Context, old index.Index) (index.Index, error) {
	if err := x.files.close(old); err != nil {
		x.logger.Warn("cannot close damaged index", "error", err)
	}
	ix, err := x.files.replace()
	if err != nil {
		return old, err
	}
	x.state.Store(&indexState{index: ix, refuse: "its index is made anew from the log"})
	if err := x.scrub(ctx, ix); err != nil {
		return ix, err
	}
	return ix, x.catchUp(ctx, ix)
}

// catchUp takes the log after the index's checkpoint into the index, verifying
// the chain. Nothing is appended meanwhile.
func (x *indexer) catchUp(ctx context.Context, ix index.Index) error {
	from, head := ix.Checkpoint(), x.store.tail.Load().head
	if from.Position >= head {
		if from.Position > head {
			return fmt.Errorf("the index goes to #%d, the log to #%d", from.Position, head)
		}
		return nil
	}
	chain := eventstore.Chain{Hash: from.Chain, Position: from.Position}
	m := newRunMaker(ix)
	to, last := from, int64(0) // last is a time
	for w, err := range x.store.log.Frames(uint64(from.Position) + 1) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return x.store.stop(err)
		}
		f, err := decode(w)
		if err != nil {
			return x.store.damage(w, err)
		}
		if from.Position > 0 && to == from && (f.first != chain.Position+1 || f.chain != chain.Hash) {
			return fmt.Errorf("the chain at #%d is not the one that the index has", from.Position)
		}
		if err := f.follows(&chain, last); err != nil {
			return x.store.damage(w, err)
		}
		last = f.records[len(f.records)-1].Time
		if err := m.take(f); err != nil {
			return err
		}
		to = index.Checkpoint{Position: f.last(), Chain: chain.Hash, Frame: f.number}
		if m.events >= indexBatch {
			if err := m.write(ix, to); err != nil {
				return err
			}
			x.progress(uint64(to.Position), uint64(head))
		}
	}
	return m.write(ix, to)
}
