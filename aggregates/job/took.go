package job

// Took reports whether a worker's report counts: the attempt has ended as the
// report leads to, now or when it came before.
func (s State) Took(c Finish) bool {
	a, ok := s.attempt(c.Attempt)
	reported, known := outcomes[c.Outcome]
	if !ok || !known {
		return false
	}
	return a.taken(reported) || a.end == given && reported == failed && neverRan(c.Cause)
}
