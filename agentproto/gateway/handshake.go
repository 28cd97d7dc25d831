package gateway

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/hodei-jobs/hodei/agentproto/gateway/authority"
	pb "github.com/hodei-jobs/hodei/agentproto/v1"
	"github.com/hodei-jobs/hodei/aggregates/event"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/resource"
	"github.com/hodei-jobs/hodei/aggregates/worker"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections/workers"
)

const (
	protocol   = 1 // the one version this server speaks
	nonceBytes = 32

	// proofPrefix stands before what an agent signs, so that no other signature of
	// its key can pass as a proof.
	proofPrefix = "hodei.worker.v1 proof\x00"

	registeredWithin = 16 // events of a worker's stream, of which one is WorkerRegistered

	busyAgain  = time.Second // when to come back while the server is starting
	bearer     = "bearer "
	authHeader = "authorization"
)

var typeRegistered = event.TypeOf(&eventv1.WorkerRegistered{})

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

// applicant is who says Hello.
type applicant struct {
	hello  *pb.Hello
	key    ed25519.PublicKey
	known  *workers.Worker   // it was registered before; else
	claims *authority.Claims // its token says so

	facts   *eventv1.WorkerFacts
	granted resource.Labels // by its token
}

// handshake is Hello, Challenge, Proof, Welcome. It returns a session that is the
// worker's only one, or a *refusal, or why the stream failed.
func (g *Gateway) handshake(stream pb.WorkerService_ConnectServer) (*session, error) {
	ctx, cancel := context.WithTimeout(stream.Context(), g.config.Handshake)
	defer cancel()
	release := context.AfterFunc(g.context, cancel)
	defer release()
	if again, ok := g.admit.try(g.config.Clock()); !ok {
		return nil, &refusal{Code: codeBusy, Reason: "many agents connect at once", Again: again}
	}
	m, err := receive(ctx, stream)
	if err != nil {
		return nil, err
	}
	a, err := g.identify(ctx, m.GetHello(), token(stream.Context()))
	if err != nil {
		return nil, err
	}
	if err := g.challenge(ctx, stream, a.key); err != nil {
		return nil, err
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
		return r.m, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("the agent did not complete the handshake: %w", ctx.Err())
	}
}

// token returns the call's bearer, or "".
func token(ctx context.Context) string {
	md, _ := metadata.FromIncomingContext(ctx)
	for _, v := range md.Get(authHeader) {
		if len(v) > len(bearer) && strings.EqualFold(v[:len(bearer)], bearer) {
			return v[len(bearer):]
		}
	}
	return ""
}

// identify finds out who says Hello: a worker that is known, or the bearer of a
// token. That it has the key is proved later.
func (g *Gateway) identify(ctx context.Context, h *pb.Hello, token string) (*applicant, error) {
	if err := checkHello(h); err != nil {
		return nil, err
	}
	a := &applicant{hello: h, key: h.GetPublicKey()}
	var err error
	if i, malformed := id.Parse(h.GetWorkerId()); malformed == nil {
		a.known, err = g.known(i, a.key)
	} else if h.GetWorkerId() != "" || token == "" {
		err = refuse(codeUnknown, "it has neither a worker's id nor a token")
	}
	if a.known == nil && token != "" {
		a.claims, err = g.claims(ctx, token)
	}
	if err != nil {
		return nil, err
	}
	return a, g.checkFacts(ctx, a)
}

func checkHello(h *pb.Hello) error {
	switch {
	case h == nil:
		return refuse(codeBadHello, "the first message is not Hello")
	case h.GetProtocolMin() > protocol || h.GetProtocolMax() < protocol:
		return refuse(codeVersion, "the agent speaks versions %d to %d of the protocol, the server %d",
			h.GetProtocolMin(), h.GetProtocolMax(), protocol)
	case len(h.GetPublicKey()) != ed25519.PublicKeySize:
		return refuse(codeBadHello, "the public key has %d bytes, not %d", len(h.GetPublicKey()), ed25519.PublicKeySize)
	case len(h.GetInstance()) != maxInstance:
		return refuse(codeBadHello, "the instance has %d bytes, not %d", len(h.GetInstance()), maxInstance)
	case len(h.GetAttempts()) > maxHeld:
		return refuse(codeBadHello, "it has %d attempts, at most %d may be", len(h.GetAttempts()), maxHeld)
	}
	return nil
}

// known returns the worker with this id if the key is its own.
func (g *Gateway) known(i id.ID, key ed25519.PublicKey) (*workers.Worker, error) {
	w, ok := g.config.Runner.World().Workers.Get(i)
	switch {
	case !ok || !w.Registered():
		return nil, refuse(codeUnknown, "there is no worker %s", i)
	case !bytes.Equal(w.PublicKey, key):
		return nil, refuse(codeUnknown, "worker %s has another key", i)
	case w.Status == worker.Terminated:
		return nil, refuse(codeTerminated, "worker %s has ended", i)
	}
	return w, nil
}

func (g *Gateway) claims(ctx context.Context, token string) (*authority.Claims, error) {
	claims, err := g.config.Authority.Verify(ctx, token)
	switch {
	case errors.Is(err, authority.ErrToken):
		return nil, refuse(codeBadToken, "%v", err)
	case err != nil:
		return nil, err
	}
	return &claims, nil
}

// checkFacts takes what the agent says of itself. Labels that a token gave it
// stand over its own, also later when it comes without one.
func (g *Gateway) checkFacts(ctx context.Context, a *applicant) (err error) {
	if a.known != nil {
		a.granted, err = g.grantedTo(ctx, a.known.ID)
	} else {
		a.granted = resource.FromMap(a.claims.Labels)
	}
	if err != nil {
		return err
	}
	if a.facts, err = facts(a.hello.GetFacts(), a.granted); err != nil {
		return refuse(codeBadHello, "%v", err)
	}
	return nil
}

// grantedTo returns the labels that a worker's token gave it, which stand near
// the beginning of its stream.
func (g *Gateway) grantedTo(ctx context.Context, i id.ID) (resource.Labels, error) {
	stream := eventstore.StreamID(event.WorkerStream(i))
	records, err := g.config.Store.ReadStream(ctx, nil, stream, 1, registeredWithin, eventstore.Forwards)
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		if r.Type != typeRegistered {
			continue
		}
		m, err := event.Decode(r.Type, r.Data)
		if err != nil {
			return nil, err
		}
		return resource.FromPairs(m.(*eventv1.WorkerRegistered).GetGranted()), nil
	}
	return nil, nil
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
