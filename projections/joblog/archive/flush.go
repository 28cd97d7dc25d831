package archive

import (
	"bytes"
	"context"
	"fmt"

	"github.com/hodei-jobs/hodei/projections/joblog"
)

// flushJournals is how many journals are flushed together if many have gathered:
// all of their bytes are in memory then.
const flushJournals = 4

// flush brings all closed journals into the store, oldest first, and removes each
// when all of it is there. It begins anew wherever it was interrupted.
func (a *Archive) flush(ctx context.Context, log *joblog.Log) error {
	for {
		journals := log.Closed()
		if len(journals) == 0 {
			return nil
		}
		journals = journals[:min(len(journals), flushJournals)]
		parts, err := log.Parts(journals)
		if err != nil {
			return err
		}
		if err := each(ctx, parts, a.flushPart); err != nil {
			return err
		}
		if err := log.Release(journals, parts); err != nil {
			return err
		}
		a.settled = true
		poke(a.tidyNow)
	}
}

// flushPart brings what one attempt has in closed journals into the store.
//
// A crash after the object was put leaves one that the catalog does not name: the
// next try finds it, or puts another with more in it. That is why what was written
// right after a start is not known to be alone in the store.
func (a *Archive) flushPart(ctx context.Context, p joblog.Part) error {
	r, _, err := a.catalog.get(p.Key)
	switch {
	case err != nil:
		return err
	case r.has(ended), p.End == r.end && !p.Ended:
		return nil // an earlier try went this far
	case p.First > r.end:
		return fmt.Errorf("%w: job %s attempt %d goes on at %d after %d", joblog.ErrDamaged, p.Key.Job, p.Key.Attempt, p.First, r.end)
	}
	added := record{end: r.end}
	if p.End > r.end {
		whole := p.Ended && r.end == 0
		data, s, err := pack(p.Key, r.end, from(p.Pieces, r.end))
		if err != nil {
			return err
		}
		name, s, err := a.put(ctx, s, whole, bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return err
		}
		added.end, added.segments = name.end, []ref{name}
		if whole {
			added.flags, added.digest, added.at = sealed, s.Digest, a.config.Clock().Unix()
		}
		if whole && a.settled {
			added.flags |= clean
		}
	}
	if p.Ended {
		added.flags |= ended
	}
	return a.catalog.change(func(t *tx) error {
		now, _, err := t.get(p.Key)
		if err != nil {
			return err
		}
		// Only its segments may have changed meanwhile, by a merge.
		now.flags, now.end, now.at, now.digest = now.flags|added.flags, added.end, added.at, added.digest
		now.segments = append(now.segments, added.segments...)
		return t.put(p.Key, now)
	})
}

// from returns the pieces from the offset on.
func from(pieces []joblog.Piece, offset uint64) []joblog.Piece {
	for len(pieces) > 0 && pieces[0].End() <= offset {
		pieces = pieces[1:]
	}
	if len(pieces) > 0 && pieces[0].Offset < offset {
		pieces = append([]joblog.Piece{pieces[0].Cut(offset, pieces[0].End())}, pieces[1:]...)
	}
	return pieces
}
