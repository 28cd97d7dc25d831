package embedded

import (
	"context"
	"errors"
	"fmt"

	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/wal"
)

const (
	maxQueued      = 1024    // calls that wait for the writer; more block in AppendEach
	maxFrameEvents = 4096    // events and appends in one frame
	maxFrameBytes  = 1 << 20 // of a frame's events, unless its only append has more

	// recordOverhead bounds what a record's canonical form adds to the bytes
	// that eventstore.Append.Size counts and to the stream's name.
	recordOverhead = 24
)

// call is one AppendEach under way.
type call struct {
	appends []eventstore.Append
	results []eventstore.Result
	left    int           // well-formed appends without a result; owned by the writer once it is sent
	err     error         // of the whole call
	done    chan struct{} // closed when results and err are final
}

// item is one append of a call.
type item struct {
	*call
	i int
}

func (t item) append() *eventstore.Append { return &t.appends[t.i] }

func (t item) refuse(err error) { t.results[t.i] = eventstore.Result{Err: err} }

// writer appends: whoever has the turn takes what has queued up, judges it,
// writes it as one frame with one sync, and answers all. The turn goes from
// caller to caller, so that an append that is alone costs no change of goroutine.
type writer struct {
	store   *Store
	in      chan *call    // bounded by maxQueued
	turn    chan struct{} // holds a token while somebody has the turn
	closing chan struct{} // closed when Close begins
	stopped chan struct{} // closed when nothing is written any more

	// Owned by whoever has the turn.
	taken  *call // the call that items are being taken from, and the next one
	next   int
	batch  []item
	events int // in batch
	draft  draft
	begun  []eventstore.StreamID // streams whose first record is in the current journal
}

func newWriter(s *Store) *writer {
	return &writer{
		store: s, in: make(chan *call, maxQueued), turn: make(chan struct{}, 1),
		closing: make(chan struct{}), stopped: make(chan struct{}),
	}
}

// send queues a call and waits for its answer, taking the turn when it is free.
func (w *writer) send(ctx context.Context, c *call) error {
	select {
	case <-w.stopped:
		return w.store.gone()
	case <-w.closing:
		return w.store.gone()
	default:
	}
	select {
	case w.in <- c:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.stopped:
		return w.store.gone()
	}
	for {
		select {
		case <-c.done:
			return c.err
		case w.turn <- struct{}{}:
			w.write(c)
		case <-w.stopped:
			select {
			case <-c.done: // it was answered last
				return c.err
			default: // it was queued after the last look, or there was a failure
				return w.store.gone()
			}
		}
	}
}

// write writes frames until c is answered, then gives up the turn. A panic, which
// somebody above may well recover from, ends the store: nothing is left half done.
func (w *writer) write(c *call) {
	defer func() {
		r := recover()
		if r != nil {
			w.store.fail(fmt.Errorf("panic while appending: %v", r))
			w.end()
		}
		<-w.turn
		if r != nil {
			panic(r)
		}
	}()
	for {
		select {
		case <-c.done:
			return
		case <-w.stopped:
			return
		default:
		}
		if !w.frame() {
			return
		}
	}
}

// frame writes what is queued, as far as it fits into one frame. It returns
// false if there is nothing, or no more will be written.
func (w *writer) frame() bool {
	if !w.gather() {
		return false
	}
	w.room()
	w.commit(w.batch, false)
	for _, t := range w.batch {
		if t.left--; t.left == 0 {
			close(t.done)
		}
	}
	if w.store.Err() != nil {
		w.end() // calls that are not answered find out by this
		return false
	}
	return true
}

func (w *writer) end() {
	select {
	case <-w.stopped:
	default:
		close(w.stopped)
	}
}

// close writes what was queued before and keeps the turn for ever.
func (w *writer) close() {
	close(w.closing)
	w.turn <- struct{}{}
	for w.frame() {
	}
	w.end()
}

// gather takes the next frame's appends: all that is queued and fits. It returns
// false if nothing is.
func (w *writer) gather() bool {
	clear(w.batch)
	w.batch = w.batch[:0]
	w.events = 0
	bytes := 0
	for {
		if w.taken == nil && !w.take() {
			return len(w.batch) > 0
		}
		for ; w.next < len(w.taken.appends); w.next++ {
			t := item{w.taken, w.next}
			if t.results[t.i].Err != nil { // it was malformed
				continue
			}
			n, size := frameSize(t.append())
			full := w.events+n > maxFrameEvents || bytes+size > maxFrameBytes || len(w.batch) == maxFrameEvents
			if full && len(w.batch) > 0 {
				return true
			}
			w.events, bytes = w.events+n, bytes+size
			w.batch = append(w.batch, t)
		}
		w.taken = nil
	}
}

