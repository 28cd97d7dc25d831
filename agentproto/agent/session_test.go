package agent_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/agent"
	agentprotov1 "github.com/hodei-jobs/hodei/agentproto/v1"
)

func TestACutLosesNothing(t *testing.T) {
	d := newDouble(t)
	startAgent(t, d)
	s := d.next().welcome()
	const count = 20000
	wait, open := gate(t)
	s.assign("j1", nil, fmt.Sprintf("seq %d; read wait <%s; seq %d", count, wait, count))
	s.accepted()
	s.start("j1")
	s.output("j1", "\n10000\n")
	have := uint64(s.log["j1"].Len()) / 2 // what was durable; the rest is lost with the server
	s.ack("j1", have)
	kept := bytes.Clone(s.log["j1"].Bytes()[:have])
	s.end <- errors.New("cut")

	s = d.next()
	s.welcome(keep("j1", true, have))
	if held := s.hello.GetAttempts(); len(held) != 1 || held[0].GetRef().GetJob() != "j1" || held[0].GetPhase() != agentprotov1.Phase_PHASE_RUNNING {
		t.Errorf("Hello lists %v", held)
	}
	if s.token != "" || s.hello.GetWorkerId() != "w1w1w1w1" {
		t.Errorf("a registered agent says who it is, not its token: %q, %q", s.token, s.hello.GetWorkerId())
	}
	open()
	r := s.result("j1")
	whole := append(kept, s.log["j1"].Bytes()[have:]...)
	var want strings.Builder
	for range 2 {
		for i := 1; i <= count; i++ {
			fmt.Fprintln(&want, i)
		}
	}
	if string(whole) != want.String() || r.GetEndOffset() != uint64(want.Len()) {
		t.Errorf("%d bytes came, want %d", len(whole), want.Len())
	}
	if got := describe(s.steps); !strings.HasPrefix(got, "1 running @0, 1 succeeded 0") {
		t.Errorf("steps were not told again: %s", got)
	}
}

func TestAResultIsToldAgainUntilItIsAcknowledged(t *testing.T) {
	d := newDouble(t)
	startAgent(t, d)
	s := d.next().welcome()
	s.assign("j1", nil, "exit 5")
	s.accepted()
	s.start("j1")
	s.result("j1")
	s.end <- errors.New("cut")
	s = d.next()
	s.welcome(keep("j1", true, 0))
	if held := s.hello.GetAttempts(); len(held) != 1 || held[0].GetPhase() != agentprotov1.Phase_PHASE_ENDED {
		t.Errorf("Hello lists %v", held)
	}
	if r := s.result("j1"); r.GetExitCode() != 5 {
		t.Errorf("got %v", r)
	}
	s.acknowledge("j1")
	s.run("j2", nil, "true")
	s.end <- errors.New("cut")
	s = d.next()
	s.challenge()
	if held := s.hello.GetAttempts(); len(held) != 0 {
		t.Errorf("Hello still lists %v", held)
	}
}

// TestALateResultIsToldToo, so that the server can record that it refused it.
func TestALateResultIsToldToo(t *testing.T) {
	d := newDouble(t)
	startAgent(t, d)
	s := d.next().welcome()
	s.assign("j1", nil, "echo output; exit 5")
	s.accepted()
	s.start("j1")
	s.result("j1")
	s.end <- errors.New("cut")
	s = d.next()
	s.welcome(func(w *agentprotov1.Welcome) {
		w.Verdicts = append(w.Verdicts, &agentprotov1.Verdict{Ref: first("j1"), Reason: "fenced"})
	})
	if r := s.result("j1"); r.GetExitCode() != 5 {
		t.Errorf("got %v", r)
	}
	s.assign("j1", nil, "true")
	if a := s.accepted(); a.GetRefused() == "" {
		t.Error("an attempt that has ended is accepted")
	}
	s.acknowledge("j1")
	s.run("j2", nil, "true")
	s.end <- errors.New("cut")
	s = d.next()
	s.challenge()
	for _, held := range s.hello.GetAttempts() {
		if held.GetRef().GetJob() == "j1" {
			t.Errorf("Hello still lists %v", held)
		}
	}
}

func TestVerdicts(t *testing.T) {
	d := newDouble(t)
	startAgent(t, d)
	s := d.next().welcome()
	pids := t.TempDir()
	for _, job := range []string{"kept", "dropped", "unknown", "impossible"} {
		s.assign(job, nil, fmt.Sprintf("echo $$ > %s/%s; echo ready; exec sleep 1000", pids, job))
		s.accepted()
		s.start(job)
		s.output(job, "ready")
	}
	s.assign("waiting", nil, "echo ran")
	s.accepted()
	s.end <- errors.New("cut")

	s = d.next()
	s.welcome(keep("kept", true, 6), keep("waiting", true, 0), keep("impossible", true, 999), func(w *agentprotov1.Welcome) {
		w.Verdicts = append(w.Verdicts, &agentprotov1.Verdict{Ref: first("dropped"), Reason: "attempt 2 is current"})
	})
	if r := s.result("waiting"); r.GetOutcome() != "succeeded" {
		t.Errorf("what was started meanwhile: %v", r)
	}
	for _, job := range []string{"dropped", "unknown", "impossible"} {
		eventually(t, job+" is gone", func() bool { return !lives(pids + "/" + job) })
	}
	if !lives(pids + "/kept") {
		t.Error("what was kept is gone")
	}
	s.cancel("kept", "cancelled", time.Second)
	s.result("kept")
}

