package bench

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/hodei-jobs/hodei/agentproto/gateway"
	"github.com/hodei-jobs/hodei/agentproto/gateway/authority"
	"github.com/hodei-jobs/hodei/agentproto/gateway/dummy"
	pb "github.com/hodei-jobs/hodei/agentproto/v1"
	"github.com/hodei-jobs/hodei/commands/scheduler"
	"github.com/hodei-jobs/hodei/commands/simulate"
	"github.com/hodei-jobs/hodei/eventstore/keyring"
	"github.com/hodei-jobs/hodei/projections/joblog"
	"github.com/hodei-jobs/hodei/projections/telemetry"
)

const swarmAgents = 10

// protocol measures whole lives with agents that speak the real protocol over
// TLS and finish each job as soon as it may start.
func protocol(ctx context.Context, r *Run) error {
	return withCore(ctx, func(k *core, dir string) error {
		logs, err := joblog.Open(filepath.Join(dir, "logs"), joblog.Options{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			return err
		}
		return errors.Join(overProtocol(ctx, r, k, dir, logs), logs.Close())
	})
}

func overProtocol(ctx context.Context, r *Run, k *core, dir string, logs *joblog.Log) error {
	keys, err := keyring.OpenFile(filepath.Join(dir, "keyring"), filepath.Join(dir, "key"))
	if err != nil {
		return err
	}
	ca, err := authority.Open(ctx, authority.Config{Keyring: keys})
	if err != nil {
		return err
	}
	table := telemetry.New()
	g := gateway.New(gateway.Config{Commands: k.commands, Runner: k.runner, Store: k.store, JobLog: logs, Telemetry: table, Authority: ca,
		Logger: slog.New(slog.DiscardHandler)})
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := grpc.NewServer(gateway.ServerOptions(ca.TLS())...)
	pb.RegisterWorkerServiceServer(server, g)
	swarm, err := newSwarm(ctx, k, ca, listener.Addr().String())
	if err != nil {
		return err
	}
	if err := g.Start(ctx); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group, inner := errgroup.WithContext(ctx)
	s := scheduler.New(scheduler.Config{Runner: k.runner, Commands: k.commands, Telemetry: table})
	group.Go(func() error { return server.Serve(listener) })
	group.Go(func() error { return unlessEnded(inner, g.Run(inner)) })
	group.Go(func() error { return unlessEnded(inner, s.Run(inner)) })
	group.Go(func() error { return unlessEnded(inner, swarm.Run(inner)) })
	group.Go(func() error {
		defer func() {
			stop()
			server.Stop()
		}()
		rate, err := simulate.Whole(inner, k.commands, k.runner, trivial, callers, r.count(50_000, 500))
		r.Figures["lives_per_s_protocol"] = rate.PerSecond()
		return err
	})
	return group.Wait()
}

func newSwarm(ctx context.Context, k *core, ca *authority.Authority, address string) (*dummy.Swarm, error) {
	swarm := &dummy.Swarm{Address: address, Pin: ca.Pin(), Slots: simSlots}
	for range swarmAgents {
		tokenID, err := k.commands.NewID()
		if err != nil {
			return nil, err
		}
		token, err := ca.IssueWorkerToken(ctx, authority.Claims{ID: tokenID.String(), Expires: time.Now().Add(time.Hour)})
		if err != nil {
			return nil, err
		}
		swarm.Tokens = append(swarm.Tokens, token)
	}
	return swarm, nil
}
