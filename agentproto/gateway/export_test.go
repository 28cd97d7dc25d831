package gateway

// Charges is how many attempts all sessions remember.
func (g *Gateway) Charges() (n int) {
	for _, s := range g.sessions.all() {
		s.mu.Lock()
		n += len(s.charges) + len(s.acks)
		s.mu.Unlock()
	}
	return n
}

// Handshakes is how many have not proved who they are.
func (g *Gateway) Handshakes() int { return g.room.Len() }
