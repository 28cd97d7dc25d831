package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hodei-jobs/hodei/agentproto/gateway"
	"github.com/hodei-jobs/hodei/agentproto/gateway/authority"
	"github.com/hodei-jobs/hodei/api"
	"github.com/hodei-jobs/hodei/api/people"
	"github.com/hodei-jobs/hodei/api/watch"
	"github.com/hodei-jobs/hodei/commands"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/blob/disk"
	"github.com/hodei-jobs/hodei/eventstore/embedded"
	"github.com/hodei-jobs/hodei/eventstore/keyring"
	"github.com/hodei-jobs/hodei/eventstore/wal"
	"github.com/hodei-jobs/hodei/projections"
	"github.com/hodei-jobs/hodei/projections/joblog"
	"github.com/hodei-jobs/hodei/projections/joblog/archive"
	"github.com/hodei-jobs/hodei/projections/telemetry"
)

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
	telemetry *telemetry.Table
	store     *embedded.Store
	runner    *projections.Runner
	commands  *commands.Service
	objects   *disk.Store // unless logs are in S3
	archive   *archive.Archive
	logs      *joblog.Log
	authority *authority.Authority
	gateway   *gateway.Gateway
	watch     *watch.Hub
	links     *api.Links
	uses      *api.Uses
	people    *people.Provider // nil: nobody signs in
	names     *people.Names

	http net.Listener
	grpc net.Listener
}

// system is the caller of what a server does by itself.
func system(source string) commands.Caller { return commands.Caller{Actor: "system", Source: source} }

// serve runs a server until ctx ends or a part fails. It answers as soon as the
// parts are open: with how far they are until the World and the index are whole.
// started is called once all works; what it returns runs beside the parts.
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
	p.answer(ctx, group)
	group.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case <-unread.Done():
			return errors.New("the read models have stopped")
		}
	})
	group.Go(func() error {
		if err := p.prepare(ctx); err != nil {
			return err
		}
		p.run(ctx, group)
		extra, err := started(ctx, p)
		if err != nil || extra == nil {
			return err
		}
		return extra(ctx)
	})
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
	if err := p.openTelemetry(); err != nil {
		return err
	}
	if err := p.openStore(ctx); err != nil {
		return err
	}
	p.runner = projections.NewRunner(p.store, projections.RunnerConfig{Logger: p.logger})
	p.commands = commands.New(commands.Config{Store: p.store, Keys: p.keys, Applied: p.runner.WaitFor, Admit: p.runner.Admit, Clock: p.store.Now})
	if err := p.openLogs(ctx); err != nil {
		return err
	}
	if p.authority, err = authority.Open(ctx, authority.Config{Keyring: p.keys, CertFile: p.config.TLSCert, KeyFile: p.config.TLSKey}); err != nil {
		return err
	}
	p.watch = watch.New(p.store, func() (eventstore.Position, <-chan struct{}) {
		w, next := p.runner.Wait()
		return w.Position, next
	})
	p.links, p.uses = api.NewLinks(p.store.Now), p.openUses()
	if err := p.openPeople(ctx); err != nil {
		return err
	}
	p.gateway = gateway.New(gateway.Config{Commands: p.commands, Traceparent: p.traceparent(), Runner: p.runner, Store: p.store, JobLog: p.logs,
		Telemetry: p.telemetry, Authority: p.authority, Logger: p.logger, Clock: p.store.Now})
	return nil
}

// openTelemetry opens what names positions of the log, before the log: one that
// ends below them is not the one that was here.
func (p *parts) openTelemetry() (err error) {
	p.telemetry, err = telemetry.Open(filepath.Join(p.config.Data, "telemetry"), telemetry.Options{Logger: p.logger, Files: p.spared(),
		Clock:    func() time.Time { return p.store.Now() },
		Position: func() eventstore.Position { return p.runner.World().Position }})
	if err != nil {
		return &exitError{code: exitRefused, err: err, help: "another folder: --data DIR"}
	}
	return nil
}

// spared is the disk for all but the log: on a full one what is left is the log's,
// for how running jobs end.
func (p *parts) spared() wal.Files {
	return wal.Sparing{Files: wal.Disk{}, Low: func() bool { return p.store.SpaceIsLow() }}
}

func (p *parts) openStore(ctx context.Context) error {
	stepped := make(chan time.Duration, 1)
	store, report, err := embedded.Open(ctx, embedded.Config{
		Dir: filepath.Join(p.config.Data, "events"), Logger: p.logger, Essential: essential, JournalBytes: journalBytes, MinHead: p.telemetry.Highest(),
		ClockStepped: func(by time.Duration) {
			select {
			case stepped <- by:
			default: // one is on its way; the log's time shows the rest
			}
		},
	})
	var damaged *eventstore.DamageError
	if errors.As(err, &damaged) && damaged.Position < p.telemetry.Highest() {
		return &exitError{code: exitRefused, err: err, help: fmt.Sprintf("%s was written when the log had reached #%d: put the newer log back, or if the older one is meant, move telemetry, events/index and events/snapshots away",
			filepath.Join(p.config.Data, "telemetry"), p.telemetry.Highest())}
	}
	if err != nil {
		return &exitError{code: exitRefused, err: err, help: "another folder: --data DIR"}
	}
	p.store = store
	for _, note := range report.Notes {
		p.logger.Warn(note)
	}
	p.logger.Debug("event log opened", "head", report.Head, "clean", report.Clean, "took", report.Took)
	return nil
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
