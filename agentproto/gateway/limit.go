package gateway

import "fmt"

// logWords is how many bytes beyond its limit an agent may add to a log, to tell of
// it.
const logWords = 512

// withinLimit refuses bytes above what is kept of an attempt's output. The agent
// drops these itself, so one that sends them breaks the protocol.
func (s *session) withinLimit(c *charge, end uint64) error {
	s.mu.Lock()
	limit := c.logLimit
	s.mu.Unlock()
	if limit == 0 { // the agent had the attempt before this session
		spec, err := s.g.config.Commands.Spec(s.ctx, c.key.Job)
		if err != nil {
			return err
		}
		limit = spec.KeptOutput()
		s.mu.Lock()
		c.logLimit = limit
		s.mu.Unlock()
	}
	if end > limit+logWords {
		return fmt.Errorf("%w: job %s has a log of %d bytes, its limit is %d", errProtocol, c.key.Job, end, limit)
	}
	return nil
}
