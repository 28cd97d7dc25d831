package agent

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"
)

const (
	firstBackoff = 250 * time.Millisecond
	maxBackoff   = 4 * time.Second
	maxPause     = time.Minute // between two tries, whatever a server asks for
	repeatEvery  = time.Minute
)

// backoff spreads reconnects: each wait is anything from nothing to a bound that
// doubles, the first one too, so that many agents that lost the same server
// don't come back at once.
type backoff struct{ bound time.Duration }

func (b *backoff) next() time.Duration {
	b.bound = min(max(firstBackoff, 2*b.bound), maxBackoff)
	return rand.N(b.bound)
}

// longestPause is how long this agent stays away at most, whatever a server asks
// for: with jobs well below the silence after which they are given up.
func (a *Agent) longestPause() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.attempts) > 0 && a.tolerance > 0 {
		return min(maxPause, a.tolerance/2)
	}
	return maxPause
}

// quiet logs a warning again only when it has changed, or after a while.
type quiet struct {
	last string
	at   time.Time
}

func (q *quiet) warn(log *slog.Logger, text string, cause error, values ...any) {
	words := fmt.Sprint(cause)
	if words == q.last && time.Since(q.at) < repeatEvery {
		return
	}
	q.last, q.at = words, time.Now()
	log.Warn(text, append(values, "cause", words)...)
}