// lives reports whether the process whose pid is in a file runs.
func lives(file string) bool {
	pid, _ := os.ReadFile(file)
	_, err := os.Stat("/proc/" + strings.TrimSpace(string(pid)))
	return err == nil
}

func TestOutputStaysWithinTheWindowAndBeatsSayWhenItStalls(t *testing.T) {
	d := newDouble(t)
	startAgent(t, d)
	const window = 64 << 10
	s := d.next().welcome(func(w *agentprotov1.Welcome) {
		w.WindowAttemptBytes, w.HeartbeatNs = window, int64(50*time.Millisecond)
	})
	const size = 8 << 20
	s.assign("j1", nil, fmt.Sprintf("head -c %d /dev/zero", size))
	s.accepted()
	s.start("j1")
	s.until(func(m *agentprotov1.AgentMessage) bool {
		for _, u := range m.GetBeat().GetAttempts() {
			if u.GetStalled() {
				return true
			}
		}
		return false
	})
	if n := s.log["j1"].Len(); n != window {
		t.Errorf("%d bytes came, the window is %d", n, window)
	}
	s.until(func(m *agentprotov1.AgentMessage) bool {
		if m.GetChunk() != nil || m.GetBeat() != nil {
			s.ack("j1", uint64(s.log["j1"].Len()))
		}
		return m.GetResult() != nil
	})
	if n := s.log["j1"].Len(); n != size {
		t.Errorf("%d bytes came of %d", n, size)
	}
}

func TestASilentServerIsGivenUp(t *testing.T) {
	t.Run("before it says a word", func(t *testing.T) {
		// A proxy that accepts and then says nothing.
		silent, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
		connections := make(chan net.Conn, 16)
		go func() {
			for {
				conn, err := silent.Accept()
				if err != nil {
					return
				}
				connections <- conn
			}
		}()
		d := newDouble(t)
		startAgent(t, d, func(c *agent.Config) {
			c.Server, c.FirstSuspect = "grpcs://"+silent.Addr().String(), 100*time.Millisecond
		})
		for range 3 {
			(<-connections).Close()
		}
	})
	t.Run("after Welcome", func(t *testing.T) {
		d := newDouble(t)
		startAgent(t, d)
		d.next().welcome(func(w *agentprotov1.Welcome) { w.SuspectNs = int64(100 * time.Millisecond) })
		d.next().welcome() // dialled again though the first was not closed
	})
}

func TestRefusals(t *testing.T) {
	refuse := (*serverSession).refuse
	t.Run("one for good ends the agent", func(t *testing.T) {
		d := newDouble(t)
		a := startAgent(t, d)
		refuse(d.next(), &agentprotov1.Refuse{Code: "bad_token", Reason: "it has expired", Final: true})
		var refused *agent.RefusedError
		if err := a.ended(); !errors.As(err, &refused) || err.Error() != "the server refuses this agent: it has expired (bad_token)" {
			t.Errorf("ended with %v", err)
		}
	})
	t.Run("one for now is obeyed", func(t *testing.T) {
		d := newDouble(t)
		startAgent(t, d)
		const after = 300 * time.Millisecond
		refuse(d.next(), &agentprotov1.Refuse{Code: "busy", RetryAfterNs: int64(after)})
		begin := time.Now()
		d.next().welcome()
		if waited := time.Since(begin); waited < after {
			t.Errorf("came back after %s", waited)
		}
	})
	t.Run("one that would cost the agent its jobs is not", func(t *testing.T) {
		d := newDouble(t)
		startAgent(t, d)
		s := d.next().welcome(func(w *agentprotov1.Welcome) { w.ToleranceNs = int64(time.Second) })
		s.assign("j1", nil, "sleep 1000")
		s.accepted()
		s.end <- nil
		for _, silly := range []time.Duration{time.Hour, -time.Hour, 1<<63 - 1} {
			refuse(d.next(), &agentprotov1.Refuse{Code: "busy", RetryAfterNs: int64(silly)})
		}
		d.next().welcome()
	})
	t.Run("a worker that is unknown registers anew with its token", func(t *testing.T) {
		d := newDouble(t)
		startAgent(t, d)
		s := d.next().welcome()
		if s.token != "Bearer "+d.token() {
			t.Errorf("token %q", s.token)
		}
		s.end <- nil
		refuse(d.next(), &agentprotov1.Refuse{Code: "unknown_worker", Reason: "no such worker", Final: true})
		s = d.next().welcome()
		if s.token == "" || s.hello.GetWorkerId() != "" {
			t.Errorf("token %q, worker %q", s.token, s.hello.GetWorkerId())
		}
	})
	t.Run("another agent with its key ends it, and its jobs", func(t *testing.T) {
		d := newDouble(t)
		a := startAgent(t, d)
		s := d.next().welcome()
		s.assign("j1", nil, "echo ready; sleep 1000")
		s.accepted()
		s.start("j1")
		s.output("j1", "ready")
		s.send(&agentprotov1.ServerMessage{Body: &agentprotov1.ServerMessage_Superseded{Superseded: &agentprotov1.Superseded{Reason: "a newer one"}}})
		if err := a.ended(); !errors.Is(err, agent.ErrSuperseded) {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestAServerWithAnotherKeyIsNotTalkedTo(t *testing.T) {
	d, other := newDouble(t), newDouble(t)
	logged := &logBuffer{}
	startAgent(t, d, func(c *agent.Config) { c.Server, c.Logger = other.url(), logged.logger() })
	eventually(t, "the agent says why", func() bool {
		return strings.Contains(logged.String(), "no certificate of it has the pinned key")
	})
	select {
	case <-other.sessions:
		t.Error("the agent opened a stream to it")
	default:
	}
}
