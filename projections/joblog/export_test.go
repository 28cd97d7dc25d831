package joblog

// Remembered is how many logs are in memory.
func (l *Log) Remembered() (n int) {
	l.registry.each(func(s *shard) { n += len(s.open) + len(s.retired) })
	return n
}

// Rings is how much memory all rings hold.
func (l *Log) Rings() int64 { return l.rings.Load() }

// Rooms is how many maps of logs there are: each keeps the room for as many logs
// as it ever had.
func (l *Log) Rooms() (n int) {
	l.registry.each(func(s *shard) {
		if s.open != nil {
			n++
		}
		if s.retired != nil {
			n++
		}
	})
	return n
}

func (r *registry) each(do func(*shard)) {
	for i := range r.shard {
		s := &r.shard[i]
		s.mu.RLock()
		do(s)
		s.mu.RUnlock()
	}
}
