package agent_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"github.com/hodei-jobs/hodei/agentproto/agent"
	"github.com/hodei-jobs/hodei/agentproto/agent/process"
	agentprotov1 "github.com/hodei-jobs/hodei/agentproto/v1"
)

// patience is how long a test waits for what should come at once.
const patience = 20 * time.Second

var host = sync.OnceValue(func() *process.Host {
	h, err := process.NewHost(nil)
	if err != nil {
		panic(err)
	}
	return h
})

// double is a server whose every message a test sends by hand.
type double struct {
	agentprotov1.UnimplementedWorkerServiceServer
	t        testing.TB
	listener net.Listener
	server   *grpc.Server
	pin      [32]byte
	chain    tls.Certificate
	sessions chan *serverSession
}

// serverSession is the server's end of one stream.
type serverSession struct {
	t      testing.TB
	token  string
	hello  *agentprotov1.Hello
	stream grpc.BidiStreamingServer[agentprotov1.AgentMessage, agentprotov1.ServerMessage]
	in     chan *agentprotov1.AgentMessage
	end    chan error // closes the stream with it
	closed chan struct{}

	pin      [32]byte
	requests uint64
	log      map[string]*bytes.Buffer // by job, as received
	results  map[string]*agentprotov1.Result
	steps    []*agentprotov1.StepUpdate
	beats    []*agentprotov1.AgentBeat
}

func newDouble(t testing.TB) *double {
	t.Helper()
	d := &double{t: t, sessions: make(chan *serverSession, 16)}
	d.pin, d.chain = authority(t)
	d.listen("127.0.0.1:0")
	t.Cleanup(func() { d.server.Stop() })
	return d
}

func (d *double) listen(address string) {
	d.t.Helper()
	var err error
	if d.listener, err = net.Listen("tcp", address); err != nil {
		d.t.Fatal(err)
	}
	d.server = grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(&d.chain)))
	agentprotov1.RegisterWorkerServiceServer(d.server, d)
	go d.server.Serve(d.listener)
}

func (d *double) address() string { return d.listener.Addr().String() }

func (d *double) url() string { return "grpcs://" + d.address() }

// token is a JWT whose signature nobody here looks at.
func (d *double) token() string {
	claims := fmt.Sprintf(`{"iss":"hodei","pin":%q}`, hex.EncodeToString(d.pin[:]))
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
}

// authority makes a CA and a certificate of it.
func authority(t testing.TB) ([32]byte, tls.Certificate) {
	t.Helper()
	caKey, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	now := time.Now()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "server"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, KeyUsage: x509.KeyUsageDigitalSignature, DNSNames: []string{"elsewhere.example"},
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		t.Fatal(err)
	}
	ca, _ = x509.ParseCertificate(caDER)
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, caKey)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(ca.RawSubjectPublicKeyInfo), tls.Certificate{Certificate: [][]byte{leafDER, caDER}, PrivateKey: key}
}

// Connect hands the stream to the test.
func (d *double) Connect(stream grpc.BidiStreamingServer[agentprotov1.AgentMessage, agentprotov1.ServerMessage]) error {
	s := &serverSession{
		t: d.t, stream: stream, pin: d.pin,
		in: make(chan *agentprotov1.AgentMessage, 1024), end: make(chan error, 1), closed: make(chan struct{}),
		log: map[string]*bytes.Buffer{}, results: map[string]*agentprotov1.Result{},
	}
	if md, ok := metadata.FromIncomingContext(stream.Context()); ok && len(md.Get("authorization")) == 1 {
		s.token = md.Get("authorization")[0]
	}
	go func() {
		defer close(s.closed)
		for {
			m, err := stream.Recv()
			if err != nil {
				return
			}
			select {
			case s.in <- m:
			case <-stream.Context().Done():
				return
			}
		}
	}()
	d.sessions <- s
	select {
	case err := <-s.end:
		return err
	case <-stream.Context().Done():
		return nil
	}
}

// next waits for the agent's next session.
func (d *double) next() *serverSession {
	d.t.Helper()
	select {
	case s := <-d.sessions:
		return s
	case <-time.After(patience):
		d.t.Fatal("the agent did not connect")
		return nil
	}
}

