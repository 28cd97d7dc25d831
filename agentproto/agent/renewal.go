package agent

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/connectivity"
)

const (
	handoverLimit = 5 * time.Second // from the next session's Hello to its Welcome, and to connect before
	renewalAgain  = time.Minute     // after the next session could not be opened
)

var errRenewed = errors.New("the next session has begun")

// inTurn does something unless the next session has begun.
func (s *session) inTurn(do func() error) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	if s.over {
		return errRenewed
	}
	return do()
}

// renew opens the next session when it is time to, while this one lives, and ends
// this one then. What keeps it from that is tried again later; this one stays. It
// returns nil when this session ends otherwise.
func (s *session) renew(work context.Context) *session {
	if s.renewal <= 0 {
		return nil
	}
	// Agents that came at once don't come back at once.
	timer := time.NewTimer(s.renewal/2 + rand.N(s.renewal/2+1))
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-s.ctx.Done():
			return nil
		}
		next, err := s.handOver(work)
		if err == nil {
			return next
		}
		s.agent.config.Logger.Info("the next session is not opened yet; this one goes on", "cause", err)
		again := min(renewalAgain, s.renewal)
		timer.Reset(again/2 + rand.N(again/2+1))
	}
}

// handOver opens the next session. All that may take long comes before this one is
// held up: what is left is Hello to Welcome. Meanwhile nothing that the server says
// here is done, so that what Hello lists is all there is; the server says it again
// there.
func (s *session) handOver(work context.Context) (*session, error) {
	next, err := s.agent.dial(work)
	if err != nil {
		return nil, err
	}
	limit := min(handoverLimit, s.suspect/3)
	timer := time.AfterFunc(limit, func() { next.cancel(errSilent) })
	defer timer.Stop()
	if err := next.connected(); err != nil {
		next.close()
		return nil, err
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	timer.Reset(limit)
	if err := next.open(); err != nil {
		next.close()
		return nil, err
	}
	s.over = true
	s.cancel(errRenewed)
	return next, nil
}

// connected waits until the session's connection is there.
func (s *session) connected() error {
	s.conn.Connect()
	for {
		state := s.conn.GetState()
		switch state {
		case connectivity.Ready:
			return nil
		case connectivity.TransientFailure, connectivity.Shutdown:
			return errors.New("the server can't be reached")
		}
		if !s.conn.WaitForStateChange(s.ctx, state) {
			return context.Cause(s.ctx)
		}
	}
}
