package gateway

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/hodei-jobs/hodei/agentproto/v1"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/worker"
	"github.com/hodei-jobs/hodei/commands"
	"github.com/hodei-jobs/hodei/projections"
	"github.com/hodei-jobs/hodei/projections/joblog"
)

const (
	maxQueue    = 256 // messages that wait for the sender
	maxCommands = 64  // of one session under way at once
)

// Why a session ended. The texts of the first three are reasons in
// WorkerDisconnected; others are an error.
var (
	errClosed   = errors.New("closed")
	errSilent   = errors.New("silent")
	errShutdown = errors.New("shutdown")
	errReplaced = errors.New("replaced by a newer session")

	errTerminated = errors.New("the worker was terminated")
)

const reasonRestarted = "server_restarted"

// session is one agent's stream from Welcome on.
type session struct {
	g        *Gateway
	stream   pb.WorkerService_ConnectServer
	logger   *slog.Logger
	worker   id.ID
	instance [maxInstance]byte
	epoch    uint64
	release  func()    // gives back the connection's place among those with a session
	requests [8]byte   // first half of the request ids of what this session causes
	waiting  []*charge // what the agent had accepted when it came, and may not run yet

	ctx  context.Context // ends with the session; its cause says why
	end  context.CancelCauseFunc
	work sync.WaitGroup // all goroutines of the session
	done chan struct{}  // closed when none is left and the worker has no session

	queue   chan *pb.ServerMessage // to the sender; bounded by maxQueue
	ackable chan struct{}          // holds one: durable offsets rose
	silent  chan struct{}          // closed when the sender has returned
	wake    chan struct{}          // holds one: the World changed for this worker
	slots   chan struct{}          // bounds commands under way

	heard   atomic.Int64 // when the agent was last heard, ns since began
	sending atomic.Int64 // since when a Send has been under way, ns since began; 0 is none
	began   time.Time

	// Owned by the sender.
	sent uint64

	// Owned by welcome, then by owe.
	times times // that the agent was told

	mu        sync.Mutex
	charges   map[joblog.Key]*charge
	unacked   uint64  // bytes received and not yet durable, of all charges
	pieces    int     // that they came in
	acks      []*flow // whose durable offset rose since the agent was told
	newer     *[maxInstance]byte
	refusals  int // assignments refused by the agent in a row
	drainTold bool

	strangers       int // messages about attempts that are not the worker's
	strangerResults int // of them
}

// times are what the settings say of time without a server.
type times struct{ tolerance, orphanAfter time.Duration }

func timesOf(world *projections.World) times {
	return times{world.Settings.ReconnectTolerance, world.Settings.OrphanAfter}
}

func newSession(g *Gateway, stream pb.WorkerService_ConnectServer, worker id.ID, instance []byte) *session {
	s := &session{
		g: g, stream: stream, worker: worker, began: time.Now(),
		logger:  g.logger.With("worker", worker),
		done:    make(chan struct{}),
		queue:   make(chan *pb.ServerMessage, maxQueue),
		ackable: make(chan struct{}, 1),
		silent:  make(chan struct{}),
		wake:    make(chan struct{}, 1),
		slots:   make(chan struct{}, maxCommands),
		charges: map[joblog.Key]*charge{},
	}
	copy(s.instance[:], instance)
	rand.Read(s.requests[:])
	s.ctx, s.end = context.WithCancelCause(stream.Context())
	return s
}

// run serves the session until it ends, and records that it did.
func (s *session) run() error {
	release := context.AfterFunc(s.g.context, func() { s.end(errShutdown) })
	defer release()
	s.hear()
	for _, c := range s.waiting {
		_ = s.push(c, func(ctx context.Context, s *session, c *charge) error { return s.permit(ctx, c, 0) })
	}
	s.work.Go(s.receive)
	s.work.Go(func() { defer close(s.silent); s.send() })
	s.work.Go(s.owe)
	s.watch()
	return s.close()
}

// watch waits for the session's end, and ends it when the agent is silent or does
// not read.
func (s *session) watch() {
	limit := s.g.config.Suspect
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-timer.C:
		}
		now := time.Since(s.began)
		quiet := now - time.Duration(s.heard.Load())
		if since := s.sending.Load(); since > 0 && now-time.Duration(since) > quiet {
			quiet = now - time.Duration(since)
		}
		if quiet >= limit {
			s.end(errSilent)
			return
		}
		timer.Reset(limit - quiet)
	}
}