func (s *serverSession) send(m *agentprotov1.ServerMessage) {
	s.t.Helper()
	s.requests++
	m.RequestId = s.requests
	if err := s.stream.Send(m); err != nil {
		s.t.Fatalf("cannot send %T: %v", m.Body, err)
	}
}

// receive waits for the next message, and checks that request ids rise by one.
func (s *serverSession) receive() *agentprotov1.AgentMessage {
	s.t.Helper()
	select {
	case m := <-s.in:
		return m
	case <-s.closed:
		s.t.Fatal("the agent closed the stream")
	case <-time.After(patience):
		s.t.Fatal("the agent was silent")
	}
	return nil
}

// challenge takes Hello, and checks the proof.
func (s *serverSession) challenge() {
	s.t.Helper()
	if s.hello = s.receive().GetHello(); s.hello == nil {
		s.t.Fatal("the first message is no Hello")
	}
	nonce := make([]byte, 32)
	rand.Read(nonce)
	s.send(&agentprotov1.ServerMessage{Body: &agentprotov1.ServerMessage_Challenge{Challenge: &agentprotov1.Challenge{Nonce: nonce, Pin: s.pin[:]}}})
	proof := s.receive().GetProof()
	signed := append(append([]byte("hodei.worker.v1 proof\x00"), s.pin[:]...), nonce...)
	if !ed25519.Verify(s.hello.GetPublicKey(), signed, proof.GetSignature()) {
		s.t.Fatal("the proof doesn't prove the key of Hello")
	}
}

// welcome completes the handshake.
func (s *serverSession) welcome(change ...func(*agentprotov1.Welcome)) *serverSession {
	s.t.Helper()
	s.challenge()
	return s.answer(change...)
}

// answer is Welcome.
func (s *serverSession) answer(change ...func(*agentprotov1.Welcome)) *serverSession {
	s.t.Helper()
	w := &agentprotov1.Welcome{
		Protocol: 1, WorkerId: "w1w1w1w1", Epoch: 1,
		WindowAttemptBytes: 1 << 20, WindowSessionBytes: 4 << 20,
		HeartbeatNs: int64(time.Second), SuspectNs: int64(12 * time.Second),
		ToleranceNs: int64(30 * time.Second), OrphanAfterNs: int64(time.Hour),
	}
	for _, c := range change {
		c(w)
	}
	s.send(&agentprotov1.ServerMessage{Body: &agentprotov1.ServerMessage_Welcome{Welcome: w}})
	return s
}

func keep(job string, started bool, have uint64) func(*agentprotov1.Welcome) {
	return func(w *agentprotov1.Welcome) {
		w.Verdicts = append(w.Verdicts, &agentprotov1.Verdict{Ref: first(job), Keep: true, Started: started, Have: have})
	}
}

// first names a job's first attempt.
func first(job string) *agentprotov1.AttemptRef {
	return &agentprotov1.AttemptRef{Job: job, Attempt: 1}
}

func (s *serverSession) assign(job string, change func(*agentprotov1.Assign), script ...string) {
	s.t.Helper()
	a := &agentprotov1.Assign{
		Ref: first(job), Namespace: "default", Name: "job " + job, Tty: true, CancelSignal: "TERM", CancelGraceNs: int64(10 * time.Second),
		Resources: &agentprotov1.Resources{CpuMilli: 100},
	}
	for i, line := range script {
		a.Steps = append(a.Steps, &agentprotov1.Step{Name: fmt.Sprintf("step %d", i+1), Argv: []string{"/bin/sh", "-c", line}})
	}
	if change != nil {
		change(a)
	}
	s.send(&agentprotov1.ServerMessage{Body: &agentprotov1.ServerMessage_Assign{Assign: a}})
}

func (s *serverSession) start(job string) {
	s.t.Helper()
	s.send(&agentprotov1.ServerMessage{Body: &agentprotov1.ServerMessage_Start{Start: &agentprotov1.Start{Ref: first(job)}}})
}

func (s *serverSession) cancel(job, reason string, grace time.Duration) {
	s.t.Helper()
	s.send(&agentprotov1.ServerMessage{Body: &agentprotov1.ServerMessage_Cancel{Cancel: &agentprotov1.Cancel{
		Ref: first(job), Signal: "TERM", GraceNs: int64(grace), Reason: reason,
	}}})
}

