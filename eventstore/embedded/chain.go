package embedded

import (
	"context"
	"fmt"
	"sort"
	"time"

	"github.com/hodei-jobs/hodei/eventstore"
)

// ChainAt implements [eventstore.Store].
func (s *Store) ChainAt(_ context.Context, p eventstore.Position) (eventstore.Hash, error) {
	if s.closed() {
		return eventstore.Hash{}, eventstore.ErrClosed
	}
	return s.chainAt(s.tail.Load(), p)
}

func (s *Store) chainAt(t *tail, p eventstore.Position) (eventstore.Hash, error) {
	switch {
	case p == 0:
		return eventstore.Hash{}, nil
	case p == t.head:
		return t.chain, nil
	case p > t.head:
		return eventstore.Hash{}, fmt.Errorf("cannot give the chain at #%d: the log ends at #%d", p, t.head)
	}
	f, err := s.frame(p)
	if err != nil {
		return eventstore.Hash{}, err
	}
	chain := eventstore.Chain{Hash: f.chain, Position: f.first - 1}
	for q := f.first; q <= p; q++ {
		chain.AddRecord(f.at(q))
	}
	return chain.Hash, nil
}

// PositionAt implements [eventstore.Store].
func (s *Store) PositionAt(ctx context.Context, at time.Time) (eventstore.Position, error) {
	if s.closed() {
		return 0, eventstore.ErrClosed
	}
	t, ns := s.tail.Load(), eventstore.Nanos(at)
	if ns >= t.time {
		return t.head, nil
	}
	if len(t.frames) > 0 && t.frames[0].records[0].Time <= ns {
		return lastBefore(t.frames, ns), nil
	}
	for _, j := range s.log.Journals() {
		meta, ok := decodeSealMeta(j.Meta)
		if j.Sealed && ok && meta.lastTime <= ns {
			continue
		}
		return s.positionIn(ctx, eventstore.Position(j.First), eventstore.Position(j.Next), ns)
	}
	return t.head, nil
}

// positionIn returns the position of the last record with a time up to ns, of
// which it is known that it is from−1 or in [from, to).
func (s *Store) positionIn(ctx context.Context, from, to eventstore.Position, ns int64) (eventstore.Position, error) {
	found := from - 1
	for from < to {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		f, err := s.frame(from + (to-from)/2)
		if err != nil {
			return 0, err
		}
		if p := lastBefore([]*frame{f}, ns); p == f.last() {
			found, from = p, p+1
		} else if p >= f.first {
			return p, nil
		} else {
			to = f.first
		}
	}
	return found, nil
}

// lastBefore returns the last position in frames with a time up to ns, or the
// position before the first.
func lastBefore(frames []*frame, ns int64) eventstore.Position {
	n := sort.Search(len(frames), func(i int) bool { return frames[i].records[0].Time > ns })
	if n == 0 {
		return frames[0].first - 1
	}
	f := frames[n-1]
	k := sort.Search(len(f.records), func(i int) bool { return f.records[i].Time > ns })
	return f.first + eventstore.Position(k) - 1
}

// VerifyAll reads the whole log as it is now and verifies it: checksums, the
// chain from its first record to the head, that positions are dense and that
// time never goes back. progress, if not nil, is called now and then. A record
// that is not what was written is an *eventstore.DamageError, and ends the store.
func (s *Store) VerifyAll(ctx context.Context, progress func(done, head eventstore.Position)) error {
	if s.closed() {
		return eventstore.ErrClosed
	}
	t := s.tail.Load()
	journals := s.log.Journals()
	first := journals[0]
	chain := eventstore.Chain{Hash: first.Chain, Position: eventstore.Position(first.First) - 1}
	var time int64
	for w, err := range s.log.Frames(first.First) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return s.stop(err)
		}
		if eventstore.Position(w.First) > t.head {
			break
		}
		f, err := decode(w)
		if err == nil {
			err = f.follows(&chain, time)
		}
		if err != nil {
			return s.damage(w, err)
		}
		time = f.records[len(f.records)-1].Time
		for len(journals) > 1 && journals[0].Next == w.Next() { // sealed
			if journals[0].ChainAfter != chain.Hash {
				return s.damage(w, fmt.Errorf("the seal of %s has another chain", journals[0].Folder()))
			}
			journals = journals[1:]
			if progress != nil {
				progress(chain.Position, t.head)
			}
		}
	}
	if progress != nil {
		progress(chain.Position, t.head)
	}
	if chain.Position == t.head && chain.Hash != t.chain {
		return s.stop(s.refuse(t.head, "the chain of the records is not the one in memory", damageHelp))
	}
	return nil
}
