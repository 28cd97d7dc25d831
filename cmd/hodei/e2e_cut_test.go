package main

import (
	"bytes"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/api/client"
)

// silentProxy forwards connections to a server. While it is cut it passes
// nothing on and closes nothing, as a firewall that has forgotten a connection:
// writes succeed and nothing arrives.
type silentProxy struct {
	net.Listener
	to string

	mu     sync.Mutex
	open   chan struct{} // closed while data passes
	conns  []net.Conn
	closed chan struct{}
}

func newSilentProxy(t *testing.T, to string) *silentProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &silentProxy{Listener: l, to: to, open: make(chan struct{}), closed: make(chan struct{})}
	close(p.open)
	go p.serve()
	t.Cleanup(func() { close(p.closed); _ = l.Close() })
	return p
}

func (p *silentProxy) serve() {
	for {
		in, err := p.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.conns = append(p.conns, in)
		p.mu.Unlock()
		go func() {
			defer func() { _ = in.Close() }()
			if !p.pass() {
				return
			}
			out, err := net.Dial("tcp", p.to)
			if err != nil {
				return
			}
			defer func() { _ = out.Close() }()
			go p.copy(out, in)
			p.copy(in, out)
		}()
	}
}

// pass waits until data may pass; it reports false when the proxy is closed.
func (p *silentProxy) pass() bool {
	p.mu.Lock()
	open := p.open
	p.mu.Unlock()
	select {
	case <-open:
		return true
	case <-p.closed:
		return false
	}
}

// copy holds what it read while cut, as the network does that sends it again later.
func (p *silentProxy) copy(to, from net.Conn) {
	defer func() { _ = to.Close() }()
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if err != nil || !p.pass() {
			return
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

func (p *silentProxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = make(chan struct{})
}

// refuse ends all connections, now and to come.
func (p *silentProxy) refuse() {
	_ = p.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
}

func (p *silentProxy) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.open)
}

// The connection between agent and server is cut, silently, for 20 s while a job
// prints: it goes on, is not lost, and no line of it is missing or doubled.
func TestConnectionCutWhileAJobPrints(t *testing.T) {
	t.Parallel()
	binaries(t)
	grpc := freeAddress(t)
	proxy := newSilentProxy(t, grpc)
	c := &cluster{t: t, dir: t.TempDir(), command: "dev", http: "127.0.0.1:0", grpc: grpc, args: []string{"--advertise", "grpcs://" + proxy.Addr().String()}}
	t.Cleanup(c.end)
	c.start()
	var out, errs bytes.Buffer
	cmd := c.cli("run", "--", "sh", "-c", numbered)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	wait(t, 3*time.Second)
	proxy.cut()
	wait(t, 20*time.Second)
	proxy.heal()
	if err := cmd.Wait(); err != nil {
		t.Fatalf("run: %v\n%s", err, errs.String())
	}
	checkNumbered(t, out.Bytes())
	if stored, stderr, code := c.hodei("logs", "last"); code != 0 {
		t.Error(stderr)
	} else {
		checkNumbered(t, []byte(stored))
	}
	jobs, err := c.client().Jobs(t.Context(), jobsQuery())
	if err != nil || len(jobs.Items) != 1 || jobs.Items[0].Attempt != 1 {
		t.Errorf("%+v, %v", jobs, err)
	}
	cuts, err := c.client().Events(t.Context(), client.EventsQuery{Types: []string{"WorkerDisconnected"}})
	if err != nil || len(cuts.Items) == 0 {
		t.Errorf("the server has noticed no cut: %v", err)
	}
}

// freeAddress returns an address that was free a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}
