package gateway

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/gateway/door"
	pb "github.com/hodei-jobs/hodei/agentproto/v1"
	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/worker"
)

const (
	protocol   = 1 // the one version this server speaks
	nonceBytes = 32

	// proofPrefix stands before what an agent signs, so that no other signature of
	// its key can pass as a proof.
	proofPrefix = "hodei.worker.v1 proof\x00"

	busyAgain = time.Second // when to come back while the server is starting, or has no place
)

// Codes of Refuse.
const (
	codeBadToken   = "bad_token"
	codeTokenUsed  = "token_used"
	codeUnknown    = "unknown_worker"
	codeBadProof   = "bad_proof"
	codeTerminated = "terminated"
	codeVersion    = "version"
	codeBadHello   = "bad_hello"
	codeBusy       = "busy"
	codeNotReady   = "not_ready"
)

// refusal is why an agent is sent away.
type refusal struct {
	Code   string
	Reason string
	Final  bool          // trying again with the same token and key is useless
	Again  time.Duration // when to try again; 0 is as the agent likes
}

func (r *refusal) Error() string { return r.Code + ": " + r.Reason }

func (r *refusal) tell(stream pb.WorkerService_ConnectServer) error {
	return stream.Send(&pb.ServerMessage{RequestId: 1, Body: &pb.ServerMessage_Refuse{Refuse: &pb.Refuse{
		Code: r.Code, Reason: r.Reason, Final: r.Final, RetryAfterNs: int64(r.Again),
	}}})
}

func refuse(code, format string, args ...any) *refusal {
	return &refusal{Code: code, Reason: fmt.Sprintf(format, args...), Final: true}
}

// errUnfinished is why a handshake ended of somebody who did not go on with it.
var errUnfinished = errors.New("the agent did not complete the handshake")

// handshake is Hello, Challenge, Proof, Welcome. It returns a session that is the
// worker's only one, or a *refusal, or why the stream failed. A session's
// connection is kept until its release.
func (g *Gateway) handshake(stream pb.WorkerService_ConnectServer) (*session, error) {
	ctx, cancel := context.WithTimeout(stream.Context(), g.config.Handshake)
	defer cancel()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	release := context.AfterFunc(g.context, cancel)
	defer release()
	a, err := g.meet(ctx, stream, end)
	if err != nil {
		return nil, err
	}
	keep := door.Keep(stream.Context())
	s, err := g.seat(ctx, stream, a)
	if err != nil {
		keep()
		return nil, err
	}
	s.release = keep
	return s, nil
}

// meet finds out who says Hello, and has it prove that. Until then it holds one of
// a bounded number of places, and end lets it go.
func (g *Gateway) meet(ctx context.Context, stream pb.WorkerService_ConnectServer, end func(error)) (*applicant, error) {
	place, ok := g.room.Enter(end)
	if !ok {
		return nil, busy(busyAgain)
	}
	defer place.Leave()
	m, err := receive(ctx, stream)
	if err != nil {
		return nil, err
	}
	a, err := g.identify(ctx, m.GetHello(), token(stream.Context()))
	if err != nil {
		return nil, err
	}
	if a.known != nil {
		place.Claim(a.known.ID)
	}
	return a, g.challenge(ctx, stream, a.key)
}

// seat makes a session of who has proved its key. Workers that are known have a
// bucket of their own, which nobody else can empty.
func (g *Gateway) seat(ctx context.Context, stream pb.WorkerService_ConnectServer, a *applicant) (*session, error) {
	if a.known != nil {
		world, now := g.config.Runner.World(), g.config.Clock()
		tolerance := world.Settings.ReconnectTolerance
		if again, ok := g.admitKnown.try(now, knownRate(g.config.AdmitRate, world.Cluster.Len(), tolerance)); !ok {
			// It has proved that it lives, and loses no job because others are let in
			// before it; nor because it is sent away for longer than its tolerance.
			g.config.Telemetry.Heard(a.known.ID, now.UnixNano())
			return nil, busy(min(again, tolerance/2))
		}
	}
	i, err := g.register(ctx, a)
	if err != nil {
		return nil, err
	}
	s := newSession(g, stream, i, a.hello.GetInstance())
	if err := g.sessions.enter(ctx, s); err != nil {
		return nil, err
	}
	if err := s.welcome(ctx, a); err != nil {
		s.abandon()
		return nil, err
	}
	return s, nil
}

