package joblog

// Remembered is how many logs are in memory.
func (l *Log) Remembered() (n int) {
	for i := range l.registry.shard {
		s := &l.registry.shard[i]
		s.mu.RLock()
		n += len(s.open) + len(s.retired)
		s.mu.RUnlock()
	}
	return n
}
