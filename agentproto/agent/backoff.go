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