func busy(again time.Duration) *refusal {
	return &refusal{Code: codeBusy, Reason: "many agents connect at once", Again: again}
}

// receive returns the next message, or ctx's error. The goroutine it starts ends
// with the stream.
func receive(ctx context.Context, stream pb.WorkerService_ConnectServer) (*pb.AgentMessage, error) {
	type received struct {
		m   *pb.AgentMessage
		err error
	}
	got := make(chan received, 1)
	go func() {
		m, err := stream.Recv()
		got <- received{m, err}
	}()
	select {
	case r := <-got:
		if r.err != nil {
			r.err = fmt.Errorf("%w: %w", errUnfinished, r.err)
		}
		return r.m, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", errUnfinished, context.Cause(ctx))
	}
}

// challenge has the agent prove that it holds the private key.
func (g *Gateway) challenge(ctx context.Context, stream pb.WorkerService_ConnectServer, key ed25519.PublicKey) error {
	nonce, pin := make([]byte, nonceBytes), g.config.Authority.Pin()
	rand.Read(nonce)
	err := stream.Send(&pb.ServerMessage{RequestId: 1, Body: &pb.ServerMessage_Challenge{
		Challenge: &pb.Challenge{Nonce: nonce, Pin: pin[:]},
	}})
	if err != nil {
		return err
	}
	m, err := receive(ctx, stream)
	if err != nil {
		return err
	}
	signed := append(append([]byte(proofPrefix), pin[:]...), nonce...)
	if !ed25519.Verify(key, signed, m.GetProof().GetSignature()) {
		return refuse(codeBadProof, "the signature is not of this key, this server and this connection")
	}
	return nil
}

// register returns the worker's id; it makes a worker of the bearer of a token.
// The same token with the same key is answered with the same worker again.
func (g *Gateway) register(ctx context.Context, a *applicant) (id.ID, error) {
	if a.known != nil {
		return a.known.ID, nil
	}
	i, err := id.Parse(a.claims.WorkerID)
	if a.claims.WorkerID == "" {
		i, err = workerID(a.claims.ID, a.key), nil
	}
	if err != nil {
		return 0, refuse(codeBadToken, "it is for %q, which is no worker", text(a.claims.WorkerID, maxName))
	}
	_, err = g.config.Commands.RegisterWorker(ctx, g.caller(i.String()), i, worker.Register{
		Facts: a.facts, PublicKey: a.key, TokenID: a.claims.ID, Pool: a.claims.Pool, Granted: a.granted.Pairs(),
	}, a.claims.ID)
	if err == nil {
		return i, nil
	}
	if w, ok := g.config.Runner.World().Workers.Get(i); ok && w.Status == worker.Terminated {
		return 0, refuse(codeTerminated, "worker %s has ended", i)
	}
	if final(err) {
		return 0, refuse(codeTokenUsed, "%v", err)
	}
	return 0, err
}

// workerID is the id of the worker that a token without one makes of a key. So a
// registration that is repeated means the same worker.
func workerID(tokenID string, key ed25519.PublicKey) id.ID {
	sum := sha256.Sum256([]byte("hodei.worker.v1 worker\x00" + tokenID + "\x00" + string(key)))
	return id.FromBytes([5]byte(sum[:5]))
}

// again turns what may pass into a refusal that says when to come back.
func again(err error) error {
	var refused *refusal
	if errors.As(err, &refused) {
		return err
	}
	if kind := fault.KindOf(err); kind == fault.Busy || kind == fault.Unavailable {
		return &refusal{Code: codeNotReady, Reason: err.Error(), Again: busyAgain}
	}
	return err
}
