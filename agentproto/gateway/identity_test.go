package gateway_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hodei-jobs/hodei/agentproto/gateway/authority"
	"github.com/hodei-jobs/hodei/agentproto/gateway/dummy"
	"github.com/hodei-jobs/hodei/agentproto/gateway/gatewaytest"
	pb "github.com/hodei-jobs/hodei/agentproto/v1"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/worker"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections"
)

func newKey() ed25519.PrivateKey {
	_, key, _ := ed25519.GenerateKey(rand.Reader)
	return key
}

// recorded returns the events of a type in the log.
func recorded(t *testing.T, s *gatewaytest.Server, typ string) []*eventstore.Record {
	t.Helper()
	head, _ := s.Store.Wait()
	records, next, err := s.Store.ReadAll(t.Context(), nil, 1, int(head), eventstore.Filter{Types: []string{typ}})
	if err != nil || next != head+1 {
		t.Fatalf("read to %d of %d: %v", next, head, err)
	}
	return records
}

func TestWhoIsLetIn(t *testing.T) {
	server := gatewaytest.Start(t, gatewaytest.Options{})
	registered := gatewaytest.NewAgent(t, server)
	registered.Connect(t).Cut()
	ended := gatewaytest.NewAgent(t, server)
	ended.Connect(t).Cut()
	if _, err := server.Commands.TerminateWorker(t.Context(), gatewaytest.Caller, ended.Worker(t), ""); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		change func(a *gatewaytest.Agent)
		code   string // empty: let in
	}{
		{"a new agent with a new token", func(*gatewaytest.Agent) {}, ""},
		{"no token and no worker id", func(a *gatewaytest.Agent) { a.Token = "" }, "unknown_worker"},
		{"a token that isn't one", func(a *gatewaytest.Agent) { a.Token = "let me in" }, "bad_token"},
		{"an expired token", func(a *gatewaytest.Agent) {
			a.Token = server.Token(t, authority.Claims{Expires: time.Now().Add(-time.Minute)})
		}, "bad_token"},
		{"a token for no worker", func(a *gatewaytest.Agent) { a.Token = server.Token(t, authority.Claims{WorkerID: "nobody"}) }, "bad_token"},
		{"a used token with the same key", func(a *gatewaytest.Agent) { a.Token, a.Key = registered.Token, registered.Key }, ""},
		{"a used token with another key", func(a *gatewaytest.Agent) { a.Token = registered.Token }, "token_used"},
		{"a known worker without a token", func(a *gatewaytest.Agent) {
			a.Token, a.Key, a.WorkerID = "", registered.Key, registered.WorkerID
		}, ""},
		{"a known worker's id with another key", func(a *gatewaytest.Agent) { a.Token, a.WorkerID = "", registered.WorkerID }, "unknown_worker"},
		{"an unknown worker's id", func(a *gatewaytest.Agent) { a.Token, a.WorkerID = "", "zzzzzzzz" }, "unknown_worker"},
		{"an unknown worker's id with a good token", func(a *gatewaytest.Agent) { a.WorkerID = "zzzzzzzz" }, ""},
		{"a worker that has ended", func(a *gatewaytest.Agent) { a.Token, a.Key, a.WorkerID = "", ended.Key, ended.WorkerID }, "terminated"},
		{"a worker that has ended, with its token", func(a *gatewaytest.Agent) { a.Token, a.Key, a.WorkerID = ended.Token, ended.Key, "" }, "terminated"},
		{"an instance that is too short", func(a *gatewaytest.Agent) { a.Instance = []byte("x") }, "bad_hello"},
		{"a label that can't be one", func(a *gatewaytest.Agent) { a.Facts.Labels = []*pb.Label{{Key: "a b"}} }, "bad_hello"},
		{"a capacity that can't be true", func(a *gatewaytest.Agent) { a.Facts.Capacity.CpuMilli = 1 << 62 }, "bad_hello"},
		{"a name with an escape sequence", func(a *gatewaytest.Agent) { a.Facts.Name = "\x1b]0;x\a" + strings.Repeat("n", 500) }, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := gatewaytest.NewAgent(t, server)
			test.change(a)
			s, err := a.Try(t.Context())
			var refused *dummy.RefusedError
			switch {
			case test.code == "" && err != nil:
				t.Fatalf("not let in: %v", err)
			case test.code == "":
				s.Cut()
			case !errors.As(err, &refused) || refused.Code != test.code || !refused.Final:
				t.Errorf("got %v, want a final %s", err, test.code)
			}
		})
	}
	refusals := recorded(t, server, "WorkerTokenRefused")
	if len(refusals) != 1 {
		t.Errorf("%d refusals of a used token are recorded", len(refusals))
	}
	for w := range server.Runner.World().Workers.All() {
		if strings.ContainsFunc(w.Name, func(r rune) bool { return r < ' ' }) || len(w.Name) > 128 {
			t.Errorf("a worker is called %q", w.Name)
		}
	}
}

