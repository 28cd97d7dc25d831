package embedded

import (
	"context"
	"sync"
)

// copyEvery is after how many journals a copy of the index is made, from which a
// damaged one is brought up to date instead of made from nothing.
const copyEvery = 64

// copying is a copy of the index that is being made beside all else. The indexer
// begins and ends it; anybody may give it up.
type copying struct {
	mu     sync.Mutex // never held while something is waited for
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended; nil if there was none yet
}

// begin makes a copy unless one is being made.
func (c *copying) begin(ctx context.Context, do func(context.Context)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done != nil {
		select {
		case <-c.done:
		default:
			return false
		}
	}
	done := make(chan struct{})
	ctx, c.cancel = context.WithCancel(ctx)
	c.done = done
	go func() {
		defer close(done)
		do(ctx)
	}()
	return true
}

// giveUp ends a copy, and does not wait for that.
func (c *copying) giveUp() (ended <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cancel != nil {
		c.cancel()
	}
	return c.done
}

// end ends a copy and returns when it has ended.
func (c *copying) end() {
	if ended := c.giveUp(); ended != nil {
		<-ended
	}
}

// copyIfDue begins a copy of the index now and then.
func (x *indexer) copyIfDue(ctx context.Context) {
	x.mu.Lock()
	due := x.rolled >= copyEvery
	x.mu.Unlock()
	if !due {
		return
	}
	ix := x.state.Load().index
	begun := x.copying.begin(ctx, func(ctx context.Context) {
		switch err := x.files.copy(ctx, ix); {
		case ctx.Err() != nil:
			x.logger.Info("a copy of the index was given up; there will be another")
		case err != nil:
			x.logger.Warn("cannot copy index", "error", err)
		}
	})
	if begun {
		x.mu.Lock()
		x.rolled = 0
		x.mu.Unlock()
	}
}

// journalEnded counts a journal. Called by the writer.
func (x *indexer) journalEnded() {
	x.mu.Lock()
	x.rolled++
	x.mu.Unlock()
}
