package main

import (
	"context"
	"os"
	"runtime/debug"
	"time"

	"github.com/hodei-jobs/hodei/eventstore"
)

const (
	burstEvents = 10_000          // so many events leave garbage worth collecting
	burstQuiet  = 3 * time.Second // without an event: the burst is over
)

// collectAt lets the heap grow to three times what is live before it is collected:
// for a few megabytes more, submits spend a tenth less. GOGC overrides it.
const collectAt = 200

func tuneCollector() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
}

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
