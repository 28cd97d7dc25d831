package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/agent/outbox"
	"github.com/hodei-jobs/hodei/agentproto/gateway/gatewaytest"
	pb "github.com/hodei-jobs/hodei/agentproto/v1"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/projections/joblog"
)

// proxy stands between agent and server and can go silent, or break.
type proxy struct {
	address string
	target  string
	running sync.WaitGroup

	mu     sync.Mutex
	gate   chan struct{} // closed while bytes pass
	silent bool
	conns  map[net.Conn]struct{}
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{address: listener.Addr().String(), target: target, gate: make(chan struct{}), conns: map[net.Conn]struct{}{}}
	close(p.gate)
	p.running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			p.running.Go(func() { p.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		p.listen(true)
		p.reset()
		p.running.Wait()
	})
	return p
}

func (p *proxy) serve(agent net.Conn) {
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		_ = agent.Close()
		return
	}
	p.mu.Lock()
	p.conns[agent], p.conns[server] = struct{}{}, struct{}{}
	p.mu.Unlock()
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{agent, server}, {server, agent}} {
		both.Go(func() {
			_, _ = io.Copy(way[1], gated{way[0], p})
			_ = way[1].Close()
		})
	}
	both.Wait()
}

// gated reads only while the proxy lets bytes pass. What it has read when it goes
// silent stays in it until it is heard again.
type gated struct {
	net.Conn
	p *proxy
}

func (g gated) Read(b []byte) (int, error) {
	n, err := g.Conn.Read(b)
	g.p.mu.Lock()
	gate := g.p.gate
	g.p.mu.Unlock()
	<-gate
	return n, err
}

// listen lets bytes pass, or nothing at all, without breaking a connection.
func (p *proxy) listen(pass bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.silent == !pass {
		return
	}
	if p.silent = !pass; pass {
		close(p.gate)
	} else {
		p.gate = make(chan struct{})
	}
}

// reset breaks all connections.
func (p *proxy) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
		delete(p.conns, c)
	}
}

// cut breaks so many sessions, one after the other, while their job writes; every
// other one falls silent first, for so long that both ends take the other for dead.
func (p *proxy) cut(ctx context.Context, times int, begun <-chan struct{}, suspect time.Duration) {
	for i := range times {
		select {
		case <-begun:
		case <-ctx.Done():
			return
		}
		<-time.After(100 * time.Millisecond) // it writes
		if i%2 == 0 {
			p.listen(false)
			<-time.After(suspect + suspect/2)
			p.listen(true)
		}
		p.reset()
	}
}

// TestCutsLoseNothing: a job writes while its agent's connection goes silent and
// breaks, again and again. The log has each byte once, so has the series of what it
// uses, and the result counts.
func TestCutsLoseNothing(t *testing.T) {
	const suspect = 200 * time.Millisecond
	server := gatewaytest.Start(t, gatewaytest.Options{Suspect: suspect})
	r := run(t, server, anyJob)
	r.session.Cut()
	p := newProxy(t, server.Address)
	r.agent.Address = p.address

	out := outbox.New()
	box := out.Open(outbox.Key{Job: r.ref.Job, Attempt: r.ref.Attempt})
	series := out.Open(outbox.Key{Job: r.ref.Job, Attempt: r.ref.Attempt})
	var written, used bytes.Buffer
	cuts := 8
	var parts sync.WaitGroup
	quiet := make(chan struct{})       // closed when the last cut is over
	begun := make(chan struct{}, cuts) // sessions that were not cut yet
	parts.Go(func() {
		defer close(quiet)
		p.cut(t.Context(), cuts, begun, suspect)
	})
	parts.Go(func() {
		for line := 0; ; line++ {
			text := fmt.Appendf(nil, "line %d %s\n", line, bytes.Repeat([]byte("x"), line%200))
			written.Write(text)
			_, _ = box.Writer(outbox.Tag(1 + line%2)).Write(text)
			if series.Offer(outbox.Usage, text[:5]) {
				used.Write(text[:5])
			}
			select {
			case <-quiet:
				box.Close()
				series.Close()
				return
			case <-time.After(100 * time.Microsecond):
			}
		}
	})
	sessions := 0
	for done := false; !done; sessions++ {
		var err error
		if done, err = converse(t, r, out, box, series, begun, suspect); err != nil && !errors.Is(err, io.EOF) {
			t.Log(err)
		}
	}
	parts.Wait()
	r.status(t, job.Succeeded)
	if sessions <= cuts {
		t.Errorf("only %d sessions for %d cuts", sessions, cuts)
	}
	for k, want := range map[joblog.Key]string{r.key: written.String(), r.key.Series(): used.String()} {
		if got := textOf(t, server.JobLog, k); got != want || want == "" {
			t.Errorf("stored are %d bytes that are not the %d written", len(got), len(want))
		}
	}
}

// converse is one session: go on from what the server has, send, report the end.
// It returns when the connection is silent for too long or breaks, or the result
// was acknowledged.
func converse(t *testing.T, r *running, out *outbox.Outbox, box, series *outbox.Box, begun chan<- struct{}, suspect time.Duration) (done bool, err error) {
	s, err := r.agent.Agent.Connect(t.Context(), &pb.Held{Ref: r.ref, Phase: pb.Phase_PHASE_RUNNING})
	if err != nil {
		return false, err
	}
	defer s.Cut()
	select {
	case begun <- struct{}{}:
	default: // the last cut is over
	}
	v := s.Welcome.Verdicts[0]
	if !v.Keep || box.Resume(v.Have) != nil || series.Resume(v.HaveUsage) != nil {
		t.Fatalf("the verdict is %v", v)
	}
	out.SetWindow(s.Welcome.WindowAttemptBytes, s.Welcome.WindowSessionBytes, s.Welcome.WindowPieceBytes)
	defer out.SetWindow(0, 0, 0)
	inbox, failed := make(chan *pb.ServerMessage), make(chan error, 1)
	over := make(chan struct{})
	defer close(over)
	go func() {
		for {
			m, err := s.Receive()
			if err != nil {
				failed <- err
				return
			}
			select {
			case inbox <- m:
			case <-over:
				return
			}
		}
	}()
	beat := time.NewTicker(suspect / 4)
	defer beat.Stop()
	reported := false
	for {
		for piece, ok := out.Take(); ok; piece, ok = out.Take() {
			err := s.Send(&pb.Chunk{Ref: r.ref, Tag: pb.Tag(piece.Tag), Offset: piece.Offset, TimeNs: piece.Time, Data: piece.Data})
			if err != nil {
				return false, err
			}
		}
		if box.Sent() && series.Sent() && !reported {
			reported = true
			err := s.Send(&pb.Result{Ref: r.ref, Outcome: "succeeded", ExitCode: new(int32), EndOffset: box.Written()})
			if err != nil {
				return false, err
			}
		}
		select {
		case m := <-inbox:
			if a := m.GetAck(); a != nil && map[bool]*outbox.Box{false: box, true: series}[a.Usage].Ack(a.Have) != nil {
				t.Fatalf("acknowledged %v, written %d and %d", a, box.Written(), series.Written())
			}
			if m.GetResultAck() != nil {
				return true, nil
			}
		case <-out.Wake():
		case <-beat.C:
			if err := s.Send(&pb.AgentBeat{}); err != nil {
				return false, err
			}
		case err := <-failed:
			return false, err
		}
	}
}
