package embedded

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/embedded/index"
)

// streamView is a stream as one read sees it. While the index can't be believed
// all spans are in it, else those that the index does not have.
type streamView struct {
	stream   eventstore.StreamID
	revision eventstore.Revision
	head     head
}

// openStream finds out what there is of a stream, up to the durable head.
func (s *Store) openStream(ctx context.Context, stream eventstore.StreamID) (streamView, error) {
	if s.closed() {
		return streamView{}, eventstore.ErrClosed
	}
	ix, refused := s.index.usable()
	if refused != nil {
		return s.scanStream(ctx, stream)
	}
	t := s.tail.Load()
	if h := s.heads.stream(stream); h != nil {
		return streamView{stream, h.visible(t.head), *h}, nil
	}
	v := streamView{stream: stream}
	var run index.Run
	err := ix.View(func(r index.Reader) error {
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
		_ = s.index.condemn(err)
		return s.scanStream(ctx, stream)
	}
	if v.revision > 0 && s.checkRun(stream, run, v.revision) != nil {
		return s.scanStream(ctx, stream)
	}
	return v, nil
}

// checkRun holds an answer of the index against the log: the record with
// revision r, which run has, must be what and where the index says. If it is
// not, the index is condemned.
func (s *Store) checkRun(stream eventstore.StreamID, run index.Run, r eventstore.Revision) error {
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
	return s.index.condemn(fmt.Errorf("the index says that revision %d of %s is at #%d, where it is not", r, stream, p))
}

// spanOf returns the span with revision r of a stream.
func (s *Store) spanOf(v streamView, r eventstore.Revision) (span, error) {
	if sp, ok := v.head.span(r); ok {
		return sp, nil
	}
	var run index.Run
	err := s.index.state.Load().index.View(func(x index.Reader) error {
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
		return span{}, s.index.condemn(err)
	}
	return span{run.Position, run.Revision, run.Count}, nil
}

// scanStream finds a stream's records in the log itself: slow, but right while
// the index is being checked or made anew. Journals before the one in which the
// stream begins are passed over by the seals' filters.
func (s *Store) scanStream(ctx context.Context, stream eventstore.StreamID) (streamView, error) {
	v := streamView{stream: stream}
	t := s.tail.Load()
	from := eventstore.Position(max(1, s.log.First()))
	for _, j := range s.log.Journals() {
		meta, ok := decodeSealMeta(j.Meta)
		if !j.Sealed || !ok || meta.begun.mayHave(stream) {
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
