package embedded

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"

	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/embedded/index"
	"github.com/hodei-jobs/hodei/eventstore/wal"
)

const (
	// blockSlots is how many blocks of sealed journals stay decoded in memory,
	// some 64 KB of log each.
	blockSlots = 64

	// maxScan is how many records one ReadAll looks at for a filter.
	maxScan = 100_000
)

// block is a stretch of frames from a sealed journal.
type block struct {
	first, last eventstore.Position
	frames      []*frame
}

// blocks is a cache of blocks, each in the slot that its place in the log gives
// it. Readers never lock.
type blocks [blockSlots]atomic.Pointer[block]

var errBeyond = errors.New("there is no record at that position")

// block returns the block with the record at p, which is on disk.
func (s *Store) block(p eventstore.Position) (*block, error) {
	start, ok := s.log.BlockStart(uint64(p))
	if !ok {
		if uint64(p) < s.log.First() {
			return nil, wal.ErrRemoved
		}
		return nil, errBeyond
	}
	slot := &s.blocks[start*0x9e3779b97f4a7c15>>58]
	if b := slot.Load(); b != nil && b.first == eventstore.Position(start) && b.last >= p {
		return b, nil
	}
	stored, err := s.log.Block(start)
	if err != nil {
		return nil, s.stop(err)
	}
	b := &block{frames: make([]*frame, len(stored))}
	for i, w := range stored {
		if b.frames[i], err = decode(w); err != nil {
			return nil, s.damage(w, err)
		}
	}
	b.first, b.last = b.frames[0].first, b.frames[len(b.frames)-1].last()
	slot.Store(b)
	return b, nil
}

// frame returns the frame with the record at p.
func (s *Store) frame(p eventstore.Position) (*frame, error) {
	if f := s.tail.Load().find(p); f != nil {
		return f, nil
	}
	b, err := s.block(p)
	if err != nil {
		return nil, err
	}
	t := tail{begin: b.first, frames: b.frames, head: b.last}
	if f := t.find(p); f != nil {
		return f, nil
	}
	return nil, errBeyond
}

// ReadAll implements [eventstore.Store].
func (s *Store) ReadAll(ctx context.Context, buf []*eventstore.Record, from eventstore.Position, limit int, f eventstore.Filter) ([]*eventstore.Record, eventstore.Position, error) {
	t := s.tail.Load()
	from = max(from, 1)
	if s.closed() {
		return buf, from, eventstore.ErrClosed
	}
	all, end := f.All(), len(buf)+limit
	for seen := 0; from <= t.head && len(buf) < end && seen < maxScan; {
		if err := ctx.Err(); err != nil {
			return buf, from, err
		}
		frames := t.frames
		if from < t.begin {
			b, err := s.block(from)
			if err != nil {
				return buf, from, err
			}
			frames = b.frames
		}
		local := tail{begin: frames[0].first, frames: frames, head: frames[len(frames)-1].last()}
		for _, fr := range frames[local.index(from):] {
			records := fr.records[from-fr.first:]
			seen += len(records)
			for i := range records {
				if len(buf) == end {
					return buf, from, nil
				}
				if r := &records[i]; all || f.Match(r) {
					buf = append(buf, r)
				}
				from++
			}
			if seen >= maxScan {
				break
			}
		}
	}
	return buf, from, nil
}

// ReadStream implements [eventstore.Store].
func (s *Store) ReadStream(ctx context.Context, buf []*eventstore.Record, stream eventstore.StreamID, from eventstore.Revision, limit int, d eventstore.Direction) ([]*eventstore.Record, error) {
	v, err := s.openStream(ctx, stream)
	if err != nil {
		return buf, err
	}
	records, err := s.readStream(ctx, buf, v, from, limit, d)
	var condemned *eventstore.ReadOnlyError
	if errors.As(err, &condemned) { // the index was found damaged on the way
		if v, err = s.scanStream(ctx, stream); err == nil {
			records, err = s.readStream(ctx, buf, v, from, limit, d)
		}
	}
	return records, err
}

func (s *Store) readStream(ctx context.Context, buf []*eventstore.Record, v streamView, from eventstore.Revision, limit int, d eventstore.Direction) ([]*eventstore.Record, error) {
	step := eventstore.Revision(1)
	if d == eventstore.Backwards {
		step = ^eventstore.Revision(0) // −1
		if from == 0 || from > v.revision {
			from = v.revision
		}
	}
	from = max(from, 1)
	var sp span
	for end := len(buf) + limit; from >= 1 && from <= v.revision && len(buf) < end; from += step {
		if from-sp.revision >= eventstore.Revision(sp.count) { // also when from is below it
			if err := ctx.Err(); err != nil {
				return buf, err
			}
			var err error
			if sp, err = s.spanOf(v, from); err != nil {
				return buf, err
			}
		}
		r, err := s.readOne(v, sp, from)
		if err != nil {
			return buf, err
		}
		buf = append(buf, r)
	}
	return buf, nil
}

