package agent

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/hodei-jobs/hodei/agentproto/agent/attempt"
	"github.com/hodei-jobs/hodei/agentproto/agent/credential"
	"github.com/hodei-jobs/hodei/agentproto/agent/link"
	agentprotov1 "github.com/hodei-jobs/hodei/agentproto/v1"
)

const (
	proofPrefix = "hodei.worker.v1 proof\x00"
	// maxReplies bounds what is answered to the server and not sent yet.
	maxReplies = 1024
)

var (
	errSilent  = errors.New("the server was silent for too long")
	errDrained = errors.New("drained")
)

// refusal is a Refuse of the server.
type refusal struct {
	code, reason string
	final        bool
	after        time.Duration
}

func (r *refusal) Error() string { return fmt.Sprintf("refused: %s (%s)", r.reason, r.code) }

// session is one stream to the server, from dialling to its end.
type session struct {
	agent  *Agent
	ctx    context.Context // ends with the session; its cause says why
	cancel context.CancelCauseFunc
	conn   *grpc.ClientConn
	stream grpc.BidiStreamingClient[agentprotov1.AgentMessage, agentprotov1.ServerMessage]

	// silence ends the session when nothing was received for suspect. It runs
	// from before dialling on.
	silence *time.Timer
	suspect time.Duration

	heartbeat time.Duration
	renewal   time.Duration // after which the next session is opened; 0 is never

	// turn is held while something is sent or what was received is done, and while
	// the next session says Hello: nothing changes meanwhile.
	turn sync.Mutex
	over bool // the next session has begun; guarded by turn

	// Owned by whoever sends: first the handshake, then the sender.
	requests uint64
	told     map[*attempt.Attempt]*told

	mu      sync.Mutex
	replies []*agentprotov1.Accept // not sent yet
}

// told is what this session has said of an attempt.
type told struct {
	updates int
	result  bool
}

// session dials and holds a session, and those that follow it as planned, until
// one breaks. live says whether it got as far as Welcome.
func (a *Agent) session(work context.Context) (live bool, err error) {
	s, err := a.dial(work)
	if err != nil {
		return false, err
	}
	if err := s.open(); err != nil {
		s.close()
		return false, err
	}
	a.setOrphaned(false)
	defer a.setOrphaned(true)
	defer a.outbox.SetWindow(0, 0, 0)
	for {
		next, err := s.live(work)
		s.close()
		if next == nil {
			return true, err
		}
		s = next
	}
}

// dial prepares a session. Its silence counts from here on.
func (a *Agent) dial(work context.Context) (*session, error) {
	s := &session{agent: a, suspect: a.config.FirstSuspect, told: map[*attempt.Attempt]*told{}}
	var err error
	if s.conn, err = link.Dial(a.address, a.pin); err != nil {
		return nil, err
	}
	s.ctx, s.cancel = context.WithCancelCause(work)
	s.silence = time.AfterFunc(s.suspect, func() { s.cancel(errSilent) })
	return s, nil
}

// open says Hello and takes up what Welcome says.
func (s *session) open() error {
	welcome, err := s.handshake(s.ctx, s.conn)
	if err != nil {
		return because(s.ctx, err)
	}
	if err := s.begin(welcome); err != nil {
		return err
	}
	s.agent.config.Logger.Info("connected", "server", s.agent.address, "worker", welcome.GetWorkerId(), "epoch", welcome.GetEpoch())
	return nil
}

func (s *session) close() {
	s.cancel(nil)
	s.silence.Stop()
	_ = s.conn.Close()
}

// because prefers the reason a context was ended for to what that broke.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	if s, ok := status.FromError(err); ok {
		return errors.New(s.Message())
	}
	return err
}

// live runs sender and receiver until one of them ends, or the next session has
// begun, which it returns.
func (s *session) live(work context.Context) (next *session, err error) {
	received, renewed := make(chan struct{}), make(chan *session, 1)
	go func() {
		defer close(received)
		s.cancel(s.receive(s.ctx))
	}()
	go func() { renewed <- s.renew(work) }()
	s.cancel(s.send(s.ctx))
	<-received
	return <-renewed, because(s.ctx, context.Cause(s.ctx))
}

