// Package gateway is the server's side of the Hodei Worker Protocol. It lets
// agents in, tells each what the World says it owes, and turns what agents report
// into commands, log bytes and telemetry.
//
//	agent ──▶ receiver ─┬─▶ chunks ─────▶ joblog ──▶ durable offsets ─┐
//	                    ├─▶ beats ──────▶ telemetry                   │
//	                    └─▶ the attempt's line of work ─▶ commands    │
//	                                          │                       ▼
//	World ─▶ owes: what is, against what the session was told ─▶ sender ──▶ agent
//
// A session is one stream of one agent. Its receiver never waits for a disk: what
// needs an append stands in line at its attempt. Its sender is the only one that
// sends. Its owes loop is level-triggered: it compares the World with what this
// session was told, so a cut, a restart or a missed wake-up changes nothing.
//
// Identity comes only from the handshake. A job or attempt that is named in a
// message must be the worker's own.
package gateway

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/hodei-jobs/hodei/agentproto/gateway/authority"
	"github.com/hodei-jobs/hodei/agentproto/gateway/door"
	pb "github.com/hodei-jobs/hodei/agentproto/v1"
	"github.com/hodei-jobs/hodei/aggregates/worker"
	"github.com/hodei-jobs/hodei/commands"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections"
	"github.com/hodei-jobs/hodei/projections/joblog"
	"github.com/hodei-jobs/hodei/projections/telemetry"
)

// Times and limits of a session.
const (
	Heartbeat = 5 * time.Second // between beats, in both directions

	defaultSuspect   = 12 * time.Second // silence after which a session ends
	defaultHandshake = 10 * time.Second // from a call to its Welcome
	defaultAnswer    = time.Minute      // from an assignment to its answer
	defaultRenew     = time.Hour        // after which an agent opens its next session at the latest; half of it at the earliest

	farewellLimit = time.Second      // for the last message of a session
	commandLimit  = 30 * time.Second // for one command; it is tried again

	source        = "gateway" // in the metadata of what it causes
	windowSession = 4 << 20   // unacknowledged log bytes of all attempts of a session

	defaultAdmitRate  = 200 // handshakes a second
	defaultAdmitBurst = 50

	endsAtOnce = 256 // commands that record that sessions have ended, which share syncs of the disk
)

// Config says what a gateway works with. Those up
// to Authority are required.
type Config struct {
	Commands  *commands.Service
	Runner    *projections.Runner
	Store     eventstore.Store // read to learn which workers' attempts changed
	JobLog    *joblog.Log
	Telemetry *telemetry.Table
	Authority *authority.Authority
	// Traceparent is what an attempt of a job from there goes on from; nil is what
	// the job's submission came with.
	Traceparent func(from commands.Origin, k joblog.Key) string

	Clock     func() time.Time // the log's time, by which leases count; nil is time.Now
	Logger    *slog.Logger     // nil is slog.Default
	AdmitRate int              // handshakes let in a second, of others than known workers, and of those at least; 0 is 200
	Strangers int              // handshakes under way of whom nothing is proved; 0 is that of package door
	Fair      time.Duration    // that one of them has though others wait; 0 is that of package door
	Suspect   time.Duration    // silence after which a session ends; 0 is 12 s
	Handshake time.Duration    // from a call to its Welcome; 0 is 10 s
	Answer    time.Duration    // from an assignment to its answer; 0 is 1 minute
	Renew     time.Duration    // after which agents are to open their next session; 0 is 1 h, negative is never
}

// Gateway implements WorkerServiceServer.
type Gateway struct {
	pb.UnimplementedWorkerServiceServer

	config      Config
	logger      *slog.Logger
	room        *door.Room
	admitKnown  *admission // workers that have proved their key
	admitOthers *admission
	sessions    sessions
	running     sync.WaitGroup // sessions and their goroutines

	context context.Context // of all sessions
	stop    context.CancelCauseFunc
}

// New returns a gateway. It lets nobody in before [Gateway.Start].
func New(c Config) *Gateway {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.AdmitRate <= 0 {
		c.AdmitRate = defaultAdmitRate
	}
	if c.Suspect <= 0 {
		c.Suspect = defaultSuspect
	}
	if c.Handshake <= 0 {
		c.Handshake = defaultHandshake
	}
	if c.Answer <= 0 {
		c.Answer = defaultAnswer
	}
	if c.Renew == 0 {
		c.Renew = defaultRenew
	}
	g := &Gateway{config: c, logger: c.Logger, room: door.NewRoom(c.Strangers, c.Fair),
		admitKnown: newAdmission(defaultAdmitBurst), admitOthers: newAdmission(defaultAdmitBurst)}
	g.context, g.stop = context.WithCancelCause(context.Background())
	return g
}