func TestAProofOfAnotherKeyIsRefused(t *testing.T) {
	server := gatewaytest.Start(t, gatewaytest.Options{})
	agent := gatewaytest.NewAgent(t, server)
	for name, proof := range map[string]func(pin, nonce []byte) []byte{
		"another key":     func(pin, nonce []byte) []byte { return ed25519.Sign(newKey(), proofText(pin, nonce)) },
		"another server":  func(pin, nonce []byte) []byte { return ed25519.Sign(agent.Key, proofText(make([]byte, 32), nonce)) },
		"another session": func(pin, nonce []byte) []byte { return ed25519.Sign(agent.Key, proofText(pin, make([]byte, 32))) },
		"no prefix":       func(pin, nonce []byte) []byte { return ed25519.Sign(agent.Key, append(pin, nonce...)) },
		"nothing":         func(pin, nonce []byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			s, err := agent.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer s.Cut()
			err = s.Send(&pb.Hello{
				ProtocolMin: 1, ProtocolMax: 1, PublicKey: agent.Key.Public().(ed25519.PublicKey), Instance: agent.Instance, Facts: agent.Facts,
			})
			if err != nil {
				t.Fatal(err)
			}
			m, err := s.Receive()
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Send(&pb.Proof{Signature: proof(m.GetChallenge().Pin, m.GetChallenge().Nonce)}); err != nil {
				t.Fatal(err)
			}
			if m, err = s.Receive(); err != nil || m.GetRefuse().GetCode() != "bad_proof" {
				t.Errorf("answered with %v, %v", m, err)
			}
		})
	}
	if n := len(recorded(t, server, "WorkerRegistered")); n != 0 {
		t.Errorf("%d workers were registered", n)
	}
}

func proofText(pin, nonce []byte) []byte {
	return append(append([]byte("hodei.worker.v1 proof\x00"), pin...), nonce...)
}

func TestAnotherProtocolVersionIsRefused(t *testing.T) {
	server := gatewaytest.Start(t, gatewaytest.Options{})
	agent := gatewaytest.NewAgent(t, server)
	for _, test := range []struct {
		name     string
		min, max uint32
		code     string
	}{
		{"an older agent", 0, 0, "version"},
		{"a newer agent", 2, 3, "version"},
		{"a newer agent that still speaks this one", 1, 3, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := agent.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer s.Cut()
			err = s.Send(&pb.Hello{
				ProtocolMin: test.min, ProtocolMax: test.max,
				PublicKey: agent.Key.Public().(ed25519.PublicKey), Instance: agent.Instance, Facts: agent.Facts,
			})
			if err != nil {
				t.Fatal(err)
			}
			if m, err := s.Receive(); err != nil || m.GetRefuse().GetCode() != test.code {
				t.Errorf("answered with %v, %v", m, err)
			}
		})
	}
}

func TestANewerSession(t *testing.T) {
	for _, test := range []struct {
		name       string
		instance   []byte // nil is the same
		superseded int    // events, and messages to the older
	}{
		{"of the same process replaces the older silently", nil, 0},
		{"of another process supersedes it, and that is recorded", dummy.NewInstance(), 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := gatewaytest.Start(t, gatewaytest.Options{})
			agent := gatewaytest.NewAgent(t, server)
			older := agent.Connect(t)
			if test.instance != nil {
				agent.Instance = test.instance
			}
			newer := agent.Connect(t)
			if newer.Welcome.Epoch <= older.Welcome.Epoch {
				t.Errorf("epoch %d after %d", newer.Welcome.Epoch, older.Welcome.Epoch)
			}
			if test.superseded > 0 {
				gatewaytest.Next(t, older, (*pb.ServerMessage).GetSuperseded)
			}
			if err := older.End(t); status.Code(err) != codes.Unavailable {
				t.Errorf("the older session ends with %v", err)
			}
			events := recorded(t, server, "WorkerSuperseded")
			if len(events) != test.superseded {
				t.Errorf("%d are recorded", len(events))
			}
			for _, e := range events {
				if !bytes.Equal(e.Value.(*eventv1.WorkerSuperseded).ByInstance, agent.Instance) {
					t.Errorf("recorded %v", e.Value)
				}
			}
			j := server.Submit(t, anyJob)
			server.Bind(t, j, agent.Worker(t))
			gatewaytest.Next(t, newer, assign)
		})
	}
}