// handshake registers the agent, or proves that it is the worker it was.
func (s *session) handshake(ctx context.Context, conn *grpc.ClientConn) (*agentprotov1.Welcome, error) {
	a := s.agent
	hello := a.hello()
	call := ctx
	if hello.GetWorkerId() == "" {
		call = link.WithToken(ctx, a.config.Token)
	}
	var err error
	if s.stream, err = agentprotov1.NewWorkerServiceClient(conn).Connect(call); err != nil {
		return nil, err
	}
	if err := s.write(&agentprotov1.AgentMessage{Body: &agentprotov1.AgentMessage_Hello{Hello: hello}}); err != nil {
		return nil, err
	}
	answer, err := s.read()
	if err != nil {
		return nil, err
	}
	challenge := answer.GetChallenge()
	if challenge == nil {
		return nil, unexpected(answer, "Challenge")
	}
	if err := s.prove(challenge); err != nil {
		return nil, err
	}
	if answer, err = s.read(); err != nil {
		return nil, err
	}
	if answer.GetWelcome() == nil {
		return nil, unexpected(answer, "Welcome")
	}
	return answer.GetWelcome(), nil
}

// prove signs with the pin that this connection was checked against, so that
// nobody in between can use the proof elsewhere.
func (s *session) prove(challenge *agentprotov1.Challenge) error {
	pin := s.agent.pin
	if !bytes.Equal(challenge.GetPin(), pin[:]) {
		return errors.New("the server speaks of another key than the one its certificate leads to")
	}
	signed := append([]byte(proofPrefix), pin[:]...)
	signed = append(signed, challenge.GetNonce()...)
	proof := &agentprotov1.Proof{Signature: ed25519.Sign(s.agent.state.Key(), signed)}
	return s.write(&agentprotov1.AgentMessage{Body: &agentprotov1.AgentMessage_Proof{Proof: proof}})
}

func unexpected(m *agentprotov1.ServerMessage, wanted string) error {
	if r := m.GetRefuse(); r != nil {
		return &refusal{code: r.GetCode(), reason: r.GetReason(), final: r.GetFinal(), after: min(maxPause, max(0, time.Duration(r.GetRetryAfterNs())))}
	}
	return fmt.Errorf("the server sent %T where a %s was due", m.GetBody(), wanted)
}

// hello says who this is and what it has.
func (a *Agent) hello() *agentprotov1.Hello {
	key := a.state.Key().Public().(ed25519.PublicKey)
	hello := &agentprotov1.Hello{
		ProtocolMin: protocolVersion,
		ProtocolMax: protocolVersion,
		WorkerId:    a.state.Identity().WorkerID,
		PublicKey:   key,
		Instance:    a.instance[:],
		Facts:       a.config.Facts.message(),
	}
	for _, at := range a.held() {
		if !at.Fenced() {
			hello.Attempts = append(hello.Attempts, &agentprotov1.Held{Ref: at.Ref(), Phase: at.Phase()})
		}
	}
	return hello
}

// begin takes up what the Welcome says.
func (s *session) begin(w *agentprotov1.Welcome) error {
	a := s.agent
	if w.GetProtocol() != protocolVersion {
		return fmt.Errorf("the server speaks version %d of the protocol, this agent %d", w.GetProtocol(), protocolVersion)
	}
	if w.GetHeartbeatNs() <= 0 || w.GetSuspectNs() <= 0 {
		return errors.New("the server's Welcome names no heartbeat")
	}
	if err := a.state.Keep(credential.Identity{WorkerID: w.GetWorkerId(), Pin: a.pin.String()}); err != nil {
		return err
	}
	a.heed(w)
	s.suspect, s.heartbeat = time.Duration(w.GetSuspectNs()), time.Duration(w.GetHeartbeatNs())
	s.renewal = time.Duration(w.GetRenewAfterNs())
	s.silence.Reset(s.suspect)
	a.judgeAll(w)
	a.outbox.Withhold(!w.GetTakesUsage())
	a.outbox.SetWindow(w.GetWindowAttemptBytes(), w.GetWindowSessionBytes(), w.GetWindowPieceBytes())
	return nil
}

// heed takes up how long the server says that things may go on without it.
func (a *Agent) heed(times interface {
	GetToleranceNs() int64
	GetOrphanAfterNs() int64
}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if after := time.Duration(times.GetOrphanAfterNs()); after > 0 {
		a.orphanAfter = after
	}
	a.tolerance = max(0, time.Duration(times.GetToleranceNs()))
}

// write sends a message; only one goroutine at a time may.
func (s *session) write(m *agentprotov1.AgentMessage) error {
	s.requests++
	m.RequestId = s.requests
	return s.stream.Send(m)
}

// read waits for a message, each of which proves that the server lives.
func (s *session) read() (*agentprotov1.ServerMessage, error) {
	m, err := s.stream.Recv()
	if err == nil {
		s.silence.Reset(s.suspect)
	}
	return m, err
}
