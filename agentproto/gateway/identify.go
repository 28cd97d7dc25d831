package gateway

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"strings"

	"google.golang.org/grpc/metadata"

	"github.com/hodei-jobs/hodei/agentproto/gateway/authority"
	pb "github.com/hodei-jobs/hodei/agentproto/v1"
	"github.com/hodei-jobs/hodei/aggregates/event"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/resource"
	"github.com/hodei-jobs/hodei/aggregates/worker"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections/workers"
)

const (
	registeredWithin = 16 // events of a worker's stream, of which one is WorkerRegistered

	bearer     = "bearer "
	authHeader = "authorization"
)

var typeRegistered = event.TypeOf(&eventv1.WorkerRegistered{})

// applicant is who says Hello.
type applicant struct {
	hello  *pb.Hello
	key    ed25519.PublicKey
	known  *workers.Worker   // it was registered before; else
	claims *authority.Claims // its token says so

	facts   *eventv1.WorkerFacts
	granted resource.Labels // by its token
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
		if again, ok := g.admitOthers.try(g.config.Clock(), g.config.AdmitRate); !ok {
			return nil, busy(again)
		}
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