// TestTwoProcessesWithOneKey: both want to be the worker; each takes the place of
// the other, and never are two sessions live.
func TestTwoProcessesWithOneKey(t *testing.T) {
	server := gatewaytest.Start(t, gatewaytest.Options{})
	agent := gatewaytest.NewAgent(t, server)
	agent.Connect(t).Cut()
	const each = 20
	ended, done := make(chan error, 2*each), make(chan error)
	for range 2 {
		twin := *agent.Agent
		twin.Instance = dummy.NewInstance()
		go func() {
			for range each {
				s, err := twin.Connect(t.Context())
				if err != nil {
					done <- err
					return
				}
				t.Cleanup(s.Cut)
				go func() {
					for {
						if _, err := s.Receive(); err != nil {
							ended <- err
							return
						}
					}
				}()
			}
			done <- nil
		}()
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	for n := range 2*each - 1 {
		select {
		case <-ended:
		case <-time.After(gatewaytest.Patience):
			t.Fatalf("%d sessions of one worker are live", 2*each-n)
		}
	}
	select {
	case err := <-ended:
		t.Errorf("the newest session has ended, too: %v", err)
	default:
	}
	epoch := uint64(0)
	for _, r := range recorded(t, server, "WorkerConnected") {
		if e := r.Value.(*eventv1.WorkerConnected).Epoch; e <= epoch {
			t.Errorf("epoch %d after %d", e, epoch)
		} else {
			epoch = e
		}
	}
	if n := server.Gateway.Sessions(); n > 1 {
		t.Errorf("%d sessions of one worker", n)
	}
}

func TestASilentClientDoesNotHoldTheHandshake(t *testing.T) {
	server := gatewaytest.Start(t, gatewaytest.Options{Handshake: 50 * time.Millisecond})
	s, err := gatewaytest.NewAgent(t, server).Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Cut()
	if _, err := s.Receive(); status.Code(err) != codes.Unavailable {
		t.Errorf("ended with %v", err)
	}
}

// TestAPathWithoutSlash: no handler may run for a path that an interceptor could
// read otherwise than the router does.
func TestAPathWithoutSlash(t *testing.T) {
	server := gatewaytest.Start(t, gatewaytest.Options{})
	for _, path := range []string{"hodei.worker.v1.WorkerService/Connect", "/hodei.worker.v1.WorkerService/connect", "//hodei.worker.v1.WorkerService/Connect", "*"} {
		if got := rawCall(t, server.Address, path); got != "12" { // Unimplemented
			t.Errorf("%s: grpc-status %q", path, got)
		}
	}
	if n := len(recorded(t, server, "WorkerRegistered")); n != 0 {
		t.Errorf("%d workers were registered", n)
	}
}

// rawCall sends a request with the path as it is and returns its grpc-status.
func rawCall(t *testing.T, address, path string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), gatewaytest.Patience)
	defer cancel()
	dialer := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func(c net.Conn) { _ = c.Close() }(conn)
	_ = conn.SetDeadline(time.Now().Add(gatewaytest.Patience))
	if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, f := range [][2]string{
		{":method", "POST"}, {":scheme", "https"}, {":authority", "x"}, {":path", path}, {"content-type", "application/grpc"}, {"te", "trailers"},
	} {
		_ = encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	err = errors.Join(framer.WriteSettings(), framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true,
	}))
	for err == nil {
		var f http2.Frame
		if f, err = framer.ReadFrame(); err != nil {
			break
		}
		if headers, ok := f.(*http2.MetaHeadersFrame); ok {
			for _, h := range headers.Fields {
				if h.Name == "grpc-status" {
					return h.Value
				}
			}
		}
		if reset, ok := f.(*http2.RSTStreamFrame); ok {
			return reset.ErrCode.String()
		}
	}
	t.Fatal(err)
	return ""
}

func TestTheServersRestartIsRecorded(t *testing.T) {
	server := gatewaytest.Start(t, gatewaytest.Options{})
	agent := gatewaytest.NewAgent(t, server)
	agent.Connect(t)
	server.Kill(t)
	server.Restart(t)
	server.Until(t, "the worker is disconnected", func(w *projections.World) bool {
		row, _ := w.Workers.Get(agent.Worker(t))
		return row.Status == worker.Disconnected
	})
	events := recorded(t, server, "WorkerDisconnected")
	if len(events) != 1 {
		t.Fatalf("%d events", len(events))
	}
	var e eventv1.WorkerDisconnected
	decode(t, events[0], &e)
	if e.Reason != "server_restarted" {
		t.Errorf("the reason is %q", e.Reason)
	}
}

func TestALabelOfTheTokenStays(t *testing.T) {
	server := gatewaytest.Start(t, gatewaytest.Options{})
	agent := gatewaytest.NewAgent(t, server)
	agent.Token = server.Token(t, authority.Claims{Pool: "gpu", Labels: map[string]string{"zone": "a"}})
	agent.Facts.Labels = []*pb.Label{{Key: "zone", Value: "b"}, {Key: "disk", Value: "ssd"}}
	agent.Connect(t).Cut()
	agent.Token = ""
	agent.Connect(t)
	w, _ := server.Runner.World().Workers.Get(agent.Worker(t))
	if got := w.Labels.String(); got != "disk=ssd,zone=a" || w.Pool != "gpu" {
		t.Errorf("labels %s, pool %s", got, w.Pool)
	}
}
