package outbox

import "time"

// Withhold says whether the server, when there is one, takes nothing with the tag
// Usage.
func (o *Outbox) Withhold(withheld bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.withheld = withheld
}

// Offer adds bytes if there is room for all of them and the box is open; else it
// reports false and adds none. It never waits.
func (b *Box) Offer(tag Tag, p []byte) bool {
	b.out.mu.Lock()
	defer b.out.mu.Unlock()
	if b.closed || b.dropped || b.full() || b.space() < len(p) {
		return false
	}
	b.add(tag, p, time.Now())
	return true
}

// Held is how much of what may be held the box takes now.
func (b *Box) Held() int {
	b.out.mu.Lock()
	defer b.out.mu.Unlock()
	return b.used()
}
