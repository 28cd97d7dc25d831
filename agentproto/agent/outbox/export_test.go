package outbox

// Boxes is how many boxes there are.
func (o *Outbox) Boxes() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.boxes)
}

// Holds is what a box counts as holding.
func (b *Box) Holds() int {
	b.out.mu.Lock()
	defer b.out.mu.Unlock()
	return b.used()
}
