package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/hodei-jobs/hodei/agentproto/gateway"
	"github.com/hodei-jobs/hodei/agentproto/gateway/authority"
	pb "github.com/hodei-jobs/hodei/agentproto/v1"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/api"
	"github.com/hodei-jobs/hodei/api/watch"
	"github.com/hodei-jobs/hodei/commands"
	"github.com/hodei-jobs/hodei/commands/deadline"
	"github.com/hodei-jobs/hodei/commands/scheduler"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/blob/disk"
	"github.com/hodei-jobs/hodei/eventstore/embedded"
	"github.com/hodei-jobs/hodei/eventstore/keyring"
	"github.com/hodei-jobs/hodei/projections"
	"github.com/hodei-jobs/hodei/projections/joblog"
	"github.com/hodei-jobs/hodei/projections/joblog/archive"
	"github.com/hodei-jobs/hodei/projections/telemetry"
)

// How long a stopping server waits for what it was asked.
const (
	stopHTTP = 5 * time.Second
	stopGRPC = 5 * time.Second
)

// answerLimit is how long an answer may take, writing included. Streams and the
// text of logs set a limit for each write instead.
const answerLimit = time.Minute

// journalBytes is the size of the event log's journals. The newest is in memory,
// decoded, at two to three times its size.
const journalBytes = 8 << 20

// essential are the events that are still taken on a full disk: what ends things.
var essential = []string{
	"JobSucceeded", "JobFailed", "JobCancelRequested", "JobCancelled", "JobTimedOut", "JobLost", "JobRequeued", "JobRetryScheduled",
	"ResultRefused", "StepFinished", "WorkerConnected", "WorkerDisconnected", "WorkerLost", "WorkerTerminated",
}

// parts are the parts of a running server. They are made in the order of the
// fields and closed in reverse.
type parts struct {
	config serverConfig
	logger *slog.Logger
	fresh  bool // the data folder was made by this start

	keys      *keyring.File
	store     *embedded.Store
	runner    *projections.Runner
	commands  *commands.Service
	objects   *disk.Store // unless logs are in S3
	archive   *archive.Archive
	logs      *joblog.Log
	telemetry *telemetry.Table
	authority *authority.Authority
	gateway   *gateway.Gateway
	watch     *watch.Hub

	http net.Listener
	grpc net.Listener
}

// system is the caller of what a server does by itself.
func system(source string) commands.Caller { return commands.Caller{Actor: "system", Source: source} }

// serve runs a server until ctx ends or a part fails. started is called once it
// listens; what it returns runs beside the parts.
func serve(ctx context.Context, c *serverConfig, logger *slog.Logger, started func(context.Context, *parts) (func(context.Context) error, error)) (err error) {
	tuneCollector()
	p := &parts{config: *c, logger: logger}
	defer func() { err = errors.Join(err, p.close()) }()
	if err := p.listen(ctx); err != nil {
		return err
	}
	if err := p.open(ctx); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	readCtx, stopReading := context.WithCancel(context.WithoutCancel(ctx))
	defer stopReading()
	reading, unread := errgroup.WithContext(readCtx)
	reading.Go(func() error { return p.runner.Run(readCtx) })
	reading.Go(func() error {
		if err := p.telemetry.Run(readCtx); err != nil {
			p.logger.Error("telemetry is kept in memory only", "error", err)
		}
		return nil
	})
	if err := p.prepare(ctx); err != nil {
		stopReading()
		return errors.Join(err, reading.Wait())
	}
	p.run(ctx, group)
	group.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case <-unread.Done():
			return errors.New("the read models have stopped")
		}
	})
	extra, err := started(ctx, p)
	if err != nil {
		group.Go(func() error { return err })
	} else if extra != nil {
		group.Go(func() error { return extra(ctx) })
	}
	err = group.Wait()
	stopReading() // last, so that what the others still record is in the World and its snapshot
	return errors.Join(ended(ctx, err), reading.Wait())
}

