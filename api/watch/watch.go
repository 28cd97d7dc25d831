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

	mu      sync.Mutex
	waiting map[eventstore.StreamID]*waiter
}

type waiter struct {
	changed chan struct{}
	users   int
}

// New returns a hub over the store's records as far as the source shows them.
func New(store eventstore.Store, source Source) *Hub {
	return &Hub{store: store, source: source, waiting: map[eventstore.StreamID]*waiter{}}
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

// Run wakes waiters until ctx ends. It reads only while somebody waits.
func (h *Hub) Run(ctx context.Context) error {
	at, _ := h.source()
	var records []*eventstore.Record
	for {
		seen, next := h.source()
		if h.idle() {
			at = seen
		}
		for at < seen {
			var err error
			var to eventstore.Position
			records, to, err = h.store.ReadAll(ctx, records[:0], at+1, int(min(batch, seen-at)), eventstore.Filter{})
			if err != nil {
				return err
			}
			h.wake(records)
			at = to - 1
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-next:
		}
	}
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
