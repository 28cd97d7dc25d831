package gateway

import (
	"sync"
	"time"
)

// longestWait is how long an agent is sent away for at most, however many
// strangers knock: time enough for the largest herd to come back in order.
const longestWait = time.Minute

// admission lets a bounded number of handshakes a second go on, and tells the
// others when to come back, spread at the same rate: a thousand agents that
// lost their server at once return over some seconds.
type admission struct {
	every time.Duration // between two
	burst time.Duration // how far ahead of that they may be

	mu   sync.Mutex
	next time.Time // when the bucket would be full again
	due  time.Time // when the last one that was sent away comes back
}

func newAdmission(rate, burst int) *admission {
	every := time.Second / time.Duration(rate)
	return &admission{every: every, burst: time.Duration(burst) * every}
}

// try takes a place, or returns how long to wait before trying again.
func (a *admission) try(now time.Time) (wait time.Duration, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.next.Before(now) {
		a.next = now
	}
	if a.next.Sub(now) < a.burst {
		a.next = a.next.Add(a.every)
		return 0, true
	}
	if a.due.Before(now.Add(a.burst)) {
		a.due = now.Add(a.burst)
	}
	a.due = a.due.Add(a.every)
	if latest := now.Add(longestWait); a.due.After(latest) {
		a.due = latest
	}
	return a.due.Sub(now), false
}
