package gateway_test

import (
	"crypto/ed25519"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/gateway/dummy"
	"github.com/hodei-jobs/hodei/agentproto/gateway/gatewaytest"
	pb "github.com/hodei-jobs/hodei/agentproto/v1"
)

// TestStrangersDoNotKeepWorkersOut: however many connect, open streams, say that
// they are somebody or send tokens that are none, a worker whose key is known gets
// in, and one that has a session keeps it.
func TestStrangersDoNotKeepWorkersOut(t *testing.T) {
	const strangers = 4
	silent := func(t *testing.T, a *gatewaytest.Agent) *dummy.Session {
		t.Helper()
		s, err := a.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Cut)
		return s
	}
	for _, test := range []struct {
		name   string
		atOnce bool // it gets in at the first try
		knock  func(t *testing.T, server *gatewaytest.Server, worker *gatewaytest.Agent)
	}{
		{"connections that say nothing", false, func(t *testing.T, server *gatewaytest.Server, _ *gatewaytest.Agent) {
			for range 3 * strangers {
				c, err := net.Dial("tcp", server.Address)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = c.Close() })
			}
		}},
		{"streams without a Hello", false, func(t *testing.T, server *gatewaytest.Server, _ *gatewaytest.Agent) {
			for range 3 * strangers {
				silent(t, gatewaytest.NewAgent(t, server))
			}
		}},
		{"the worker's own id and key, without a proof", true, func(t *testing.T, _ *gatewaytest.Server, worker *gatewaytest.Agent) {
			for range strangers {
				s := silent(t, worker)
				if err := s.Send(&pb.Hello{
					ProtocolMin: 1, ProtocolMax: 1, WorkerId: worker.WorkerID,
					PublicKey: worker.Key.Public().(ed25519.PublicKey), Instance: worker.Instance, Facts: worker.Facts,
				}); err != nil {
					t.Fatal(err)
				}
				if m, err := s.Receive(); err != nil || m.GetChallenge() == nil {
					t.Fatalf("answered with %v, %v", m, err)
				}
			}
		}},
		{"tokens that are none, until the server has enough", true, func(t *testing.T, server *gatewaytest.Server, _ *gatewaytest.Agent) {
			stranger := gatewaytest.NewAgent(t, server)
			stranger.Token = "let me in"
			for {
				_, err := stranger.Try(t.Context())
				var refused *dummy.RefusedError
				if !errors.As(err, &refused) {
					t.Fatal(err)
				}
				if refused.Code == "busy" {
					return
				}
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := gatewaytest.Start(t, gatewaytest.Options{Strangers: strangers, Fair: 20 * time.Millisecond, AdmitRate: 1})
			there, worker := gatewaytest.NewAgent(t, server), gatewaytest.NewAgent(t, server)
			session := there.Connect(t)
			worker.Connect(t).Cut()
			test.knock(t, server, worker)
			deadline := time.Now().Add(gatewaytest.Patience)
			for tries := 1; ; tries++ {
				_, err := worker.Try(t.Context())
				if err == nil {
					break
				}
				if test.atOnce || time.Now().After(deadline) {
					t.Fatalf("a known worker is not let in after %d tries: %v", tries, err)
				}
			}
			server.Bind(t, server.Submit(t, anyJob), there.Worker(t))
			gatewaytest.Next(t, session, assign)
		})
	}
}

// TestAWorkerIsNotSentAwayForLongerThanItsTolerance, however many come back.
func TestAWorkerIsNotSentAwayForLongerThanItsTolerance(t *testing.T) {
	server := gatewaytest.Start(t, gatewaytest.Options{AdmitRate: 1})
	worker := gatewaytest.NewAgent(t, server)
	worker.Connect(t).Cut()
	tolerance := server.Runner.World().Settings.ReconnectTolerance
	for {
		before, _ := server.Telemetry.LastHeard(worker.Worker(t))
		s, err := worker.Try(t.Context())
		if err == nil {
			s.Cut()
			continue
		}
		var refused *dummy.RefusedError
		if !errors.As(err, &refused) || refused.Code != "busy" || refused.Final {
			t.Fatal(err)
		}
		if wait := time.Duration(refused.RetryAfterNs); wait <= 0 || wait > tolerance/2 {
			t.Errorf("it is to come back in %v, its tolerance is %v", wait, tolerance)
		}
		if heard, _ := server.Telemetry.LastHeard(worker.Worker(t)); heard <= before {
			t.Error("that it knocked is no sign of life")
		}
		return
	}
}
