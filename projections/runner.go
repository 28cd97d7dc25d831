package projections

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hodei-jobs/hodei/eventstore"
)

const (
	// publishEvents and publishEvery bound how old the published World can be
	// while the runner is behind the log.
	publishEvents = 256
	publishEvery  = time.Millisecond

	// Until the runner first caught up it reads more at a time, and ahead.
	rebuildBatch = 4096 // records
	rebuildAhead = 4    // batches
)

// RunnerConfig says how a runner works.
type RunnerConfig struct {
	Logger *slog.Logger // nil discards
}

// Runner keeps a World up with the log and publishes it. One goroutine runs
// [Runner.Run]; all other methods are safe for concurrent use, and those that
// read never lock.
type Runner struct {
	publisher

	store eventstore.Store
	log   *slog.Logger
	ready chan struct{} // closed when the World first includes all that was durable
	share atomic.Uint64 // float64 bits: how far the rebuild is

	// Owned by Run.
	live      *World
	buf       []*eventstore.Record
	unseen    int       // records applied since the last publish
	published time.Time // when that was
}

// NewRunner returns a runner of a store. Until it is ready its World is that of
// the empty log.
func NewRunner(store eventstore.Store, c RunnerConfig) *Runner {
	log := c.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	r := &Runner{store: store, log: log, ready: make(chan struct{}), live: NewWorld()}
	r.publish(r.live.Fork())
	return r
}

// Ready returns a channel that is closed when the World first includes all that
// was durable when Run began.
func (r *Runner) Ready() <-chan struct{} { return r.ready }

// Progress returns how much of the log the World includes that is made before
// Ready, from 0 to 1.
func (r *Runner) Progress() float64 { return math.Float64frombits(r.share.Load()) }

// Run makes the World from the newest usable snapshot and the records after it,
// then follows the log until ctx ends, and saves a snapshot then. It returns nil
// if ctx ended, else why the log can't be read. It is called once.
func (r *Runner) Run(ctx context.Context) error {
	saves := newSaver(r.store, r.log)
	var saving sync.WaitGroup
	saving.Go(saves.run)
	err := r.follow(ctx, saves)
	r.stop()
	saves.finish(r.live)
	saving.Wait()
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

func (r *Runner) follow(ctx context.Context, saves *saver) error {
	begun := time.Now()
	r.live = saves.load(ctx)
	from := r.live.Position
	head, next := r.store.Wait()
	if err := r.rebuild(ctx, head); err != nil {
		return err
	}
	r.log.Info("read models are ready", "position", uint64(head), "snapshot", uint64(from),
		"jobs", r.live.Jobs.Len(), "took", time.Since(begun))
	close(r.ready)
	for {
		saves.offer(r.World())
		select {
		case <-next:
		case <-ctx.Done():
			return ctx.Err()
		}
		before := head
		head, next = r.store.Wait()
		if head == before { // the store has closed; it tells by an error
			if _, _, err := r.store.ReadAll(ctx, nil, head+1, 1, eventstore.Filter{}); err != nil {
				return fmt.Errorf("cannot follow the log: %w", err)
			}
			continue
		}
		if err := r.catchUp(ctx, head); err != nil {
			return err
		}
	}
}

// rebuild applies all up to head and publishes only then. What comes next is
// read meanwhile.
func (r *Runner) rebuild(ctx context.Context, head eventstore.Position) error {
	ctx, cancel := context.WithCancel(ctx)
	var reading sync.WaitGroup
	defer reading.Wait()
	defer cancel()
	batches := make(chan batch, rebuildAhead)
	from := r.live.Position + 1
	reading.Go(func() { r.readAhead(ctx, from, head, batches) })
	for b := range batches {
		if b.err != nil {
			return b.err
		}
		r.apply(b.records)
		r.share.Store(math.Float64bits(float64(r.live.Position) / float64(head)))
	}
	if r.live.Position < head {
		return ctx.Err()
	}
	r.show()
	return nil
}

type batch struct {
	records []*eventstore.Record
	err     error // why there are none; nothing follows
}

// readAhead sends the records from one position to another, both included, and
// closes out.
func (r *Runner) readAhead(ctx context.Context, from, to eventstore.Position, out chan<- batch) {
	defer close(out)
	for from <= to {
		limit := min(rebuildBatch, int(to-from+1))
		records, err := r.read(ctx, make([]*eventstore.Record, 0, limit), from, limit)
		select {
		case out <- batch{records, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
		from += eventstore.Position(len(records))
	}
}

// catchUp applies all up to head. It publishes at head, and on the way as often
// as promised.
func (r *Runner) catchUp(ctx context.Context, head eventstore.Position) error {
	r.published = time.Now()
	for r.live.Position < head {
		records, err := r.read(ctx, r.buf[:0], r.live.Position+1, publishEvents-r.unseen)
		if err != nil {
			return err
		}
		r.apply(records)
		r.buf = records
		if r.unseen >= publishEvents || r.live.Position >= head || time.Since(r.published) >= publishEvery {
			r.show()
		}
	}
	return nil
}

var errGap = errors.New("the store returned no record below its head")

// read appends to buf up to limit records from a position that is durable: at
// least one.
func (r *Runner) read(ctx context.Context, buf []*eventstore.Record, from eventstore.Position, limit int) ([]*eventstore.Record, error) {
	records, _, err := r.store.ReadAll(ctx, buf, from, limit, eventstore.Filter{})
	if err == nil && len(records) == 0 {
		err = errGap
	}
	if err != nil {
		return nil, fmt.Errorf("cannot follow the log after #%d: %w", from-1, err)
	}
	return records, nil
}

// apply takes records into the live World.
func (r *Runner) apply(records []*eventstore.Record) {
	for _, record := range records {
		r.live.ApplySafely(record, r.log)
	}
	r.unseen += len(records)
	clear(records) // they need not outlive their place in the store
}

// show publishes the live World as it is.
func (r *Runner) show() {
	r.publish(r.live.Fork())
	r.unseen, r.published = 0, time.Now()
}

// Lag returns how many events the published World is behind the log.
func (r *Runner) Lag() int {
	head, _ := r.store.Wait()
	return int(max(head, r.World().Position) - r.World().Position)
}
