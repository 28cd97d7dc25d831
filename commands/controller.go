package commands

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/fault"
)

// Bounds of a controller's pauses.
const (
	firstPause = 50 * time.Millisecond
	maxPause   = 5 * time.Second
)

// Overtaken reports whether a command was refused because what it was to act on
// has changed since its caller looked. A controller just looks again.
func Overtaken(err error) bool {
	switch fault.KindOf(err) {
	case fault.Refused, fault.NotFound, fault.Conflict:
		return err != nil
	}
	return false
}

// Pause is how a controller rests while its commands can't be recorded: a random
// time, up to a bound that doubles with each failure in a row. The zero value is
// ready. It belongs to one goroutine.
type Pause struct{ failures int }

// Failed rests, and returns how long that was, or ctx's error if that ended.
func (p *Pause) Failed(ctx context.Context) (time.Duration, error) {
	bound := maxPause
	if p.failures < 10 {
		bound = min(maxPause, firstPause<<p.failures)
	}
	p.failures++
	rest := rand.N(bound)
	timer := time.NewTimer(rest)
	defer timer.Stop()
	select {
	case <-timer.C:
		return rest, nil
	case <-ctx.Done():
		return rest, ctx.Err()
	}
}

// Succeeded makes the next failure the first again.
func (p *Pause) Succeeded() { p.failures = 0 }