// ended is why a group ended, nil if that was asked for.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// listen takes the addresses first: a second server fails here, at once.
func (p *parts) listen(ctx context.Context) (err error) {
	var l net.ListenConfig
	if p.http, err = l.Listen(ctx, "tcp", p.config.HTTP); err != nil {
		return cannotListen("--http", p.config.HTTP, err)
	}
	if p.grpc, err = l.Listen(ctx, "tcp", p.config.GRPC); err != nil {
		return cannotListen("--grpc", p.config.GRPC, err)
	}
	return nil
}

func cannotListen(flag, address string, err error) error {
	return &exitError{code: exitRefused, err: fmt.Errorf("cannot listen on %s: %s", address, reason(err)), help: "is a server running already? else choose another: " + flag + " 127.0.0.1:0"}
}

// open opens what holds data.
func (p *parts) open(ctx context.Context) (err error) {
	_, err = os.Stat(p.config.Data)
	p.fresh = errors.Is(err, fs.ErrNotExist)
	if err := os.MkdirAll(p.config.Data, 0o700); err != nil {
		return &exitError{code: exitRefused, err: fmt.Errorf("cannot make the data folder %s: %s", p.config.Data, reason(err)), help: "name another: --data DIR"}
	}
	if err := p.keysThere(); err != nil {
		return err
	}
	if p.keys, err = keyring.OpenFile(p.config.Data+".keyring", p.config.KeyFile); err != nil {
		return p.cannotOpenKeys(err)
	}
	stepped := make(chan time.Duration, 1)
	var report embedded.Report
	p.store, report, err = embedded.Open(ctx, embedded.Config{
		Dir: filepath.Join(p.config.Data, "events"), Logger: p.logger, Essential: essential, JournalBytes: journalBytes,
		ClockStepped: func(by time.Duration) {
			select {
			case stepped <- by:
			default: // one is on its way; the log's time shows the rest
			}
		},
	})
	if err != nil {
		return &exitError{code: exitRefused, err: err, help: "another folder: --data DIR"}
	}
	for _, note := range report.Notes {
		p.logger.Warn(note)
	}
	p.logger.Debug("event log opened", "head", report.Head, "clean", report.Clean, "took", report.Took)
	p.runner = projections.NewRunner(p.store, projections.RunnerConfig{Logger: p.logger})
	p.commands = commands.New(commands.Config{Store: p.store, Keys: p.keys, Applied: p.runner.WaitFor, Admit: p.runner.Admit, Clock: p.store.Now})
	if err := p.openLogs(ctx); err != nil {
		return err
	}
	if p.telemetry, err = telemetry.Open(filepath.Join(p.config.Data, "telemetry"), telemetry.Options{Logger: p.logger, Clock: p.store.Now,
		Position: func() eventstore.Position { return p.runner.World().Position }}); err != nil {
		return &exitError{code: exitRefused, err: err, help: "another folder: --data DIR"}
	}
	p.authority, err = authority.Open(ctx, authority.Config{Keyring: p.keys, CertFile: p.config.TLSCert, KeyFile: p.config.TLSKey})
	return err
}

// cannotOpenKeys says who has the folder, or where its keys lie.
func (p *parts) cannotOpenKeys(err error) error {
	var locked *keyring.LockedError
	if errors.As(err, &locked) {
		return &exitError{code: exitRefused, err: fmt.Errorf("the data folder %s is in use by process %d", p.config.Data, locked.PID),
			help: "it is a server already; to run another: --data DIR"}
	}
	return &exitError{code: exitRefused, err: err, help: "the keys lie beside the data folder: " + p.config.Data + ".keyring and " + p.config.KeyFile}
}

