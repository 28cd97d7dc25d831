package agent_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/agent"
	"github.com/hodei-jobs/hodei/agentproto/agent/credential"
	"github.com/hodei-jobs/hodei/agentproto/agent/process/processtest"
	agentprotov1 "github.com/hodei-jobs/hodei/agentproto/v1"
)

func TestARestartedAgentIsTheSameWorkerWithoutAToken(t *testing.T) {
	d := newDouble(t)
	dir := t.TempDir()
	a := startAgent(t, d, func(c *agent.Config) { c.StateDir = dir })
	s := d.next().welcome()
	before := s.hello
	a.stop()
	if err := a.ended(); err != nil {
		t.Fatal(err)
	}
	startAgent(t, d, func(c *agent.Config) { c.StateDir, c.Token = dir, "" })
	s = d.next().welcome()
	if s.hello.GetWorkerId() != "w1w1w1w1" || !bytes.Equal(s.hello.GetPublicKey(), before.GetPublicKey()) {
		t.Errorf("it is %v", s.hello)
	}
	if bytes.Equal(s.hello.GetInstance(), before.GetInstance()) {
		t.Error("another process has the same instance")
	}
}

func TestASecondAgentCanNotUseTheSameState(t *testing.T) {
	d := newDouble(t)
	dir := t.TempDir()
	startAgent(t, d, func(c *agent.Config) { c.StateDir = dir })
	_, err := agent.Open(agent.Config{Server: d.url(), Token: d.token(), StateDir: dir}, host())
	if !errors.Is(err, credential.ErrInUse) || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("got %v", err)
	}
}

func TestDrainTakesNoMoreJobsAndEndsTheAgentAfterTheLast(t *testing.T) {
	d := newDouble(t)
	a := startAgent(t, d)
	s := d.next().welcome()
	wait, open := gate(t)
	s.assign("j1", nil, "echo ready; read wait <"+wait)
	s.accepted()
	s.start("j1")
	s.output("j1", "ready")
	s.send(&agentprotov1.ServerMessage{Body: &agentprotov1.ServerMessage_Drain{Drain: &agentprotov1.Drain{}}})
	s.assign("j2", nil, "true")
	if r := s.accepted(); r.GetRefused() != "draining" {
		t.Errorf("got %v", r)
	}
	open()
	if r := s.result("j1"); r.GetOutcome() != "succeeded" {
		t.Errorf("got %v", r)
	}
	s.acknowledge("j1")
	if err := a.ended(); err != nil {
		t.Errorf("ended with %v", err)
	}
}

func TestStopCancelsJobsAndTellsTheirResults(t *testing.T) {
	d := newDouble(t)
	a := startAgent(t, d, func(c *agent.Config) { c.StopLimit = patience })
	s := d.next().welcome()
	s.assign("j1", nil, "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done")
	s.accepted()
	s.start("j1")
	s.output("j1", "ready")
	a.stop()
	if got := outcome(s.result("j1")); got != "failed by stopped_by_worker step 1 exit 0: the worker was stopped" {
		t.Errorf("got %s", got)
	}
	s.acknowledge("j1")
	if err := a.ended(); err != nil {
		t.Errorf("ended with %v", err)
	}
}

func TestJobsStopWhenThereIsNoServerForTooLong(t *testing.T) {
	const short = 100 * time.Millisecond
	t.Run("as Welcome said", func(t *testing.T) {
		stopsWithoutServer(t, func(d *double) *serverSession {
			return d.next().welcome(func(w *agentprotov1.Welcome) { w.OrphanAfterNs = int64(short) })
		})
	})
	t.Run("as was said since", func(t *testing.T) {
		stopsWithoutServer(t, func(d *double) *serverSession {
			s := d.next().welcome()
			s.send(&agentprotov1.ServerMessage{Body: &agentprotov1.ServerMessage_Terms{Terms: &agentprotov1.Terms{
				ToleranceNs: int64(10 * time.Second), OrphanAfterNs: int64(short),
			}}})
			return s
		})
	})
}

func stopsWithoutServer(t *testing.T, begin func(*double) *serverSession) {
	d := newDouble(t)
	startAgent(t, d)
	s := begin(d)
	pids := t.TempDir()
	s.assign("j1", nil, "echo $$ > "+pids+"/j1; echo ready; exec sleep 1000")
	s.accepted()
	s.start("j1")
	s.output("j1", "ready")
	address := d.address()
	d.server.Stop()
	eventually(t, "the job is gone", func() bool { return !lives(pids + "/j1") })
	d.listen(address)
	s = d.next().welcome(keep("j1", true, 6))
	if got := outcome(s.result("j1")); got != "failed by stopped_by_worker step 1 signal TERM: no server could be reached for 100ms" {
		t.Errorf("got %s", got)
	}
}

// gate is a pipe by name that a job reads to wait for the test.
func gate(t *testing.T) (path string, open func()) {
	t.Helper()
	path = t.TempDir() + "/gate"
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, func() {
		if err := os.WriteFile(path, []byte("\n"), 0); err != nil {
			t.Fatal(err)
		}
	}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	processtest.Eventually(t, patience, what, holds)
}

// logBuffer collects what an agent logs.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }
