package archive

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/hodei-jobs/hodei/eventstore/blob"
	"github.com/hodei-jobs/hodei/projections/joblog"
	"github.com/hodei-jobs/hodei/projections/joblog/segment"
)

const (
	mergeCount = 16      // small segments in a row that are merged while a log grows
	smallBytes = 1 << 20 // a segment that takes fewer bytes is small
	copyBytes  = 1 << 20 // of log read at once for a merge
)

// due is a log with which something is left to do.
type due struct {
	k joblog.Key
	r record
}

// tidy does what is left to do with logs: merges small segments, seals logs that
// have ended, tells of them, and removes what was replaced. It goes on after the
// failure of one log with others unless the store is away, and returns failures.
func (a *Archive) tidy(ctx context.Context) error {
	var mu sync.Mutex
	var damaged error // that the next try will not change
	page := make([]due, 0, duePage)
	work := func() error {
		defer func() { page = page[:0] }()
		return each(ctx, page, func(ctx context.Context, d due) error {
			err := a.step(ctx, d.k, d.r)
			if err == nil || errors.Is(err, blob.ErrUnavailable) {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			if damaged == nil {
				damaged = fmt.Errorf("job %s attempt %d: %w", d.k.Job, d.k.Attempt, err)
			}
			return nil
		})
	}
	var failed error
	err := a.catalog.due(func(k joblog.Key, r record) bool {
		if !r.has(ended) && a.small(r) == nil {
			return true
		}
		if page = append(page, due{k, r}); len(page) == duePage {
			failed = work()
		}
		return failed == nil && ctx.Err() == nil
	})
	if err == nil && failed == nil {
		failed = work()
	}
	return errors.Join(err, failed, damaged)
}

// step does with one log all that can be done. Each part of it may be the first
// after a crash.
func (a *Archive) step(ctx context.Context, k joblog.Key, r record) (err error) {
	switch {
	case r.has(gone), r.end == 0:
	case !r.has(ended):
		return a.merge(ctx, k, a.small(r))
	case !r.has(sealed):
		if r, err = a.seal(ctx, k, r); err != nil {
			return err
		}
	}
	if r.has(sealed) && !r.has(told) && !r.has(gone) {
		s := segment.Summary{Key: k, End: r.end, Lines: r.segments[0].lines, Digest: r.digest}
		if a.config.Sealed != nil {
			if err := a.config.Sealed(ctx, s); err != nil {
				return err
			}
		}
		if r, err = a.mark(k, told); err != nil {
			return err
		}
	}
	if !r.has(clean) && r.has(ended) && r.end > 0 {
		return a.clean(ctx, k, r)
	}
	return nil
}

// mark adds a flag to a log.
func (a *Archive) mark(k joblog.Key, f flags) (r record, err error) {
	err = a.catalog.change(func(t *tx) error {
		if r, _, err = t.get(k); err != nil {
			return err
		}
		r.flags |= f
		return t.put(k, r)
	})
	return r, err
}

// small returns the first run of segments that are to be merged, if there is one.
func (a *Archive) small(r record) []ref {
	begin := 0
	for i, s := range r.segments {
		if s.stored >= smallBytes {
			begin = i + 1
		}
		if i-begin+1 == mergeCount {
			return r.segments[begin : i+1]
		}
	}
	return nil
}

// merge makes one segment of several of a log that grows.
func (a *Archive) merge(ctx context.Context, k joblog.Key, old []ref) error {
	if len(old) == 0 {
		return nil
	}
	merged, _, err := a.join(ctx, k, old, false)
	if err != nil {
		return err
	}
	// A crash here leaves an object that nothing names; the next try finds it.
	err = a.catalog.change(func(t *tx) error {
		r, _, err := t.get(k)
		if err != nil {
			return err
		}
		var now []ref
		for _, s := range r.segments {
			switch {
			case s.first == merged.first:
				now = append(now, merged)
			case s.first < merged.first || s.first >= merged.end:
				now = append(now, s)
			}
		}
		r.segments = now
		return t.put(k, r)
	})
	if err != nil {
		return err
	}
	// A crash here leaves objects that are removed when the log is sealed.
	return each(ctx, old, func(ctx context.Context, s ref) error { return a.store.Delete(ctx, s.name(k)) })
}

// seal makes one segment of a log that has ended, for ever.
func (a *Archive) seal(ctx context.Context, k joblog.Key, r record) (record, error) {
	one, s, err := a.join(ctx, k, r.segments, true)
	if err != nil {
		return r, err
	}
	err = a.catalog.change(func(t *tx) error {
		if r, _, err = t.get(k); err != nil {
			return err
		}
		r.flags |= sealed
		r.segments, r.digest, r.at = []ref{one}, s.Digest, a.config.Clock().Unix()
		return t.put(k, r)
	})
	return r, err
}

// join makes one segment of several that follow each other. It is written to a
// file first, so that the store is told its size.
func (a *Archive) join(ctx context.Context, k joblog.Key, old []ref, whole bool) (ref, segment.Summary, error) {
	if err := os.MkdirAll(a.temp(), dirMode); err != nil {
		return ref{}, segment.Summary{}, err
	}
	f, err := os.CreateTemp(a.temp(), "")
	if err != nil {
		return ref{}, segment.Summary{}, err
	}
	defer func() {
		// What can't be removed is removed at the next start.
		_ = f.Close()
		_ = os.Remove(f.Name())
	}()
	w := segment.NewWriter(f, k, old[0].first)
	for _, s := range old {
		if err := a.copy(ctx, w, k, s); err != nil {
			return ref{}, segment.Summary{}, err
		}
	}
	s, err := w.Close()
	if err == nil {
		_, err = f.Seek(0, 0)
	}
	if err != nil {
		return ref{}, s, err
	}
	return a.put(ctx, s, whole, f, w.Size())
}

// copy adds a segment's pieces to another.
func (a *Archive) copy(ctx context.Context, w *segment.Writer, k joblog.Key, s ref) error {
	r, err := segment.Open(ctx, a.fetch(s.name(k)), s.stored)
	if err != nil {
		return err
	}
	for at := s.first; at < s.end; {
		pieces, err := r.Read(ctx, at, copyBytes)
		if err != nil {
			return err
		}
		if len(pieces) == 0 {
			return joblog.ErrDamaged
		}
		for _, p := range pieces {
			if err := w.Add(p); err != nil {
				return err
			}
		}
		at = pieces[len(pieces)-1].End()
	}
	return nil
}

// clean removes all objects of a log that has ended but the one that it is, or
// all of one that is gone.
func (a *Archive) clean(ctx context.Context, k joblog.Key, r record) error {
	var old []string
	for info, err := range a.store.List(ctx, prefixOf(k)) {
		if err != nil {
			return err
		}
		if len(r.segments) == 0 || info.Key != r.segments[0].name(k) {
			old = append(old, info.Key)
		}
	}
	err := each(ctx, old, func(ctx context.Context, name string) error {
		a.readers.drop(name)
		return a.store.Delete(ctx, name)
	})
	if err != nil && !errors.Is(err, blob.ErrNotFound) {
		return err
	}
	_, err = a.mark(k, clean)
	return err
}
