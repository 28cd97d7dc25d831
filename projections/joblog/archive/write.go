package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/hodei-jobs/hodei/eventstore/blob"
	"github.com/hodei-jobs/hodei/projections/joblog"
	"github.com/hodei-jobs/hodei/projections/joblog/segment"
)

// parallel is how many objects are written or removed at once: a store answers
// each after milliseconds, however small it is.
const parallel = 8

// each calls fn with every item, some at once, and returns the errors. After
// an error no further ones are begun.
func each[T any](ctx context.Context, items []T, fn func(context.Context, T) error) error {
	var running sync.WaitGroup
	var mu sync.Mutex
	var failed error
	slots := make(chan struct{}, parallel)
	for _, item := range items {
		slots <- struct{}{}
		mu.Lock()
		stop := failed != nil || ctx.Err() != nil
		mu.Unlock()
		if stop {
			break
		}
		running.Go(func() {
			defer func() { <-slots }()
			if err := fn(ctx, item); err != nil {
				mu.Lock()
				failed = errors.Join(failed, err)
				mu.Unlock()
			}
		})
	}
	running.Wait()
	return errors.Join(failed, ctx.Err())
}

// pack makes a segment in memory.
func pack(k joblog.Key, first uint64, pieces []joblog.Piece) ([]byte, segment.Summary, error) {
	var out bytes.Buffer
	w := segment.NewWriter(&out, k, first)
	for _, p := range pieces {
		if err := w.Add(p); err != nil {
			return nil, segment.Summary{}, err
		}
	}
	s, err := w.Close()
	return out.Bytes(), s, err
}

// put stores a segment of size bytes under its name and returns what names it.
// One that is there already is what an earlier try has put there: it is taken as
// it is, if it says that it is what its name says.
func (a *Archive) put(ctx context.Context, s segment.Summary, whole bool, body io.Reader, size int64) (ref, segment.Summary, error) {
	r := ref{first: s.First, end: s.End, lines: s.Lines, stored: size, whole: whole}
	err := a.store.Put(ctx, r.name(s.Key), body, blob.Options{Size: size, Create: true})
	if !errors.Is(err, blob.ErrExists) {
		return r, s, err
	}
	info, err := a.store.Stat(ctx, r.name(s.Key))
	if err != nil {
		return r, s, err
	}
	found, err := segment.Open(ctx, a.fetch(info.Key), info.Size)
	if err != nil {
		return r, s, fmt.Errorf("%s is in the way: %w", info.Key, err)
	}
	if have := found.Summary(); have != s {
		return r, s, fmt.Errorf("%w: %s is in the way and holds something else", joblog.ErrDamaged, info.Key)
	}
	r.stored = info.Size
	return r, s, nil
}

func (a *Archive) fetch(name string) segment.Fetch {
	return func(ctx context.Context, offset int64, n int) ([]byte, error) {
		return a.store.Get(ctx, name, offset, n)
	}
}
