package main

import (
	"context"
	"runtime/debug"
	"time"

	"github.com/hodei-jobs/hodei/eventstore"
)

const (
	burstEvents = 10_000          // so many events leave garbage worth collecting
	burstQuiet  = 3 * time.Second // without an event: the burst is over
)

// giveBack returns memory to the system after a burst of events: the collector by
// itself leaves a heap that has grown as it is while nothing happens.
func (p *parts) giveBack(ctx context.Context) error {
	timer := time.NewTimer(burstQuiet)
	defer timer.Stop()
	var given eventstore.Position
	for {
		head, next := p.store.Wait()
		if head < given+burstEvents {
			select {
			case <-next:
			case <-ctx.Done():
				return nil
			}
			continue
		}
		timer.Reset(burstQuiet)
		select {
		case <-next:
		case <-timer.C:
			debug.FreeOSMemory()
			given = head
		case <-ctx.Done():
			return nil
		}
	}
}
