package archive

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/hodei-jobs/hodei/eventstore/blob"
	"github.com/hodei-jobs/hodei/projections/joblog"
	"github.com/hodei-jobs/hodei/projections/joblog/segment"
)

const (
	maxReaders = 32 // segments kept open: each holds its index and a frame of 256 KiB
	readTries  = 4  // a segment may be replaced between its lookup and its reading
)

// Read implements [joblog.Archive].
func (a *Archive) Read(ctx context.Context, k joblog.Key, from, until uint64, limit int) ([]joblog.Piece, error) {
	var err error
	for range readTries {
		var r record
		var ok bool
		if r, ok, err = a.catalog.get(k); err != nil {
			return nil, err
		}
		switch {
		case r.has(gone):
			return nil, joblog.ErrGone
		case !ok || from >= r.end:
			return nil, joblog.ErrDamaged
		}
		var pieces []joblog.Piece
		pieces, err = a.read(ctx, k, r.holding(from), from, min(limit, int(min(until-from, 1<<30))))
		if !errors.Is(err, blob.ErrNotFound) {
			return pieces, named(k, err)
		}
	}
	return nil, fmt.Errorf("%w: %w", joblog.ErrDamaged, err)
}

// holding returns the segment with the offset, which lies below the end.
func (r record) holding(offset uint64) ref {
	for _, s := range r.segments {
		if offset < s.end {
			return s
		}
	}
	return ref{}
}

// named names an error as joblog does.
func named(k joblog.Key, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, blob.ErrUnavailable):
		return fmt.Errorf("%w: %w", joblog.ErrAway, err)
	case errors.Is(err, segment.ErrDamaged):
		return fmt.Errorf("%w: job %s attempt %d: %w", joblog.ErrDamaged, k.Job, k.Attempt, err)
	}
	return err
}

func (a *Archive) read(ctx context.Context, k joblog.Key, s ref, from uint64, limit int) ([]joblog.Piece, error) {
	name := s.name(k)
	r := a.readers.get(name)
	if r == nil {
		opened, err := segment.Open(ctx, a.fetch(name), s.stored)
		if err != nil {
			return nil, err
		}
		if have := opened.Summary(); have.Key != k || have.First != s.first || have.End != s.end {
			return nil, fmt.Errorf("%w: %s holds something else", segment.ErrDamaged, name)
		}
		a.readers.put(name, opened)
		r = opened
	}
	pieces, err := r.Read(ctx, from, limit)
	if errors.Is(err, blob.ErrNotFound) {
		a.readers.drop(name)
	}
	if err == nil && len(pieces) == 0 {
		err = segment.ErrDamaged
	}
	return pieces, err
}

// readers keeps the segments that were read last open.
type readers struct {
	mu   sync.Mutex
	open [maxReaders]opened
	turn int
}

type opened struct {
	name   string
	reader *segment.Reader
}

func (r *readers) get(name string) *segment.Reader {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range r.open {
		if o.name == name {
			return o.reader
		}
	}
	return nil
}

func (r *readers) put(name string, reader *segment.Reader) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open[r.turn] = opened{name, reader}
	r.turn = (r.turn + 1) % maxReaders
}

// drop forgets a segment that was removed.
func (r *readers) drop(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, o := range r.open {
		if o.name == name {
			r.open[i] = opened{}
		}
	}
}