func (s *serverSession) ack(job string, have uint64) {
	s.t.Helper()
	s.send(&agentprotov1.ServerMessage{Body: &agentprotov1.ServerMessage_Ack{Ack: &agentprotov1.Ack{Ref: first(job), Have: have}}})
}

func (s *serverSession) acknowledge(job string) {
	s.t.Helper()
	s.send(&agentprotov1.ServerMessage{Body: &agentprotov1.ServerMessage_ResultAck{ResultAck: &agentprotov1.ResultAck{Ref: first(job)}}})
}

// until takes messages until one is wanted; what passes is noted. Logs must come
// without a gap.
func (s *serverSession) until(wanted func(*agentprotov1.AgentMessage) bool) *agentprotov1.AgentMessage {
	s.t.Helper()
	for {
		m := s.receive()
		switch body := m.GetBody().(type) {
		case *agentprotov1.AgentMessage_Chunk:
			s.note(body.Chunk)
		case *agentprotov1.AgentMessage_Step:
			s.steps = append(s.steps, body.Step)
		case *agentprotov1.AgentMessage_Result:
			s.results[body.Result.GetRef().GetJob()] = body.Result
		case *agentprotov1.AgentMessage_Beat:
			s.beats = append(s.beats, body.Beat)
		}
		if wanted(m) {
			return m
		}
	}
}

func (s *serverSession) note(c *agentprotov1.Chunk) {
	s.t.Helper()
	log := s.log[c.GetRef().GetJob()]
	if log == nil {
		log = &bytes.Buffer{}
		s.log[c.GetRef().GetJob()] = log
		log.Write(make([]byte, c.GetOffset())) // what an earlier session got
	}
	if int(c.GetOffset()) != log.Len() {
		s.t.Fatalf("a chunk begins at %d, the log ends at %d", c.GetOffset(), log.Len())
	}
	log.Write(c.GetData())
}

func (s *serverSession) accepted() *agentprotov1.Accept {
	s.t.Helper()
	return s.until(func(m *agentprotov1.AgentMessage) bool { return m.GetAccept() != nil }).GetAccept()
}

func (s *serverSession) result(job string) *agentprotov1.Result {
	s.t.Helper()
	if r := s.results[job]; r != nil {
		return r
	}
	return s.until(func(m *agentprotov1.AgentMessage) bool { return m.GetResult().GetRef().GetJob() == job }).GetResult()
}

// output waits until a job's log contains something.
func (s *serverSession) output(job, wanted string) {
	s.t.Helper()
	s.until(func(*agentprotov1.AgentMessage) bool {
		return s.log[job] != nil && bytes.Contains(s.log[job].Bytes(), []byte(wanted))
	})
}

// run is a whole job.
func (s *serverSession) run(job string, change func(*agentprotov1.Assign), script ...string) *agentprotov1.Result {
	s.t.Helper()
	s.assign(job, change, script...)
	if a := s.accepted(); a.GetRefused() != "" {
		s.t.Fatalf("refused: %s: %s", a.GetRefused(), a.GetDetail())
	}
	s.start(job)
	r := s.result(job)
	s.acknowledge(job)
	return r
}

// runningAgent is an agent in this process.
type runningAgent struct {
	t    testing.TB
	stop context.CancelFunc
	done chan error
}

func startAgent(t testing.TB, d *double, change ...func(*agent.Config)) *runningAgent {
	t.Helper()
	config := agent.Config{
		Server: d.url(), Token: d.token(), StateDir: t.TempDir(),
		Environment: []string{"PATH=/usr/bin:/bin", "HOME=/root", "HODEI_WORKER_TOKEN=secret"},
		Logger:      slog.New(slog.DiscardHandler),
		StopLimit:   time.Millisecond, // unless a test asks for it, nobody takes results at the end
	}
	for _, c := range change {
		c(&config)
	}
	a, err := agent.Open(config, host())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	r := &runningAgent{t: t, stop: stop, done: make(chan error, 1)}
	go func() { r.done <- a.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		d.server.Stop()
		r.ended()
	})
	return r
}

// ended waits for the agent's end and gives its error; again gives nil.
func (r *runningAgent) ended() error {
	r.t.Helper()
	select {
	case err, first := <-r.done:
		if first {
			close(r.done)
		}
		return err
	case <-time.After(patience):
		r.t.Error("the agent did not end")
		return nil
	}
}
