package archive

import (
	"context"
	"time"

	"github.com/hodei-jobs/hodei/eventstore/blob"
	"github.com/hodei-jobs/hodei/projections/joblog"
	"github.com/hodei-jobs/hodei/projections/joblog/segment"
)

// toldAfter is how old a whole log is that Config.Sealed surely was told of, when
// the catalog that knew is lost.
const toldAfter = 24 * time.Hour

// rebuild makes the catalog from the store's list: of each log the segments that
// lead furthest without a gap.
func (a *Archive) rebuild(ctx context.Context) error {
	found := map[joblog.Key][]blob.Info{}
	count := 0
	for info, err := range a.store.List(ctx, "") {
		if err != nil {
			return err
		}
		if k, _, ok := parseName(info.Key); ok {
			found[k] = append(found[k], info)
			count++
		}
	}
	keys := make([]joblog.Key, 0, len(found))
	for k := range found {
		keys = append(keys, k)
	}
	err := each(ctx, keys, func(ctx context.Context, k joblog.Key) error { return a.restore(ctx, k, found[k]) })
	if err != nil {
		return err
	}
	if count > 0 {
		a.logger.Info("the catalog of logs was made from the store", "logs", len(keys), "objects", count)
	}
	return a.catalog.completed()
}

// restore makes the record of one log.
func (a *Archive) restore(ctx context.Context, k joblog.Key, objects []blob.Info) error {
	var r record
	for {
		best, at := ref{}, time.Time{}
		for _, info := range objects {
			_, s, _ := parseName(info.Key)
			s.stored = info.Size
			if s.whole && r.end == 0 || s.first == r.end && s.end > best.end && !best.whole {
				best, at = s, info.Modified
			}
		}
		if best.end == 0 {
			break
		}
		opened, err := segment.Open(ctx, a.fetch(best.name(k)), best.stored)
		if err != nil {
			return err
		}
		best.lines = opened.Summary().Lines
		r.end, r.segments = best.end, append(r.segments, best)
		if best.whole {
			r.flags, r.digest, r.at = ended|sealed, opened.Summary().Digest, at.Unix()
			if a.config.Clock().Sub(at) > toldAfter {
				r.flags |= told
			}
			break
		}
	}
	if r.end == 0 {
		return nil
	}
	return a.catalog.change(func(t *tx) error { return t.put(k, r) })
}
