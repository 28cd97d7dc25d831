package commands

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hodei-jobs/hodei/aggregates/event"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/namespace"
	"github.com/hodei-jobs/hodei/aggregates/settings"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/eventstore"
)

// CreateToken makes an API token with the name, namespace, role and lifetime of
// create. It returns the token itself, which is kept nowhere and can't be had
// again, and its id.
func (s *Service) CreateToken(ctx context.Context, c Caller, create token.Create) (plain string, i id.ID, err error) {
	plain, err = newToken(s.random)
	if err != nil {
		return "", 0, err
	}
	hash, _ := TokenHash(plain)
	create.Hash, create.Hint = hash[:], plain[len(plain)-token.HintBytes:]
	_, err = s.write(ctx, c, func(ctx context.Context, u *unit) error {
		if i, err = s.NewID(); err != nil {
			return err
		}
		return s.decideToken(ctx, u, i, create)
	})
	if err != nil {
		return "", 0, err
	}
	return plain, i, nil
}

// RevokeToken ends a token, of either sort.
func (s *Service) RevokeToken(ctx context.Context, c Caller, i id.ID, reason string) (eventstore.Position, error) {
	return s.write(ctx, c, func(ctx context.Context, u *unit) error {
		return s.decideToken(ctx, u, i, token.Revoke{Reason: reason})
	})
}

func (s *Service) decideToken(ctx context.Context, u *unit, i id.ID, c token.Command) error {
	_, err := decide(ctx, u, s.tokens, tokenStream(i), func(state token.State, _ mark) ([]proto.Message, error) {
		messages, err := state.Decide(c)
		return messages, fault.About(err, i.String())
	})
	return err
}

func tokenStream(i id.ID) eventstore.StreamID { return eventstore.StreamID(event.TokenStream(i)) }

// CreateNamespace lets jobs be submitted to a namespace.
func (s *Service) CreateNamespace(ctx context.Context, c Caller, name, description string) (eventstore.Position, error) {
	return s.write(ctx, c, s.namespaceDecision(name, namespace.Create{Name: name, Description: description}))
}

// PauseNamespace lets a namespace's waiting jobs wait on.
func (s *Service) PauseNamespace(ctx context.Context, c Caller, name, reason string) (eventstore.Position, error) {
	return s.write(ctx, c, s.namespaceDecision(name, namespace.Pause{Reason: reason}))
}

// ResumeNamespace lets a namespace's waiting jobs be placed again.
func (s *Service) ResumeNamespace(ctx context.Context, c Caller, name string) (eventstore.Position, error) {
	return s.write(ctx, c, s.namespaceDecision(name, namespace.Resume{}))
}

func (s *Service) namespaceDecision(name string, c namespace.Command) build {
	return func(ctx context.Context, u *unit) error {
		stream := eventstore.StreamID(event.NamespaceStream(name))
		_, err := decide(ctx, u, s.namespaces, stream, func(state namespace.State, _ mark) ([]proto.Message, error) {
			messages, err := state.Decide(c)
			return messages, fault.About(err, event.Printable(name))
		})
		return err
	}
}

// ChangeSettings sets what shapes the cluster's behaviour.
func (s *Service) ChangeSettings(ctx context.Context, c Caller, change settings.Change) (eventstore.Position, error) {
	return s.write(ctx, c, func(ctx context.Context, u *unit) error {
		_, err := decide(ctx, u, s.settings, eventstore.StreamID(event.SettingsStream()),
			func(state settings.State, _ mark) ([]proto.Message, error) { return state.Decide(change) })
		return err
	})
}

// JoinServer records that a server has opened the log and is about to serve.
func (s *Service) JoinServer(ctx context.Context, c Caller, server id.ID, version, store string) (eventstore.Position, error) {
	return s.record(ctx, c, server, &eventv1.ServerJoined{Version: version, Store: store})
}

// RecordClockStep records that a server's wall clock was set.
func (s *Service) RecordClockStep(ctx context.Context, c Caller, server id.ID, by time.Duration) (eventstore.Position, error) {
	return s.record(ctx, c, server, &eventv1.ClockStepped{StepNs: int64(by)})
}

// record adds to a server's stream what just happened: there is nothing to
// decide, nor anything it could contradict.
func (s *Service) record(ctx context.Context, c Caller, server id.ID, m proto.Message) (eventstore.Position, error) {
	return s.write(ctx, c, func(_ context.Context, u *unit) error {
		u.yields++
		u.batches = append(u.batches, eventstore.Batch{
			Stream: eventstore.StreamID(event.ServerStream(server)), Expect: eventstore.Any,
			Events: events(u.metadata, []proto.Message{m}),
		})
		return nil
	})
}