// Start records that the sessions of an earlier server have ended, then lets
// agents in. The runner must be ready.
func (g *Gateway) Start(ctx context.Context) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	var all sync.WaitGroup
	places := make(chan struct{}, endsAtOnce)
	for w := range g.config.Runner.World().Workers.All() {
		if w.Status != worker.Connected {
			continue
		}
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			_, err := g.config.Commands.DisconnectWorker(ctx, g.caller("system"), w.ID,
				worker.Disconnect{Epoch: w.Epoch, Reason: reasonRestarted})
			if err != nil && !final(err) {
				end(err)
			}
		})
	}
	all.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	g.sessions.start()
	return nil
}

// Run wakes sessions when the World changes for them, and ends the logs of
// attempts that are over. It returns when ctx ends.
func (g *Gateway) Run(ctx context.Context) error {
	var loops sync.WaitGroup
	loops.Go(func() { g.endLogs(ctx) })
	err := g.follow(ctx)
	loops.Wait()
	return err
}

// Close ends all sessions, records that, and waits until that is done or ctx
// ends. Agents keep their attempts and come back to the next server.
func (g *Gateway) Close(ctx context.Context) error {
	g.sessions.shut()
	g.stop(errShutdown)
	done := make(chan struct{})
	go func() { g.running.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Sessions returns how many agents have a session.
func (g *Gateway) Sessions() int { return g.sessions.count() }

// Connect is one session, from the agent's Hello to its end.
func (g *Gateway) Connect(stream pb.WorkerService_ConnectServer) error {
	if !g.sessions.begin(&g.running) {
		return status.Error(codes.Unavailable, "the server is not serving agents")
	}
	defer g.running.Done()
	s, err := g.handshake(stream)
	err = again(err)
	var refused *refusal
	switch {
	case errors.As(err, &refused) && refused.Code == codeBusy:
		return refused.tell(stream)
	case errors.As(err, &refused):
		g.logger.Info("agent refused", "code", refused.Code, "reason", refused.Reason)
		return refused.tell(stream)
	case errors.Is(err, errUnfinished):
		g.logger.Debug("agent not let in", "error", err) // anybody can cause any number of these
		return status.Error(codes.Unavailable, "the handshake did not succeed")
	case err != nil:
		g.logger.Warn("agent not let in", "error", err) // which it is not told: it may be anybody
		return status.Error(codes.Unavailable, "the handshake did not succeed")
	}
	defer s.release()
	return s.run()
}

// caller is on whose behalf the gateway itself gives a command.
func (g *Gateway) caller(actor string) commands.Caller {
	c := commands.Caller{Actor: actor, Source: source}
	rand.Read(c.RequestID[:])
	return c
}

// Limits of a connection.
const (
	maxMessage     = 256 << 10 // bytes of one message: a Hello of an agent with all it may have, a few chunks
	maxStreams     = 8         // at once on one connection
	maxHeaders     = 32 << 10  // bytes; a token is part of them
	windowStream   = 1 << 20   // fixed windows: no probing pings
	windowConn     = 2 << 20
	bufferRead     = 8 << 10 // an idle connection should be small
	bufferWrite    = 32 << 10
	connectionTime = 10 * time.Second // for TLS and HTTP/2 set-up
	connectionIdle = 30 * time.Second // without a call; then the connection is closed
)

// ServerOptions returns what the gRPC server that carries the gateway must be
// made with. Its listener is to be one of package door.
func ServerOptions(c *tls.Config) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.Creds(credentials.NewTLS(c)),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(maxHeaders),
		grpc.InitialWindowSize(windowStream),
		grpc.InitialConnWindowSize(windowConn),
		grpc.ReadBufferSize(bufferRead),
		grpc.WriteBufferSize(bufferWrite),
		grpc.ConnectionTimeout(connectionTime),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: connectionIdle}),
		// Heartbeats are messages, because proxies don't pass pings on. An agent or
		// a proxy that pings nevertheless is not sent away for it.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
	}
}