// hear notes that the agent was heard.
func (s *session) hear() {
	s.heard.Store(int64(time.Since(s.began)))
	s.g.config.Telemetry.Heard(s.worker, s.g.config.Clock().UnixNano())
}

// close ends a session whose context has ended. The call must return before the
// sender and the receiver can, so those who wait for the session's end are told
// afterwards.
func (s *session) close() error {
	cause := context.Cause(s.ctx)
	if errors.Is(cause, context.Canceled) {
		cause = errClosed // by the agent, or with its connection
	}
	if errors.Is(cause, errReplaced) {
		s.farewell()
	}
	s.g.running.Add(1)
	go func() {
		defer s.g.running.Done()
		s.work.Wait()
		if !errors.Is(cause, errReplaced) {
			s.disconnect(cause)
		}
		s.g.sessions.leave(s)
	}()
	s.logger.Info("session ended", "epoch", s.epoch, "cause", cause)
	switch {
	case errors.Is(cause, errClosed):
		return nil
	case errors.Is(cause, errProtocol):
		return status.Error(codes.InvalidArgument, cause.Error())
	}
	return status.Error(codes.Unavailable, cause.Error())
}

// farewell tells an agent that another process has taken its place.
func (s *session) farewell() {
	s.mu.Lock()
	newer := s.newer
	s.mu.Unlock()
	if newer == nil || *newer == s.instance {
		return // its own next session
	}
	told := make(chan struct{})
	s.work.Go(func() {
		defer close(told)
		<-s.silent
		_ = s.transmit(&pb.ServerMessage{Body: &pb.ServerMessage_Superseded{Superseded: &pb.Superseded{
			Reason: "another process with this worker's key has connected",
		}}})
	})
	select {
	case <-told:
	case <-time.After(farewellLimit): // it does not read; the call's end frees the sender
	}
}

// replace ends the session for a newer one of the same worker.
func (s *session) replace(instance [maxInstance]byte) {
	s.mu.Lock()
	s.newer = &instance
	s.mu.Unlock()
	s.end(errReplaced)
}

// disconnect records the session's end.
func (s *session) disconnect(cause error) {
	reason := "error"
	for _, known := range []error{errClosed, errSilent, errShutdown} {
		if errors.Is(cause, known) {
			reason = known.Error()
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	defer cancel()
	_, err := s.g.config.Commands.DisconnectWorker(ctx, s.caller(0), s.worker, worker.Disconnect{Epoch: s.epoch, Reason: reason})
	if err != nil && !final(err) {
		s.logger.Warn("cannot record that a worker disconnected", "error", err)
	}
}

// receive takes what the agent sends. It never waits for a disk.
func (s *session) receive() {
	for {
		m, err := s.stream.Recv()
		if err != nil {
			if errors.Is(err, io.EOF) || status.Code(err) == codes.Canceled {
				err = errClosed
			}
			s.end(err)
			return
		}
		s.hear()
		if err := s.take(m); err != nil {
			s.end(err)
			return
		}
		if s.ctx.Err() != nil {
			return
		}
	}
}

// take does what one message asks for. An error ends the session.
func (s *session) take(m *pb.AgentMessage) error {
	switch body := m.GetBody().(type) {
	case *pb.AgentMessage_Beat:
		s.beat(body.Beat)
		return nil
	case *pb.AgentMessage_Chunk:
		return s.chunk(body.Chunk)
	case *pb.AgentMessage_Accept:
		return s.accept(body.Accept, m.GetRequestId())
	case *pb.AgentMessage_Step:
		return s.step(body.Step, m.GetRequestId())
	case *pb.AgentMessage_Result:
		return s.result(body.Result, m.GetRequestId())
	}
	return fmt.Errorf("%w: a message that doesn't belong here", errProtocol)
}

// caller is on whose behalf the session gives commands.
func (s *session) caller(request uint64) commands.Caller {
	c := commands.Caller{Actor: s.worker.String(), Source: source}
	copy(c.RequestID[:], s.requests[:])
	binary.BigEndian.PutUint64(c.RequestID[8:], request)
	return c
}
