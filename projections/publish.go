package projections

import (
	"container/heap"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/eventstore"
)

const (
	// MaxLag is how many events the World may be behind the log before commands
	// have to wait; see [Runner.Admit].
	MaxLag = 50_000
	// MaxAdmission is how long they wait before they are refused.
	MaxAdmission = time.Second
)

// publisher holds the published World and who waits for a later one.
type publisher struct {
	current atomic.Pointer[publication]

	mu      sync.Mutex
	waiters waiters // guarded by mu
	stopped bool    // guarded by mu; nothing will be published any more
}

type publication struct {
	world *World
	next  chan struct{} // closed when world is no longer the newest
}

func (p *publisher) publish(w *World) {
	before := p.current.Swap(&publication{w, make(chan struct{})})
	if before != nil {
		close(before.next)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.waiters) > 0 && p.waiters[0].position <= w.Position {
		close(heap.Pop(&p.waiters).(*waiter).done)
	}
}

// stop lets all who wait go.
func (p *publisher) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	for _, w := range p.waiters {
		close(w.done)
	}
	p.waiters = nil
}

// World returns the newest published World, never nil. It is not locked and
// doesn't wait.
func (p *publisher) World() *World { return p.current.Load().world }

// Wait returns the newest published World and a channel that is closed when a
// newer one is published.
func (p *publisher) Wait() (*World, <-chan struct{}) {
	c := p.current.Load()
	return c.world, c.next
}

// WaitFor returns when the published World includes a position. It returns
// ctx's error if that ends first, or a fault of kind Unavailable once the runner
// has stopped.
func (p *publisher) WaitFor(ctx context.Context, position eventstore.Position) error {
	if p.World().Position >= position {
		return nil
	}
	w, err := p.register(position)
	if w == nil {
		return err
	}
	select {
	case <-w.done:
		if p.World().Position < position {
			return errStopped()
		}
		return nil
	case <-ctx.Done():
		p.forget(w)
		return ctx.Err()
	}
}

// register returns a waiter, or nil if there is nothing to wait for.
func (p *publisher) register(position eventstore.Position) (*waiter, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.World().Position >= position { // published before the lock was ours
		return nil, nil
	}
	if p.stopped {
		return nil, errStopped()
	}
	w := &waiter{position: position, done: make(chan struct{})}
	heap.Push(&p.waiters, w)
	return w, nil
}

func (p *publisher) forget(w *waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.index >= 0 && !p.stopped {
		heap.Remove(&p.waiters, w.index)
	}
}

func errStopped() error {
	return &fault.Error{Kind: fault.Unavailable, Op: "wait for", Subject: "the read models", Reason: "the server is stopping"}
}

// Admit is asked before a command: it waits while the World is more than
// [MaxLag] events behind the log, and after [MaxAdmission] returns a fault of
// kind Busy. So appends can't run away from those who have to read them.
func (r *Runner) Admit(ctx context.Context) error {
	if r.Lag() <= MaxLag {
		return nil
	}
	limit := time.NewTimer(MaxAdmission)
	defer limit.Stop()
	for {
		_, next := r.Wait()
		lag := r.Lag()
		if lag <= MaxLag {
			return nil
		}
		select {
		case <-next:
		case <-ctx.Done():
			return ctx.Err()
		case <-limit.C:
			return &fault.Error{
				Kind: fault.Busy, Op: "take", Subject: "a command", Help: "try again in a second",
				Reason: fmt.Sprintf("this server's read models are %d events behind the log, %d may be", lag, MaxLag),
			}
		}
	}
}

// waiter waits for a position.
type waiter struct {
	position eventstore.Position
	done     chan struct{} // closed when it has come, or never will
	index    int           // in the heap; -1 once it is out
}

// waiters is a heap by position.
type waiters []*waiter

func (w waiters) Len() int           { return len(w) }
func (w waiters) Less(i, j int) bool { return w[i].position < w[j].position }
func (w waiters) Swap(i, j int) {
	w[i], w[j] = w[j], w[i]
	w[i].index, w[j].index = i, j
}

func (w *waiters) Push(x any) {
	x.(*waiter).index = len(*w)
	*w = append(*w, x.(*waiter))
}

func (w *waiters) Pop() any {
	last := len(*w) - 1
	x := (*w)[last]
	(*w)[last] = nil
	*w = (*w)[:last]
	x.index = -1
	return x
}
