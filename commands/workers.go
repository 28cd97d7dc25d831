package commands

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/hodei-jobs/hodei/aggregates/event"
	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/aggregates/worker"
	"github.com/hodei-jobs/hodei/eventstore"
)

// RequestWorker records that a provider is asked for a worker.
func (s *Service) RequestWorker(ctx context.Context, c Caller, i id.ID, request worker.Request) (eventstore.Position, error) {
	return s.write(ctx, c, s.workerDecision(i, request))
}

// LaunchWorker records that the provider has started it.
func (s *Service) LaunchWorker(ctx context.Context, c Caller, i id.ID, launch worker.Launch) (eventstore.Position, error) {
	return s.write(ctx, c, s.workerDecision(i, launch))
}

// FailLaunch records that the provider can't start it.
func (s *Service) FailLaunch(ctx context.Context, c Caller, i id.ID, failure worker.FailLaunch) (eventstore.Position, error) {
	return s.write(ctx, c, s.workerDecision(i, failure))
}

// RegisterWorker takes a worker's key, and the use of the worker token it came
// with, in one append. The same token with the same key is the same registration
// again. Another key is refused, and that is recorded with the token.
func (s *Service) RegisterWorker(ctx context.Context, c Caller, i id.ID, register worker.Register, tokenID string) (eventstore.Position, error) {
	t, err := id.Parse(tokenID)
	if err != nil {
		return 0, fault.Malformed("register", "worker "+i.String(), fault.Field{Location: "token_id", Message: err.Error()})
	}
	use := token.Use{PublicKey: register.PublicKey, WorkerID: i.String()}
	var refused error
	position, err := s.write(ctx, c, func(ctx context.Context, u *unit) error {
		state, err := decide(ctx, u, s.tokens, tokenStream(t), func(state token.State, _ mark) ([]proto.Message, error) {
			messages, err := state.Decide(use)
			return messages, fault.About(err, tokenID)
		})
		if refused = fault.About(state.Admits(use), tokenID); err != nil || refused != nil {
			return err // that a key was refused is recorded too
		}
		return s.workerDecision(i, register)(ctx, u)
	})
	if err == nil {
		err = refused
	}
	return position, err
}

// ConnectWorker begins a session and returns its epoch.
func (s *Service) ConnectWorker(ctx context.Context, c Caller, i id.ID, connect worker.Connect) (epoch uint64, err error) {
	_, err = s.write(ctx, c, func(ctx context.Context, u *unit) error {
		state, err := s.decideWorker(ctx, u, i, connect)
		epoch = state.Epoch
		return err
	})
	return epoch, err
}

// DisconnectWorker records that a session has ended.
func (s *Service) DisconnectWorker(ctx context.Context, c Caller, i id.ID, disconnect worker.Disconnect) (eventstore.Position, error) {
	return s.write(ctx, c, s.workerDecision(i, disconnect))
}

// LoseWorker records that a worker was silent for longer than is tolerated.
func (s *Service) LoseWorker(ctx context.Context, c Caller, i id.ID, lose worker.Lose) (eventstore.Position, error) {
	return s.write(ctx, c, s.workerDecision(i, lose))
}

// CordonWorker keeps new jobs away from a worker.
func (s *Service) CordonWorker(ctx context.Context, c Caller, i id.ID, reason string) (eventstore.Position, error) {
	return s.write(ctx, c, s.workerDecision(i, worker.Cordon{Reason: reason}))
}

// UncordonWorker lets a cordoned worker take jobs again.
func (s *Service) UncordonWorker(ctx context.Context, c Caller, i id.ID) (eventstore.Position, error) {
	return s.write(ctx, c, s.workerDecision(i, worker.Uncordon{}))
}

// DrainWorker lets a worker end when its jobs have ended.
func (s *Service) DrainWorker(ctx context.Context, c Caller, i id.ID, drain worker.Drain) (eventstore.Position, error) {
	return s.write(ctx, c, s.workerDecision(i, drain))
}

// TerminateWorker ends a worker for good.
func (s *Service) TerminateWorker(ctx context.Context, c Caller, i id.ID, reason string) (eventstore.Position, error) {
	return s.write(ctx, c, s.workerDecision(i, worker.Terminate{Reason: reason}))
}

func (s *Service) workerDecision(i id.ID, c worker.Command) build {
	return func(ctx context.Context, u *unit) error {
		_, err := s.decideWorker(ctx, u, i, c)
		return err
	}
}

func (s *Service) decideWorker(ctx context.Context, u *unit, i id.ID, c worker.Command) (worker.State, error) {
	stream := eventstore.StreamID(event.WorkerStream(i))
	return decide(ctx, u, s.workers, stream, func(state worker.State, _ mark) ([]proto.Message, error) {
		messages, err := state.Decide(c)
		return messages, fault.About(err, i.String())
	})
}
