package archive

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hodei-jobs/hodei/projections/joblog"
)

const (
	retryFirst  = 500 * time.Millisecond // after a failure; doubles
	retryMost   = 30 * time.Second
	retainEvery = time.Minute // between two looks for logs that are too old; sooner if logs are kept for less
	retainLeast = time.Second
	tellEvery   = time.Minute // between two lines in the server's log about what goes on failing
)

// Run moves what leaves the log's journals into the archive until ctx ends. What
// fails is tried again after a pause of up to 30 s, and told by [Archive.Warnings].
// It returns when ctx ends or the log has stopped, which says itself why.
func (a *Archive) Run(ctx context.Context, log *joblog.Log) {
	ctx, cancel := context.WithCancel(ctx)
	var tidying sync.WaitGroup
	tidying.Go(func() { a.runTidy(ctx) })
	tidying.Go(func() {
		if err := a.Verify(ctx); err != nil && ctx.Err() == nil {
			a.noted(&a.state.catalog, "the catalog of logs is damaged; it is made anew at the next start", err)
		}
	})
	defer func() { cancel(); tidying.Wait() }()
	b := backoff{}
	for {
		rolled := log.Rolled()
		err := a.flush(ctx, log)
		if log.Err() != nil || ctx.Err() != nil {
			return
		}
		a.noted(&a.state.flush, "logs cannot be brought into their store; they stay in their journals", err)
		if err == nil {
			b = backoff{}
			select {
			case <-rolled:
			case <-log.Failed():
			case <-ctx.Done():
			}
			continue
		}
		if !b.pause(ctx) {
			return
		}
	}
}

// runTidy tidies after each flush, apart from it, so that the merge of a large
// log holds up no journal.
func (a *Archive) runTidy(ctx context.Context) {
	b := backoff{}
	look := time.NewTicker(a.retainEvery())
	defer look.Stop()
	for {
		err := a.tidy(ctx)
		if err == nil {
			err = a.retain(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		a.noted(&a.state.tidy, "logs in their store cannot be merged, sealed or removed", err)
		if err != nil {
			if !b.pause(ctx) {
				return
			}
			continue
		}
		b = backoff{}
		select {
		case <-a.tidyNow:
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}

func (a *Archive) retainEvery() time.Duration {
	if a.config.Keep <= 0 {
		return retainEvery
	}
	return min(retainEvery, max(retainLeast, a.config.Keep))
}

// backoff waits longer after each failure, with full jitter.
type backoff struct{ next time.Duration }

// pause returns false if ctx has ended.
func (b *backoff) pause(ctx context.Context) bool {
	b.next = min(retryMost, max(retryFirst, 2*b.next))
	select {
	case <-time.After(time.Duration(rand.Int64N(int64(b.next)) + 1)):
	case <-ctx.Done():
		return false
	}
	return true
}

func poke(signal chan struct{}) {
	select {
	case signal <- struct{}{}:
	default:
	}
}

// state is what goes wrong at present.
type state struct {
	mu    sync.Mutex
	flush failure
	tidy  failure

	catalog failure
}

type failure struct {
	since time.Time // zero: all is well
	told  time.Time
	err   error
}

// noted takes a result: it is told when a failure begins, now and then while it
// lasts, and when it is over.
func (a *Archive) noted(f *failure, what string, err error) {
	a.state.mu.Lock()
	defer a.state.mu.Unlock()
	now := a.config.Clock()
	switch {
	case err == nil && !f.since.IsZero():
		a.logger.Info("logs are archived again", "after", now.Sub(f.since).Round(time.Second))
		*f = failure{}
	case err != nil && (f.since.IsZero() || now.Sub(f.told) >= tellEvery):
		a.logger.Warn(what, "error", err)
		f.told = now
	}
	if err != nil && f.since.IsZero() {
		f.since = now
	}
	f.err = err
}

// Warnings returns what an operator should look at, one line each. Everybody may
// read them, so causes, which name places, are in the server's log alone.
func (a *Archive) Warnings() (lines []string) {
	a.state.mu.Lock()
	defer a.state.mu.Unlock()
	for _, w := range []struct {
		f    failure
		what string
	}{
		{a.state.flush, "logs of jobs stay in their journals, their store does not take them"},
		{a.state.tidy, "logs of jobs can't be merged, sealed or removed"},
		{a.state.catalog, "the catalog of logs is damaged, start the server again to have it made anew"},
	} {
		if w.f.err != nil {
			lines = append(lines, fmt.Sprintf("%s, since %s; the server's log says why", w.what, w.f.since.UTC().Format(time.RFC3339)))
		}
	}
	if size := a.Size(); a.config.KeepBytes <= 0 && size > a.config.WarnBytes {
		lines = append(lines, fmt.Sprintf("logs of jobs take %.1f GiB and are all kept", float64(size)/(1<<30)))
	}
	return lines
}
