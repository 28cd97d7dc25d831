package outbox

import "time"

const (
	maxCredits  = 10
	creditEvery = 50 * time.Millisecond
)

// credits let a quiet attempt's bytes go at once and gather those of a busy one:
// ten messages in a row, and one more each 50 ms.
type credits struct {
	have  int
	since time.Time // from when the next one is being regained
}

func (c *credits) take(now time.Time) bool {
	c.regain(now)
	if c.have == 0 {
		return false
	}
	c.have--
	return true
}

// next is how long it is until there is credit, at most creditEvery.
func (c *credits) next(now time.Time) time.Duration {
	return c.since.Add(creditEvery).Sub(now)
}

func (c *credits) regain(now time.Time) {
	gained := int(now.Sub(c.since) / creditEvery)
	if c.have+gained >= maxCredits {
		c.have, c.since = maxCredits, now
		return
	}
	c.have += gained
	c.since = c.since.Add(time.Duration(gained) * creditEvery)
}
