package embedded

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/hodei-jobs/hodei/eventstore"
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
		return nil, s.index.condemn(fmt.Errorf("the index says that revision %d of %s is at #%d, where it is not", r, v.stream, p))
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
