// Package dummy is an agent without jobs: it speaks the worker protocol and says
// whatever it is told to. Tests script it message by message, benchmarks put a
// swarm of it on a server.
package dummy

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"github.com/hodei-jobs/hodei/agentproto/gateway/authority"
	pb "github.com/hodei-jobs/hodei/agentproto/v1"
)

const proofPrefix = "hodei.worker.v1 proof\x00"

// Agent is an agent that does nothing by itself. Its fields may be changed
// between sessions.
type Agent struct {
	Address  string
	Pin      authority.Pin
	Key      ed25519.PrivateKey
	Token    string // sent as the call's bearer if it is not empty
	WorkerID string // sent in Hello; Connect sets it from Welcome
	Instance []byte
	Facts    *pb.Facts
}

// New returns an agent with a new key and a new instance.
func New(address string, pin authority.Pin, token string) *Agent {
	_, key, _ := ed25519.GenerateKey(rand.Reader)
	return &Agent{
		Address: address, Pin: pin, Key: key, Token: token, Instance: NewInstance(),
		Facts: &pb.Facts{
			Name: "dummy", Os: "linux", Arch: "amd64", Version: "dummy",
			Capacity: &pb.Resources{CpuMilli: 64_000, MemoryBytes: 64 << 30, DiskBytes: 1 << 40},
		},
	}
}

// NewInstance returns what a new process of an agent sends as its instance.
func NewInstance() []byte {
	b := make([]byte, 16)
	rand.Read(b)
	return b
}

// Session is one stream of an agent. One goroutine may send and another receive.
type Session struct {
	Welcome *pb.Welcome

	conn   *grpc.ClientConn
	stream pb.WorkerService_ConnectClient
	cancel context.CancelFunc
	sent   uint64
}

// RefusedError is the server's Refuse.
type RefusedError struct{ *pb.Refuse }

func (e *RefusedError) Error() string { return e.GetCode() + ": " + e.GetReason() }

// Connect opens a session with the attempts the agent has. A *RefusedError says
// that the server refused.
func (a *Agent) Connect(ctx context.Context, held ...*pb.Held) (*Session, error) {
	s, err := a.Dial(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.handshake(a, held); err != nil {
		s.Cut()
		return nil, err
	}
	a.WorkerID = s.Welcome.GetWorkerId()
	return s, nil
}

// Dial opens a stream and says nothing on it.
func (a *Agent) Dial(ctx context.Context) (*Session, error) {
	conn, err := grpc.NewClient("passthrough:///"+a.Address, grpc.WithIdleTimeout(0),
		grpc.WithTransportCredentials(credentials.NewTLS(a.tls())),
		grpc.WithInitialWindowSize(1<<20), grpc.WithInitialConnWindowSize(2<<20))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	if a.Token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+a.Token)
	}
	stream, err := pb.NewWorkerServiceClient(conn).Connect(ctx)
	if err != nil {
		cancel()
		return nil, errors.Join(err, conn.Close())
	}
	return &Session{conn: conn, stream: stream, cancel: cancel}, nil
}

func (a *Agent) tls() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			for i, c := range state.PeerCertificates {
				if i > 0 && state.PeerCertificates[i-1].CheckSignatureFrom(c) != nil {
					break
				}
				if sha256.Sum256(c.RawSubjectPublicKeyInfo) == a.Pin {
					return nil
				}
			}
			return errors.New("not the pinned server")
		},
	}
}

func (s *Session) handshake(a *Agent, held []*pb.Held) error {
	err := s.Send(&pb.Hello{
		ProtocolMin: 1, ProtocolMax: 1, WorkerId: a.WorkerID, PublicKey: a.Key.Public().(ed25519.PublicKey),
		Instance: a.Instance, Facts: a.Facts, Attempts: held,
	})
	if err != nil {
		return err
	}
	m, err := s.stream.Recv()
	if err != nil {
		return err
	}
	if m.GetRefuse() != nil {
		return &RefusedError{m.GetRefuse()}
	}
	signed := append(append([]byte(proofPrefix), a.Pin[:]...), m.GetChallenge().GetNonce()...)
	if err := s.Send(&pb.Proof{Signature: ed25519.Sign(a.Key, signed)}); err != nil {
		return err
	}
	if m, err = s.stream.Recv(); err != nil {
		return err
	}
	if m.GetRefuse() != nil {
		return &RefusedError{m.GetRefuse()}
	}
	s.Welcome = m.GetWelcome()
	return nil
}

// Receive returns the server's next message.
func (s *Session) Receive() (*pb.ServerMessage, error) { return s.stream.Recv() }

// Cut ends the session as a broken connection does. It may be called again.
func (s *Session) Cut() {
	s.cancel()
	_ = s.conn.Close()
}

// Send sends one message: an *AgentMessage, or what can be the body of one.
func (s *Session) Send(body any) error {
	m := &pb.AgentMessage{}
	switch b := body.(type) {
	case *pb.AgentMessage:
		m = b
	case *pb.Hello:
		m.Body = &pb.AgentMessage_Hello{Hello: b}
	case *pb.Proof:
		m.Body = &pb.AgentMessage_Proof{Proof: b}
	case *pb.AgentBeat:
		m.Body = &pb.AgentMessage_Beat{Beat: b}
	case *pb.Accept:
		m.Body = &pb.AgentMessage_Accept{Accept: b}
	case *pb.Chunk:
		m.Body = &pb.AgentMessage_Chunk{Chunk: b}
	case *pb.StepUpdate:
		m.Body = &pb.AgentMessage_Step{Step: b}
	case *pb.Result:
		m.Body = &pb.AgentMessage_Result{Result: b}
	default:
		return fmt.Errorf("%T is not what an agent sends", body)
	}
	s.sent++
	m.RequestId = s.sent
	return s.stream.Send(m)
}
