package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/hodei-jobs/hodei/agentproto/build"
	"github.com/hodei-jobs/hodei/agentproto/gateway"
	"github.com/hodei-jobs/hodei/agentproto/gateway/door"
	pb "github.com/hodei-jobs/hodei/agentproto/v1"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/api"
	"github.com/hodei-jobs/hodei/api/metrics"
	"github.com/hodei-jobs/hodei/commands/deadline"
	"github.com/hodei-jobs/hodei/commands/scheduler"
)

// How long a stopping server waits for what it was asked.
const (
	stopHTTP = 5 * time.Second
	stopGRPC = 5 * time.Second
)

// answerLimit is how long an answer may take, writing included. Streams and the
// text of logs set a limit for each write instead.
const answerLimit = time.Minute

// answer starts what answers people, until the server stops; as long as the World
// is not whole with how far it is.
func (p *parts) answer(ctx context.Context, group *errgroup.Group) {
	stop := make(chan struct{})
	counted := metrics.New(metrics.Config{Store: p.store, Wait: p.runner.Wait, Lag: p.runner.Lag, Journals: p.logs.Size, Version: version, Commit: build.Commit()})
	handler, _ := api.New(api.Config{Commands: p.commands, Runner: p.runner, Store: p.store, Logs: p.logs, Telemetry: p.telemetry,
		Clock: p.store.Now, Logger: p.logger, Watch: p.watch, Links: p.links, Uses: p.uses, People: p.people, Names: p.names, NamesChanged: p.keepNames, Metrics: counted, Version: version, WorkerToken: p.workerToken,
		Warnings: p.warnings, Refuses: p.store.Progress,
		MaxStreams: p.config.MaxStreams, MaxTokenStreams: p.config.MaxTokenStreams}, stop)
	web := &http.Server{Handler: handler, ReadHeaderTimeout: api.HeaderTimeout, WriteTimeout: answerLimit, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: api.MaxHeaderBytes,
		ErrorLog: slog.NewLogLogger(p.logger.Handler(), slog.LevelDebug)}

	group.Go(func() error { return p.tell(ctx) })
	group.Go(func() error { return p.watch.Run(ctx) })
	group.Go(func() error { return counted.Run(ctx) })
	group.Go(func() error { return closedIs(web.Serve(p.http), http.ErrServerClosed) })
	group.Go(func() error { return p.failure(ctx) })
	group.Go(func() error {
		<-ctx.Done()
		close(stop)
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopHTTP)
		defer cancel()
		if err := web.Shutdown(stopping); err != nil {
			_ = web.Close()
		}
		return nil
	})
}

// prepare waits until the World is whole, and records that the server is here.
func (p *parts) prepare(ctx context.Context) error {
	select {
	case <-p.runner.Ready():
	case <-p.store.Failed():
		return p.store.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-p.store.Ready():
	case <-p.store.Failed():
		return p.store.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
	switch idle, err := p.commands.SweepKeys(ctx, p.runner.World().Secrets.Sealed); {
	case err != nil:
		p.logger.Warn("keys that nothing needs were not dropped; the next start tries again", "error", err)
	case idle > 0:
		p.logger.Info("keys that nothing needs were dropped", "keys", idle)
	}
	server, err := p.serverID(ctx)
	if err != nil {
		return err
	}
	if _, err := p.commands.JoinServer(ctx, system("server"), server, version, "embedded"); err != nil {
		return err
	}
	if _, ok := p.runner.World().Access.Namespace("default"); !ok {
		if _, err := p.commands.CreateNamespace(ctx, system("server"), "default", "where jobs go that name no other"); err != nil {
			return err
		}
	}
	return p.gateway.Start(ctx)
}

// serverID is this data folder's name in the log, made at its first start.
func (p *parts) serverID(ctx context.Context) (id.ID, error) {
	const name = "server-id"
	kept, ok, err := p.keys.GetBlob(ctx, name)
	if err != nil {
		return 0, err
	}
	if ok {
		return id.Parse(string(kept))
	}
	made, err := p.commands.NewID()
	if err != nil {
		return 0, err
	}
	return made, p.keys.PutBlob(ctx, name, []byte(made.String()))
}

// run starts what works on a whole World, agents included, until the server stops.
func (p *parts) run(ctx context.Context, group *errgroup.Group) {
	rpc := grpc.NewServer(gateway.ServerOptions(p.authority.TLS())...)
	pb.RegisterWorkerServiceServer(rpc, p.gateway)

	group.Go(func() error {
		return scheduler.New(scheduler.Config{Runner: p.runner, Commands: p.commands, Telemetry: p.telemetry, Logger: p.logger}).Run(ctx)
	})
	group.Go(func() error {
		return deadline.New(deadline.Config{Runner: p.runner, Commands: p.commands, Telemetry: p.telemetry, Logger: p.logger, Clock: p.store.Now}).Run(ctx)
	})
	group.Go(func() error { return p.gateway.Run(ctx) })
	group.Go(func() error { p.archive.Run(ctx, p.logs); return nil })
	group.Go(func() error { return p.giveBack(ctx) })
	group.Go(func() error { p.keepUses(ctx); return nil })
	group.Go(func() error { return closedIs(rpc.Serve(door.Listen(p.grpc, 0, 0)), grpc.ErrServerStopped) })
	group.Go(func() error {
		<-ctx.Done()
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGRPC)
		defer cancel()
		err := p.gateway.Close(stopping)
		rpc.Stop()
		return err
	})
}

func closedIs(err, closed error) error {
	if errors.Is(err, closed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// failure ends the server when a part that holds data can't go on: a failed sync
// is final for the process.
func (p *parts) failure(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-p.store.Failed():
		return p.store.Err()
	case <-p.logs.Failed():
		return fmt.Errorf("job logs have stopped: %w", p.logs.Err())
	}
}
