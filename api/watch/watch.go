// Package watch wakes those who wait for one stream to change, so that a
// thousand open pages don't all wake at each event of a busy cluster.
package watch

import (
	"context"
	"sync"

	"github.com/hodei-jobs/hodei/eventstore"
)

// batch is how many records are looked at in one go.
const batch = 1024

// Source is what the hub follows: a position up to which readers can see the
// log, and a channel that is closed when that changes.
type Source func() (seen eventstore.Position, next <-chan struct{})

// Hub tells of changed streams. On is safe for concurrent use.
type Hub struct {
	store  eventstore.Store
	source Source

	// Owned by Run.
	at      eventstore.Position // up to which records have been looked at
	records []*eventstore.Record

	mu      sync.Mutex
	waiting map[eventstore.StreamID]*waiter // guarded by mu
}

type waiter struct {
	changed chan struct{}
	users   int
}

// New returns a hub over the store's records as far as the source shows them.
func New(store eventstore.Store, source Source) *Hub {
	at, _ := source() // also what comes before Run begins wakes those who wait
	return &Hub{store: store, source: source, at: at, waiting: map[eventstore.StreamID]*waiter{}}
}

// On returns a channel that is closed when the stream has a new event that
// readers can see, after this call. Ask before reading, and no change is missed.
// release must be called when the channel is not needed any more.
func (h *Hub) On(stream eventstore.StreamID) (changed <-chan struct{}, release func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w := h.waiting[stream]
	if w == nil {
		w = &waiter{changed: make(chan struct{})}
		h.waiting[stream] = w
	}
	w.users++
	return w.changed, func() { h.release(stream, w) }
}

func (h *Hub) release(stream eventstore.StreamID, w *waiter) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if w.users--; w.users == 0 && h.waiting[stream] == w {
		delete(h.waiting, stream)
	}
}

// Run wakes waiters until ctx ends, and returns its error, or why the store can't
// be read. It reads only while somebody waits. It is called once.
func (h *Hub) Run(ctx context.Context) error {
	for {
		seen, next := h.source()
		if h.idle() {
			h.at = seen
		}
		if err := h.catchUp(ctx, seen); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-next:
		}
	}
}

// catchUp wakes those who wait for what the records up to seen have changed.
func (h *Hub) catchUp(ctx context.Context, seen eventstore.Position) error {
	for h.at < seen {
		records, next, err := h.store.ReadAll(ctx, h.records[:0], h.at+1, int(min(batch, seen-h.at)), eventstore.Filter{})
		if err != nil {
			return err
		}
		h.wake(records)
		clear(records) // they need not outlive their place in the store
		h.records, h.at = records, next-1
	}
	return nil
}

func (h *Hub) idle() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.waiting) == 0
}

func (h *Hub) wake(records []*eventstore.Record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range records {
		if w := h.waiting[r.Stream]; w != nil {
			delete(h.waiting, r.Stream)
			close(w.changed)
		}
	}
}
