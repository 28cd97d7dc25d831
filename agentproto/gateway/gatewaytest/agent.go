package gatewaytest

import (
	"context"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/gateway/authority"
	"github.com/hodei-jobs/hodei/agentproto/gateway/dummy"
	pb "github.com/hodei-jobs/hodei/agentproto/v1"
	"github.com/hodei-jobs/hodei/aggregates/id"
)

const inboxSize = 100_000 // messages a test may leave untaken

// Agent is a scripted agent.
type Agent struct{ *dummy.Agent }

// NewAgent returns an agent with a new key, a new instance and a new token.
func NewAgent(t testing.TB, s *Server) *Agent {
	t.Helper()
	return &Agent{dummy.New(s.Address, s.Authority.Pin(), s.Token(t, authority.Claims{}))}
}

// Worker returns the agent's worker id.
func (a *Agent) Worker(t testing.TB) id.ID {
	t.Helper()
	i, err := id.ParseWorker(a.WorkerID)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// Session is one stream of an agent.
type Session struct {
	*dummy.Session
	inbox chan *pb.ServerMessage
	ended chan struct{} // closed after the last message; err may be read then
	err   error
}

// Connect opens a session with the attempts the agent has; it fails the test
// unless it is welcome.
func (a *Agent) Connect(t testing.TB, held ...*pb.Held) *Session {
	t.Helper()
	s, err := a.Try(t.Context(), held...)
	if err != nil {
		t.Fatalf("not let in: %v", err)
	}
	t.Cleanup(s.Cut)
	return s
}

// Try opens a session. A *dummy.RefusedError says that the server refused.
func (a *Agent) Try(ctx context.Context, held ...*pb.Held) (*Session, error) {
	inner, err := a.Agent.Connect(ctx, held...)
	if err != nil {
		return nil, err
	}
	s := &Session{Session: inner, inbox: make(chan *pb.ServerMessage, inboxSize), ended: make(chan struct{})}
	go s.receive()
	return s, nil
}

func (s *Session) receive() {
	defer close(s.ended)
	for {
		m, err := s.Receive()
		if err != nil {
			s.err = err
			return
		}
		if m.GetBeat() == nil {
			s.inbox <- m
		}
	}
}

// End waits for the server to end the session and returns why.
func (s *Session) End(t testing.TB) error {
	t.Helper()
	select {
	case <-s.ended:
		return s.err
	case <-time.After(Patience):
		t.Fatal("the server does not end the session")
		return nil
	}
}

// Say sends one message, as [dummy.Session.Send].
func (s *Session) Say(t testing.TB, body any) {
	t.Helper()
	if err := s.Send(body); err != nil {
		t.Fatalf("cannot send: %v", err)
	}
}

// Next returns the server's next message of a kind, such as
// (*pb.ServerMessage).GetAssign; others are passed over.
func Next[M any](t testing.TB, s *Session, kind func(*pb.ServerMessage) *M) *M {
	t.Helper()
	deadline := time.After(Patience)
	for {
		select {
		case m := <-s.inbox:
			if found := kind(m); found != nil {
				return found
			}
			continue
		default:
		}
		select {
		case m := <-s.inbox:
			if found := kind(m); found != nil {
				return found
			}
		case <-s.ended:
			if len(s.inbox) == 0 {
				t.Fatalf("the session ended: %v", s.err)
			}
		case <-deadline:
			t.Fatalf("the server does not send %T", *new(M))
		}
	}
}
