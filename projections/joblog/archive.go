package joblog

import (
	"context"
	"errors"
	"fmt"
)

// Archive is where logs last once they have left their journals. Package archive
// has one. All methods are safe for concurrent use.
type Archive interface {
	// Extent says what it has of the attempt. It reads this machine's disk at most.
	Extent(k Key) (Extent, error)
	// Unended returns the attempts of which it has bytes and not the end.
	Unended() ([]Key, error)
	// Read returns pieces from the offset on, which lies below until, as
	// [Log.Read] does: at least one byte, at most limit, none at or above until.
	// Errors: ErrGone, ErrAway, ErrDamaged, ctx's.
	Read(ctx context.Context, k Key, from, until uint64, limit int) ([]Piece, error)
}

// Extent is what an archive has of an attempt's log: its bytes from 0 to End.
type Extent struct {
	End   uint64
	Ended bool // the log ends there; an archive that says so has all of it
	Known bool // it has something, or did until it was removed
}

// Errors of [Log.Read] about what is in the archive.
var (
	ErrGone = errors.New("joblog: the log was removed, it was older or larger than what is kept")
	ErrAway = errors.New("joblog: the log is in a store that does not answer")
)

// Closed is a journal to which nothing is added any more.
type Closed struct {
	First, Next uint64 // entries of the journal, [First, Next)
	Bytes       int64
}

// Part is what one attempt has in closed journals that follow each other.
type Part struct {
	Key        Key
	First, End uint64
	Ended      bool    // the log's end is among it
	Pieces     []Piece // of [First, End), in order and without a gap
}

// Closed returns the journals to which nothing is added any more, oldest first.
func (l *Log) Closed() []Closed {
	var all []Closed
	for _, j := range l.journal.Journals() {
		if j.Sealed {
			all = append(all, Closed{j.First, j.Next, j.Bytes})
		}
	}
	return all
}

// Rolled returns a channel that is closed when the next journal closes.
func (l *Log) Rolled() <-chan struct{} { return l.writer.rolled() }

// Roll closes the newest journal soon, unless it is empty.
func (l *Log) Roll() { poke(l.writer.rollNow) }

// Parts returns what is in closed journals that follow each other, in no order.
// It holds all of their bytes in memory, so there should be few. Errors: those of
// the journal.
func (l *Log) Parts(journals []Closed) ([]Part, error) {
	if len(journals) == 0 {
		return nil, nil
	}
	byKey, next := map[Key]*Part{}, journals[len(journals)-1].Next
	for frame, err := range l.journal.Frames(journals[0].First) {
		if err != nil {
			return nil, err
		}
		if frame.First >= next {
			break
		}
		for _, data := range blocks(frame.Body) {
			b, err := decodeBlock(data)
			if err != nil {
				return nil, err
			}
			p := byKey[b.key]
			if p == nil {
				p = &Part{Key: b.key, First: b.offset, End: b.offset}
				byKey[b.key] = p
			}
			if b.offset != p.End {
				return nil, fmt.Errorf("%w: job %s attempt %d goes on at %d after %d", ErrDamaged, b.key.Job, b.key.Attempt, b.offset, p.End)
			}
			p.Pieces, p.End, p.Ended = append(p.Pieces, b.pieces...), b.end(), p.Ended || b.kind == kindEnd
		}
	}
	all := make([]Part, 0, len(byKey))
	for _, p := range byKey {
		all = append(all, *p)
	}
	return all, nil
}

// Release removes all journals up to the last of those that the parts are of. The
// archive has the parts, and says so: readers go there from now on. Errors: those
// of the journal, which has stopped then.
func (l *Log) Release(journals []Closed, parts []Part) error {
	if len(journals) == 0 {
		return nil
	}
	next := journals[len(journals)-1].Next
	for _, p := range parts {
		l.registry.release(p, next)
	}
	// A crash here leaves journals whose bytes are in the archive too.
	if err := l.journal.Remove(next - 1); err != nil {
		return err
	}
	for _, j := range journals {
		l.size.Add(-j.Bytes)
	}
	return nil
}

// release forgets what the journals before the entry have of the part, and a log
// that has ended there altogether.
func (r *registry) release(p Part, next uint64) {
	s := r.of(p.Key)
	s.mu.Lock()
	a := s.open[p.Key]
	if old, ok := s.retired[p.Key]; ok {
		if p.Ended {
			delete(s.retired, p.Key)
			if len(s.retired) == 0 {
				s.retired = nil // a map keeps the room for as many as it ever had
			}
		} else {
			old.index, old.base = old.index.from(p.End, old.end, next), p.End
			s.retired[p.Key] = old
		}
	}
	s.mu.Unlock()
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.index, a.base = a.index.from(p.End, a.durable, next), p.End
}

// from returns where the bytes from base to end lie in the frames from the entry
// next on.
func (s spans) from(base, end, next uint64) spans {
	for len(s) > 0 && s[0].entry < next {
		s = s[1:]
	}
	if base < end && (len(s) == 0 || s[0].offset > base) {
		s = append(spans{{base, next}}, s...)
	}
	return s
}

// extent asks the archive, if there is one.
func (l *Log) extent(k Key) (Extent, error) {
	if l.options.Archive == nil {
		return Extent{}, nil
	}
	e, err := l.options.Archive.Extent(k)
	if err != nil {
		l.options.Logger.Error("cannot look up a job's log in the archive", "job", k.Job, "attempt", k.Attempt, "error", err)
	}
	return e, err
}

// find returns the open log, or the end of one that has ended, or neither.
func (l *Log) find(k Key) (a *attempt, end uint64, ended bool) {
	if a, end, ended = l.registry.find(k); a != nil || ended {
		return a, end, ended
	}
	// What the registry forgets is in the archive before.
	if e, err := l.extent(k); err == nil && e.Ended {
		return nil, e.End, true
	}
	return nil, 0, false
}

// open returns the open log and makes it if there is none, or the end of one
// that has ended.
func (l *Log) open(k Key) (a *attempt, end uint64, ended bool, err error) {
	if a, end, ended = l.registry.find(k); a != nil || ended {
		return a, end, ended, nil
	}
	e, err := l.extent(k)
	if err != nil || e.Ended {
		return nil, e.End, e.Ended, err
	}
	a, end, ended = l.registry.open(k, e.End)
	return a, end, ended, nil
}

// loadArchive opens the logs of which the archive has bytes, the journals have
// none, and which have not ended.
func (l *Log) loadArchive() error {
	if l.options.Archive == nil {
		return nil
	}
	keys, err := l.options.Archive.Unended()
	if err != nil {
		return err
	}
	for _, k := range keys {
		if _, _, _, err := l.open(k); err != nil {
			return err
		}
	}
	return nil
}

// beginning returns from what offset on the journals have a log whose first part
// in them begins at first: 0, or what the archive has before.
func (l *Log) beginning(p part) (base uint64, err error) {
	if p.first == 0 {
		return 0, nil
	}
	e, err := l.extent(p.key)
	switch {
	case err != nil:
		return 0, err
	case e.End < p.first:
		return 0, fmt.Errorf("%w: job %s attempt %d begins at %d, the archive has it up to %d", ErrDamaged, p.key.Job, p.key.Attempt, p.first, e.End)
	}
	return p.first, nil
}
