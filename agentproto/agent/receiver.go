package agent

import (
	"context"
	"fmt"
	"time"

	agentprotov1 "github.com/hodei-jobs/hodei/agentproto/v1"
)

// receive does what the server says until the stream breaks.
func (s *session) receive(ctx context.Context) error {
	for {
		m, err := s.read()
		if err != nil {
			return because(ctx, err)
		}
		if err := s.inTurn(func() error { return s.handle(m) }); err != nil {
			return err
		}
	}
}

// handle must not wait for anything but locks.
func (s *session) handle(m *agentprotov1.ServerMessage) error {
	a := s.agent
	switch body := m.GetBody().(type) {
	case *agentprotov1.ServerMessage_Beat:
	case *agentprotov1.ServerMessage_Assign:
		return s.reply(a.assign(body.Assign))
	case *agentprotov1.ServerMessage_Start:
		if at := a.find(keyOf(body.Start.GetRef())); at != nil {
			at.Start()
		}
	case *agentprotov1.ServerMessage_Cancel:
		a.cancel(body.Cancel)
	case *agentprotov1.ServerMessage_Ack:
		return s.ack(body.Ack)
	case *agentprotov1.ServerMessage_ResultAck:
		a.acknowledged(body.ResultAck)
	case *agentprotov1.ServerMessage_Drain:
		a.drainUntil(time.Duration(body.Drain.GetDeadlineNs()))
	case *agentprotov1.ServerMessage_Terms:
		a.heed(body.Terms)
	case *agentprotov1.ServerMessage_Superseded:
		return fmt.Errorf("%w: %s", ErrSuperseded, body.Superseded.GetReason())
	case *agentprotov1.ServerMessage_Refuse:
		return unexpected(m, "")
	default:
		// A newer server's message; it knows from Hello what this agent can do.
	}
	return nil
}

func (s *session) reply(accept *agentprotov1.Accept) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.replies) == maxReplies {
		return fmt.Errorf("the server asks faster than %d answers can be sent", maxReplies)
	}
	s.replies = append(s.replies, accept)
	s.agent.change()
	return nil
}

func (s *session) ack(m *agentprotov1.Ack) error {
	at := s.agent.find(keyOf(m.GetRef()))
	if at == nil {
		return nil
	}
	box := at.Box()
	if m.GetUsage() {
		box = at.Series()
	}
	if err := box.Ack(m.GetHave()); err != nil {
		return fmt.Errorf("job %s, attempt %d, offset %d: %w", m.GetRef().GetJob(), m.GetRef().GetAttempt(), m.GetHave(), err)
	}
	return nil
}

// drainUntil takes no more attempts, and stops those that run after the limit; 0
// is none.
func (a *Agent) drainUntil(limit time.Duration) {
	a.drain()
	if limit > 0 {
		time.AfterFunc(limit, func() { a.stopAll(shutdownGrace, "the worker was drained and its time is up") })
	}
}
