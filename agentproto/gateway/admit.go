package gateway

import (
	"sync"
	"time"
)

// maxAdmitRate is how many known workers are let in a second at most, however many
// there are: more handshakes no server does beside its work.
const maxAdmitRate = 2000

// longestWait is how long an agent is sent away for at most, however many
// strangers knock: time enough for the largest herd to come back in order.
const longestWait = time.Minute

// admission lets a bounded number of handshakes a second go on, and tells the
// others when to come back, spread at the same rate: a thousand agents that
// lost their server at once return over some seconds.
type admission struct {
	burst int // how many may come at once

	mu   sync.Mutex
	next time.Time // when the bucket would be full again
	due  time.Time // when the last one that was sent away comes back
}

func newAdmission(burst int) *admission { return &admission{burst: burst} }

// try takes a place, or returns how long to wait before trying again. The rate is
// how many are let in a second from now on.
func (a *admission) try(now time.Time, rate int) (wait time.Duration, ok bool) {
	every := time.Second / time.Duration(rate)
	burst := time.Duration(a.burst) * every // how far ahead of the rate they may be
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.next.Before(now) {
		a.next = now
	}
	if a.next.Sub(now) < burst {
		a.next = a.next.Add(every)
		return 0, true
	}
	if a.due.Before(now.Add(burst)) {
		a.due = now.Add(burst)
	}
	a.due = a.due.Add(every)
	if latest := now.Add(longestWait); a.due.After(latest) {
		a.due = latest
	}
	return a.due.Sub(now), false
}

// knownRate is how many of so many known workers are let in a second: so many that
// all can be back within half the tolerance, and no fewer than least.
func knownRate(least, workers int, tolerance time.Duration) int {
	within := max(tolerance/2, time.Second)
	needed := (time.Duration(workers)*time.Second + within - 1) / within
	return max(least, min(maxAdmitRate, int(needed)))
}