// keysThere refuses a log whose keys are gone: with new ones its workers could
// not come back and what was encrypted could not be read.
func (p *parts) keysThere() error {
	ring, events := p.config.Data+".keyring", filepath.Join(p.config.Data, "events")
	_, ringErr := os.Stat(ring)
	_, logErr := os.Stat(events)
	if !errors.Is(ringErr, fs.ErrNotExist) || logErr != nil {
		return nil
	}
	return &exitError{code: exitRefused, err: fmt.Errorf("the keyring %s is missing, though there is a log in %s", ring, events),
		help: "put the keyring back from its backup; to begin anew, move the data folder away"}
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
	p.watch = watch.New(p.store, func() (eventstore.Position, <-chan struct{}) {
		w, next := p.runner.Wait()
		return w.Position, next
	})
	p.gateway = gateway.New(gateway.Config{Commands: p.commands, Runner: p.runner, Store: p.store, JobLog: p.logs,
		Telemetry: p.telemetry, Authority: p.authority, Logger: p.logger, Clock: p.store.Now})
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

// run starts what runs until the server stops.
func (p *parts) run(ctx context.Context, group *errgroup.Group) {
	stop := make(chan struct{})
	handler, _ := api.New(api.Config{Commands: p.commands, Runner: p.runner, Store: p.store, Logs: p.logs, Telemetry: p.telemetry,
		Clock: p.store.Now, Logger: p.logger, Watch: p.watch, Version: version, WorkerToken: p.workerToken, Warnings: p.warnings}, stop)
	web := &http.Server{Handler: handler, ReadHeaderTimeout: api.HeaderTimeout, WriteTimeout: answerLimit, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: api.MaxHeaderBytes,
		ErrorLog: slog.NewLogLogger(p.logger.Handler(), slog.LevelDebug)}
	rpc := grpc.NewServer(gateway.ServerOptions(p.authority.TLS())...)
	pb.RegisterWorkerServiceServer(rpc, p.gateway)

	group.Go(func() error {
		return scheduler.New(scheduler.Config{Runner: p.runner, Commands: p.commands, Telemetry: p.telemetry, Logger: p.logger}).Run(ctx)
	})
	group.Go(func() error {
		return deadline.New(deadline.Config{Runner: p.runner, Commands: p.commands, Telemetry: p.telemetry, Logger: p.logger, Clock: p.store.Now}).Run(ctx)
	})
	group.Go(func() error { return p.gateway.Run(ctx) })
	group.Go(func() error { return p.watch.Run(ctx) })
	group.Go(func() error { p.archive.Run(ctx, p.logs); return nil })
	group.Go(func() error { return closedIs(web.Serve(p.http), http.ErrServerClosed) })
	group.Go(func() error { return closedIs(rpc.Serve(p.grpc), grpc.ErrServerStopped) })
	group.Go(func() error { return p.failure(ctx) })
	group.Go(func() error { return p.giveBack(ctx) })
	group.Go(func() error {
		<-ctx.Done()
		close(stop)
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopHTTP+stopGRPC)
		defer cancel()
		err := p.gateway.Close(stopping)
		rpc.Stop()
		if werr := web.Shutdown(stopping); werr != nil {
			_ = web.Close()
		}
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

func (p *parts) warnings() []string {
	var out []string
	if r := p.store.Progress(); r != nil {
		out = append(out, r.Error())
	}
	return append(out, p.archive.Warnings()...)
}

// close closes what was opened, in reverse.
func (p *parts) close() error {
	var errs []error
	if p.logs != nil {
		errs = append(errs, p.logs.Close())
	}
	if p.archive != nil {
		errs = append(errs, p.archive.Close())
	}
	if p.objects != nil {
		errs = append(errs, p.objects.Close())
	}
	if p.store != nil {
		errs = append(errs, p.store.Close())
	}
	if p.keys != nil {
		errs = append(errs, p.keys.Close())
	}
	for _, l := range []net.Listener{p.http, p.grpc} {
		if l != nil {
			_ = l.Close()
		}
	}
	return errors.Join(errs...)
}