// take makes the next queued call the taken one.
func (w *writer) take() bool {
	select {
	case w.taken = <-w.in:
		w.next = 0
		return true
	default:
		return false
	}
}

func frameSize(a *eventstore.Append) (events, bytes int) {
	events, bytes = a.Size()
	for i := range a.Batches {
		bytes += len(a.Batches[i].Events) * (len(a.Batches[i].Stream) + recordOverhead)
	}
	return events, bytes
}

// commit judges a batch of appends and writes those that hold as one frame.
func (w *writer) commit(batch []item, again bool) {
	s := w.store
	switch err := w.try(batch); {
	case err == nil:
	case errors.Is(err, wal.ErrFull) && !again:
		s.space.enter()
		w.commit(batch, true) // what is essential may fit into what the reserve held
	case errors.Is(err, wal.ErrFull):
		for _, t := range batch {
			t.refuse(s.space.refusal())
		}
	default:
		s.fail(err)
		for _, t := range batch {
			t.err = s.Err()
		}
	}
}

func (w *writer) try(batch []item) error {
	s := w.store
	if err := s.Err(); err != nil { // a reader may have found damage
		return err
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	t := s.tail.Load()
	now, wall := s.clock.read()
	w.draft.begin(t, max(now, t.time), max(now, wall), w.events, len(batch))
	ready, refusal := s.index.usable()
	if refusal == nil {
		refusal = w.prefetch(ready, batch)
	}
	low := s.space.isLow()
	for _, t := range batch {
		switch {
		case refusal != nil:
			t.refuse(refusal)
		case low && !s.space.essential(t.append()):
			t.refuse(s.space.refusal())
		default:
			t.results[t.i] = w.judge(t.append())
		}
	}
	if len(w.draft.records) > 0 {
		if err := w.record(t); err != nil {
			return err
		}
	}
	// A conflict may be with an append of this very frame.
	head := s.tail.Load().head
	for _, t := range batch {
		var conflict *eventstore.ConflictError
		if err := t.results[t.i].Err; err != nil && errors.As(err, &conflict) {
			conflict.Head = head
		}
	}
	return nil
}

// record makes the draft durable, then readable.
func (w *writer) record(t *tail) error {
	s, d := w.store, &w.draft
	if s.log.Full(len(d.buf)) {
		if err := w.roll(t); err != nil {
			return err
		}
		t = s.tail.Load()
	}
	header := wal.Header{First: uint64(d.first), Count: uint32(len(d.records)), Chain: t.chain}
	if err := s.log.Append(header, d.buf); err != nil {
		return err
	}
	f := &frame{number: s.log.LastFrame(), first: d.first, chain: t.chain, records: d.records, starts: d.starts}
	indexed := s.index.indexed()
	for i := range d.runs {
		r := &d.runs[i]
		h := s.heads.stream(r.Stream)
		if h == nil {
			h = &head{origin: r.Origin}
		}
		s.heads.put(r.Stream, h.with(span{r.Position, r.Revision, r.Count}, indexed))
		if r.AppendID {
			s.heads.putID(r.ID, r.Position)
		}
		if r.Revision == 1 {
			w.begun = append(w.begun, r.Stream)
		}
	}
	s.heads.turn(f.last(), indexed)
	s.index.add(d.runs, f, d.chain.Hash)
	s.tail.Store(t.with(f, d.chain.Hash))
	close(t.next)
	return nil
}

// roll seals the journal. Its frames leave memory.
func (w *writer) roll(t *tail) error {
	s := w.store
	meta := sealMeta{lastTime: t.time, maxID: s.heads.now, begun: newBloom(w.begun)}
	if err := s.log.Roll(t.chain, meta.encode()); err != nil {
		return err
	}
	w.begun = w.begun[:0]
	s.index.journalEnded()
	s.tail.Store(t.rolled())
	return nil
}

// room waits until the index is not too far behind. When the store closes it
// waits no longer: what was taken is written all the same.
func (w *writer) room() {
	for w.store.index.behind(w.store.tail.Load().head) {
		select {
		case <-w.store.index.moved:
		case <-w.closing:
			return
		}
	}
}
