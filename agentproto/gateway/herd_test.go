package gateway_test

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/gateway/authority"
	"github.com/hodei-jobs/hodei/agentproto/gateway/dummy"
	"github.com/hodei-jobs/hodei/agentproto/gateway/gatewaytest"
	pb "github.com/hodei-jobs/hodei/agentproto/v1"
	"github.com/hodei-jobs/hodei/commands"
	"github.com/hodei-jobs/hodei/commands/scheduler"
)

// TestAHerdComesBackInOrder: all agents lose their server at once and return at once. In
// 15 s all are back; how evenly is TestAdmission's.
func TestAHerdComesBackInOrder(t *testing.T) {
	agents, rate := 300, 200
	if os.Getenv("HODEI_LONG") != "" {
		agents = 1000
	} else if testing.Short() {
		agents = 100
	}
	server := gatewaytest.Start(t, gatewaytest.Options{})
	var herd []*dummy.Agent
	connectAll := func() time.Duration {
		var all sync.WaitGroup
		began := time.Now()
		for _, a := range herd {
			a.Address = server.Address
			all.Go(func() {
				if err := patiently(t.Context(), a); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		return time.Since(began)
	}
	for range agents {
		herd = append(herd, gatewaytest.NewAgent(t, server).Agent)
	}
	connectAll()
	before := len(recorded(t, server, "WorkerConnected"))
	server.Stop(t)
	server.AdmitRate = rate
	server.Restart(t)
	took := connectAll()
	if limit := 15 * time.Second; took > limit {
		t.Errorf("it took %v, at most %v may be", took, limit)
	}
	if back := len(recorded(t, server, "WorkerConnected")) - before; back != agents {
		t.Errorf("%d of %d are back", back, agents)
	}
}

// patiently connects and stays; it comes back when the server says.
func patiently(ctx context.Context, a *dummy.Agent) error {
	for {
		_, err := a.Connect(ctx)
		var refused *dummy.RefusedError
		if !errors.As(err, &refused) || refused.Final {
			return err
		}
		select {
		case <-time.After(time.Duration(refused.RetryAfterNs)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// BenchmarkLives is whole lives of jobs over the protocol: submitted, bound,
// assigned, started, one line printed, finished, acknowledged.
func BenchmarkLives(b *testing.B) {
	server := gatewaytest.Start(b, gatewaytest.Options{})
	ctx, cancel := context.WithCancel(b.Context())
	swarm := &dummy.Swarm{Address: server.Address, Pin: server.Authority.Pin(), Slots: 64, Output: []byte("hello\n")}
	for range 10 {
		swarm.Tokens = append(swarm.Tokens, server.Token(b, authority.Claims{}))
	}
	var running sync.WaitGroup
	running.Go(func() {
		if err := swarm.Run(ctx); err != nil {
			b.Error(err)
		}
	})
	schedule := scheduler.New(scheduler.Config{Runner: server.Runner, Commands: server.Commands, Telemetry: server.Telemetry, Logger: server.Logger})
	running.Go(func() { _ = schedule.Run(ctx) })
	defer running.Wait()
	defer cancel()
	b.ResetTimer()
	batch := make([]commands.Submission, 0, 100)
	for left := b.N; left > 0; left -= len(batch) {
		batch = batch[:0]
		for range min(left, 100) {
			batch = append(batch, commands.Submission{Spec: anyJob})
		}
		for _, done := range server.Commands.SubmitJobs(ctx, gatewaytest.Caller, batch) {
			if done.Err != nil {
				b.Fatal(done.Err)
			}
		}
		swarm.WaitFor(ctx, uint64(max(0, b.N-left-1000))) // some are always waiting
	}
	swarm.WaitFor(ctx, uint64(b.N))
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lives/s")
}

// BenchmarkChunks is log bytes of one attempt over the protocol, within its
// window, until they are durable.
func BenchmarkChunks(b *testing.B) {
	server := gatewaytest.Start(b, gatewaytest.Options{})
	agent := gatewaytest.NewAgent(b, server)
	session := agent.Connect(b)
	ref := server.Bind(b, server.Submit(b, anyJob), agent.Worker(b))
	gatewaytest.Next(b, session, assign)
	session.Say(b, &pb.Accept{Ref: ref})
	gatewaytest.Next(b, session, start)
	piece := make([]byte, 32<<10)
	window := session.Welcome.WindowAttemptBytes
	var sent, acked uint64
	b.SetBytes(int64(len(piece)))
	for b.Loop() {
		for sent+uint64(len(piece)) > acked+window {
			acked = gatewaytest.Next(b, session, ack).Have
		}
		session.Say(b, &pb.Chunk{Ref: ref, Tag: pb.Tag_TAG_STDOUT, Offset: sent, Data: piece})
		sent += uint64(len(piece))
	}
	for acked < sent {
		acked = gatewaytest.Next(b, session, ack).Have
	}
}
