package joblog

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"sync"

	"github.com/hodei-jobs/hodei/eventstore/wal"
)

const (
	cachedFrames = 8  // runs of frames kept for readers that go on where they were
	maxPassed    = 64 // frames a read passes over before it hands back what it has
)

// ErrDamaged says that the journal does not have bytes it must have.
var ErrDamaged = errors.New("joblog: bytes of the log are missing from the journal")

// Read returns the log's pieces from the offset on, at most limit bytes of them
// (at least one if there are any), and the offset to go on from. The first and
// last piece are cut to fit. Bytes that are not durable yet are among them. It
// returns none at the log's head, or above it; it may return fewer than there
// are as long as next moves on. Data must not be changed.
//
// Errors: ErrGone, ErrAway, ErrDamaged, ctx's, or those of the journal.
func (l *Log) Read(ctx context.Context, k Key, from uint64, limit int) (pieces []Piece, next uint64, err error) {
	limit = max(1, limit)
	a, end, ended := l.registry.find(k)
	switch {
	case a != nil:
		found, where, until, inRing := a.read(from, limit)
		if pieces = found; !inRing {
			pieces, err = l.readStored(ctx, k, from, until, limit, where)
		}
	case ended && from < end:
		old := l.registry.places(k)
		until, where := old.base, spans(nil)
		if from >= old.base {
			until, where = end, old.index.find(from)
		}
		pieces, err = l.readStored(ctx, k, from, until, limit, where)
	case !ended:
		var e Extent
		if e, err = l.extent(k); err == nil && from < e.End {
			pieces, err = l.options.Archive.Read(ctx, k, from, e.End, limit)
		}
	}
	return pieces, after(pieces, from), err
}

// readStored collects pieces in [from, until) from the journal or, if it is not
// known where in it they lie, from the archive. If the journal goes away
// meanwhile, the archive has them too.
func (l *Log) readStored(ctx context.Context, k Key, from, until uint64, limit int, where spans) (pieces []Piece, err error) {
	if len(where) > 0 {
		pieces, err = l.readJournal(ctx, k, from, until, limit, where)
		if err == nil || len(pieces) > 0 {
			return pieces, nil
		}
	}
	e, failed := l.extent(k)
	switch {
	case failed != nil:
		return nil, errors.Join(err, failed)
	case from < e.End:
		return l.options.Archive.Read(ctx, k, from, min(until, e.End), limit)
	case err == nil:
		err = ErrDamaged
	}
	return nil, err
}

// after is the offset after the last piece.
func after(pieces []Piece, from uint64) uint64 {
	if n := len(pieces); n > 0 {
		return pieces[n-1].End()
	}
	return from
}

// readJournal collects pieces in [from, until), which are durable. It follows
// the index and, where that has thinned out, passes over frames of others.
func (l *Log) readJournal(ctx context.Context, k Key, from, until uint64, limit int, where spans) (pieces []Piece, err error) {
	entry := max(where[0].entry, l.journal.First()) // it may be from before journals were removed
	for passed := 0; from < until && limit > 0 && passed < maxPassed; {
		if err := ctx.Err(); err != nil {
			return pieces, err
		}
		frame, err := l.frames.get(l.journal, entry)
		if err != nil {
			return pieces, fmt.Errorf("cannot read job log: %w", err)
		}
		var found int
		if pieces, found, err = collect(pieces, frame, k, from, until, limit); err != nil {
			return pieces, err
		}
		from, limit = from+uint64(found), limit-found
		if found == 0 && len(pieces) > 0 {
			passed++
		}
		for len(where) > 0 && where[0].offset < from {
			where = where[1:]
		}
		entry = frame.Next()
		if len(where) > 0 && where[0].offset == from {
			entry = where[0].entry
		}
	}
	return pieces, nil
}

// collect appends to pieces what the frame has of the attempt in [from, until),
// at most limit bytes, and returns how many that are.
func collect(pieces []Piece, f wal.Frame, k Key, from, until uint64, limit int) ([]Piece, int, error) {
	found := 0
	for head, data := range blocks(f.Body) {
		if head.key != k || head.kind != kindPieces || head.offset >= until {
			continue
		}
		b, err := decodeBlock(data)
		if err != nil {
			return pieces, found, err
		}
		for _, p := range b.pieces {
			if p.End() <= from || p.Offset >= until || found == limit {
				continue
			}
			if p.Offset > from {
				return pieces, found, ErrDamaged
			}
			p = p.Cut(from, min(until, from+uint64(limit-found)))
			pieces = append(pieces, p)
			found += len(p.Data)
			from += uint64(len(p.Data))
		}
	}
	return pieces, found, nil
}

// frameCache keeps the frames that were read last, so that a reader which goes
// on where it was, or a second one, does not read and check them again.
type frameCache struct {
	mu   sync.Mutex
	runs [cachedFrames]run
	turn int
}

// run is frames that follow each other, as the journal reads them at once.
type run struct {
	first, next uint64 // entries [first, next)
	frames      []wal.Frame
}

// get returns the frame with the entry.
func (c *frameCache) get(journal *wal.Log, entry uint64) (wal.Frame, error) {
	if f, ok := c.find(entry); ok {
		return f, nil
	}
	frames, err := journal.Block(entry)
	if err != nil {
		return wal.Frame{}, err
	}
	if len(frames) == 0 {
		return wal.Frame{}, ErrDamaged
	}
	r := run{frames[0].First, frames[len(frames)-1].Next(), frames}
	c.mu.Lock()
	c.runs[c.turn] = r
	c.turn = (c.turn + 1) % cachedFrames
	c.mu.Unlock()
	return r.at(entry), nil
}

func (c *frameCache) find(entry uint64) (wal.Frame, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.runs {
		if r.first <= entry && entry < r.next {
			return r.at(entry), true
		}
	}
	return wal.Frame{}, false
}

func (r run) at(entry uint64) wal.Frame {
	i := sort.Search(len(r.frames), func(i int) bool { return r.frames[i].Next() > entry })
	return r.frames[i]
}