// readOne returns the record with revision r, which sp holds.
func (s *Store) readOne(v streamView, sp span, r eventstore.Revision) (*eventstore.Record, error) {
	p := sp.position + eventstore.Position(r-sp.revision)
	f, err := s.frame(p)
	if err != nil && !errors.Is(err, errBeyond) {
		return nil, err
	}
	if err != nil || f.at(p).Stream != v.stream || f.at(p).Revision != r {
		return nil, s.index.condemn(v.index, fmt.Errorf("the index says that revision %d of %s is at #%d, where it is not", r, v.stream, p))
	}
	return f.at(p), nil
}

// StreamRevision implements [eventstore.Store].
func (s *Store) StreamRevision(ctx context.Context, stream eventstore.StreamID) (eventstore.Revision, error) {
	v, err := s.openStream(ctx, stream)
	return v.revision, err
}

// Wait implements [eventstore.Store].
func (s *Store) Wait() (eventstore.Position, <-chan struct{}) {
	t := s.tail.Load()
	return t.head, t.next
}

// streamView is a stream as one read sees it. While the index can't be believed
// all spans are in it, else those that the index does not have.
type streamView struct {
	stream   eventstore.StreamID
	revision eventstore.Revision
	head     head
	index    *indexState // that was asked for the rest
}

// openStream finds out what there is of a stream, up to the durable head.
func (s *Store) openStream(ctx context.Context, stream eventstore.StreamID) (streamView, error) {
	if s.closed() {
		return streamView{}, eventstore.ErrClosed
	}
	state, refused := s.index.usable()
	if refused != nil {
		return s.scanStream(ctx, stream)
	}
	t := s.tail.Load()
	if h := s.heads.stream(stream); h != nil {
		return streamView{stream, h.visible(t.head), *h, state}, nil
	}
	v := streamView{stream: stream, index: state}
	var run index.Run
	err := state.index.View(func(r index.Reader) error {
		origin, ok := r.Origin(stream)
		if !ok {
			return nil
		}
		if run, ok = r.RunAt(origin, math.MaxUint64); !ok {
			return fmt.Errorf("the index knows where %s begins, but none of its records", stream)
		}
		v.head.origin = origin
		v.revision = run.Revision + eventstore.Revision(run.Count) - 1
		return nil
	})
	if err != nil {
		_ = s.index.condemn(state, err)
		return s.scanStream(ctx, stream)
	}
	if v.revision > 0 && s.checkRun(state, stream, run, v.revision) != nil {
		return s.scanStream(ctx, stream)
	}
	return v, nil
}

// checkRun holds an answer of the index against the log: the record with
// revision r, which run has, must be what and where the index says. If it is
// not, the index is condemned.
func (s *Store) checkRun(asked *indexState, stream eventstore.StreamID, run index.Run, r eventstore.Revision) error {
	p := run.Position + eventstore.Position(r-run.Revision)
	f, err := s.frame(p)
	if err != nil && !errors.Is(err, errBeyond) {
		return err
	}
	if err == nil {
		if rec := f.at(p); rec.Stream == stream && rec.Revision == r {
			return nil
		}
	}
	return s.index.condemn(asked, fmt.Errorf("the index says that revision %d of %s is at #%d, where it is not", r, stream, p))
}

// spanOf returns the span with revision r of a stream.
func (s *Store) spanOf(v streamView, r eventstore.Revision) (span, error) {
	if sp, ok := v.head.span(r); ok {
		return sp, nil
	}
	var run index.Run
	err := v.index.index.View(func(x index.Reader) error {
		var ok bool
		if run, ok = x.RunAt(v.head.origin, r); !ok {
			return fmt.Errorf("the index does not have revision %d of %s", r, v.stream)
		}
		if r-run.Revision >= eventstore.Revision(run.Count) {
			return fmt.Errorf("the index has a gap at revision %d of %s", r, v.stream)
		}
		return nil
	})
	if err != nil {
		return span{}, s.index.condemn(v.index, err)
	}
	return span{run.Position, run.Revision, run.Count}, nil
}

// scanStream finds a stream's records in the log itself: slow, but right while
// the index is being checked or made anew. Journals before the one in which the
// stream begins are passed over by the seals' filters.
func (s *Store) scanStream(ctx context.Context, stream eventstore.StreamID) (streamView, error) {
	v := streamView{stream: stream, index: s.index.state.Load()}
	t := s.tail.Load()
	from := eventstore.Position(max(1, s.log.First()))
	for _, j := range s.log.Journals() {
		if !j.Sealed || mayBegin(j, stream) {
			break
		}
		from = eventstore.Position(j.Next)
	}
	var buf []*eventstore.Record
	filter := eventstore.Filter{Prefixes: []string{string(stream)}}
	for from <= t.head {
		var err error
		if buf, from, err = s.ReadAll(ctx, buf[:0], from, maxScan, filter); err != nil {
			return v, err
		}
		for _, r := range buf {
			if r.Stream != stream || r.Position > t.head {
				continue
			}
			if v.revision == 0 {
				v.head.origin = r.Position
			}
			v.revision = r.Revision
			v.head.spans = append(v.head.spans, span{r.Position, r.Revision, 1})
		}
	}
	return v, nil
}
