package agent_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/agent"
	"github.com/hodei-jobs/hodei/agentproto/agent/credential"
	agentprotov1 "github.com/hodei-jobs/hodei/agentproto/v1"
)

func TestAJobFromAssignToResult(t *testing.T) {
	d := newDouble(t)
	startAgent(t, d)
	s := d.next().welcome()
	r := s.run("j1", nil, "echo hello", "echo second >&2; exit 3", "echo never")
	if got := s.log["j1"].String(); got != "hello\nsecond\n" {
		t.Errorf("log %q", got)
	}
	if r.GetOutcome() != "failed" || r.GetCause() != "exit" || r.GetExitCode() != 3 || r.GetStep() != 2 || r.GetEndOffset() != 13 {
		t.Errorf("result %v", r)
	}
	if r.GetEndedAtNs() == 0 || r.GetTookNs() == 0 || r.GetUsage().GetCpuNs() == 0 {
		t.Errorf("times and usage are missing: %v", r)
	}
	want := "1 running @0, 1 succeeded 0 @6, 2 running @6, 2 failed 3 @13, 3 skipped @13"
	if got := describe(s.steps); got != want {
		t.Errorf("steps\n%s, want\n%s", got, want)
	}
}

func describe(steps []*agentprotov1.StepUpdate) string {
	var all []string
	for _, u := range steps {
		one := fmt.Sprintf("%d %s", u.GetStep(), u.GetState())
		if u.ExitCode != nil {
			one += fmt.Sprintf(" %d", u.GetExitCode())
		}
		if u.GetSignal() != "" {
			one += " " + u.GetSignal()
		}
		all = append(all, fmt.Sprintf("%s @%d", one, u.GetLogOffset()))
	}
	return strings.Join(all, ", ")
}

func TestOutcomes(t *testing.T) {
	d := newDouble(t)
	startAgent(t, d)
	s := d.next().welcome()
	short := int64(200 * time.Millisecond)
	limit := func(a *agentprotov1.Assign) { a.TimeLimitNs = short }
	for i, row := range []struct {
		name   string
		change func(*agentprotov1.Assign)
		script []string
		want   string
	}{
		{"success", nil, []string{"true", "exit 0"}, "succeeded step 2 exit 0"},
		{"a signal", nil, []string{"kill -SEGV $$"}, "failed by signal step 1 signal SEGV: ended by signal SEGV"},
		{"a step that may fail", func(a *agentprotov1.Assign) { a.Steps[0].ContinueOnError = true }, []string{"exit 4", "exit 0"}, "succeeded step 2 exit 0"},
		{"a missing program", func(a *agentprotov1.Assign) { a.Steps[0].Argv = []string{"nope"} }, []string{""},
			"failed by cannot_start step 1: cannot start nope: not found in PATH (/usr/bin:/bin)"},
		{"its time limit", limit, []string{"sleep 1000", "true"}, "timed_out step 1 signal TERM: its time limit of 200ms has passed"},
		{"its time limit, heard", limit, []string{"trap 'exit 9' TERM; while :; do sleep 0.01; done"}, "timed_out step 1 exit 9: its time limit of 200ms has passed"},
		{"a step's time limit", func(a *agentprotov1.Assign) { a.Steps[0].TimeLimitNs = short }, []string{"sleep 1000", "true"},
			"timed_out step 1 signal TERM: the step's time limit of 200ms has passed"},
		{"a step's time limit, and it may fail", func(a *agentprotov1.Assign) { a.Steps[0].TimeLimitNs, a.Steps[0].ContinueOnError = short, true }, []string{"sleep 1000", "true"},
			"succeeded step 2 exit 0"},
		{"its own cancel signal", func(a *agentprotov1.Assign) { a.TimeLimitNs, a.CancelSignal = short, "INT" }, []string{"exec sleep 1000"},
			"timed_out step 1 signal INT: its time limit of 200ms has passed"},
		{"a grace that ends", func(a *agentprotov1.Assign) { a.TimeLimitNs, a.CancelGraceNs = short, short }, []string{"trap '' TERM; while :; do sleep 0.01; done"},
			"timed_out step 1 signal KILL: its time limit of 200ms has passed"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s.t = t
			if got := outcome(s.run(fmt.Sprintf("j%d", i), row.change, row.script...)); got != row.want {
				t.Errorf("got  %s\nwant %s", got, row.want)
			}
		})
	}
	s.t = t
}

func outcome(r *agentprotov1.Result) string {
	text := r.GetOutcome()
	if r.GetCause() != "" {
		text += " by " + r.GetCause()
	}
	text += fmt.Sprintf(" step %d", r.GetStep())
	if r.ExitCode != nil {
		text += fmt.Sprintf(" exit %d", r.GetExitCode())
	}
	if r.GetSignal() != "" {
		text += " signal " + r.GetSignal()
	}
	if r.GetDetail() != "" {
		text += ": " + r.GetDetail()
	}
	return text
}

func TestTheEnvironmentOfAJob(t *testing.T) {
	d := newDouble(t)
	startAgent(t, d)
	s := d.next().welcome()
	s.run("j1", func(a *agentprotov1.Assign) {
		a.Env = []*agentprotov1.Label{{Key: "A", Value: "of the job"}, {Key: "B", Value: "of the job"}, {Key: "PAGER", Value: "mine"}}
		a.Steps[0].Env = []*agentprotov1.Label{{Key: "B", Value: "of the step"}}
		a.Traceparent = "00-11-22-01"
	}, "env; echo cwd=$(pwd); ls -A | wc -l")
	log := s.log["j1"].String()
	for _, want := range []string{
		"CI=true", "HODEI=true", "HODEI_JOB_ID=j1", "HODEI_ATTEMPT=1", "HODEI_STEP=1", "HODEI_JOB_NAME=job j1", "HODEI_NAMESPACE=default",
		"TERM=xterm-256color", "GIT_PAGER=cat", "MANPAGER=cat", "SYSTEMD_PAGER=cat", "GIT_TERMINAL_PROMPT=0", "HOME=/root",
		"PAGER=mine", "A=of the job", "B=of the step", "TRACEPARENT=00-11-22-01", "\n0\n",
	} {
		if !strings.Contains("\n"+log, "\n"+strings.TrimPrefix(want, "\n")) {
			t.Errorf("%q is missing in\n%s", want, log)
		}
	}
	if strings.Contains(log, "secret") || strings.Contains(log, "HODEI_WORKER_TOKEN") {
		t.Error("the agent's token reached the job")
	}
}

func TestAnAgentRefuses(t *testing.T) {
	d := newDouble(t)
	startAgent(t, d, func(c *agent.Config) { c.Facts.CPUMilli, c.Facts.Memory = 1000, 1<<30 })
	s := d.next().welcome()
	for _, row := range []struct {
		name, refused, detail string
		change                func(*agentprotov1.Assign)
	}{
		{"a variable that loads code", "cannot_prepare", "a job can't set the environment variable LD_PRELOAD", func(a *agentprotov1.Assign) {
			a.Env = []*agentprotov1.Label{{Key: "LD_PRELOAD", Value: "/x.so"}}
		}},
		{"one of its own variables", "cannot_prepare", "a job can't set the environment variable HODEI_JOB_ID", func(a *agentprotov1.Assign) {
			a.Steps[0].Env = []*agentprotov1.Label{{Key: "HODEI_JOB_ID", Value: "other"}}
		}},
		{"no steps", "cannot_prepare", "it has no steps", func(a *agentprotov1.Assign) { a.Steps = nil }},
		{"more CPU than there is", "no_room", "2000 thousandths of a CPU would be in use, there are 1000", func(a *agentprotov1.Assign) {
			a.Resources = &agentprotov1.Resources{CpuMilli: 2000}
		}},
		{"more memory than there is", "no_room", "2147483648 bytes of memory would be in use, there are 1073741824", func(a *agentprotov1.Assign) {
			a.Resources = &agentprotov1.Resources{MemoryBytes: 2 << 30}
		}},
	} {
		s.assign("j1", row.change, "true")
		if a := s.accepted(); a.GetRefused() != row.refused || a.GetDetail() != row.detail {
			t.Errorf("%s: got %s, %s", row.name, a.GetRefused(), a.GetDetail())
		}
	}
}

func TestNothingRunsBeforeStartAndAllMessagesMayComeTwice(t *testing.T) {
	d := newDouble(t)
	startAgent(t, d)
	s := d.next().welcome(func(w *agentprotov1.Welcome) { w.HeartbeatNs = int64(20 * time.Millisecond) })
	marker := t.TempDir() + "/ran"
	for range 2 {
		s.assign("j1", nil, "echo ran >> "+marker)
		s.accepted()
	}
	for range 5 { // beats: time in which it would have run
		s.until(func(m *agentprotov1.AgentMessage) bool { return m.GetBeat() != nil })
	}
	if _, err := os.Stat(marker); err == nil {
		t.Fatal("ran before Start")
	}
	s.start("j1")
	s.start("j1")
	s.result("j1")
	s.acknowledge("j1")
	s.acknowledge("j1")
	s.run("j2", nil, "true") // what the double messages did is done by now
	if data, _ := os.ReadFile(marker); string(data) != "ran\n" {
		t.Errorf("it ran as often: %q", data)
	}
}

func TestCancelStopsAJob(t *testing.T) {
	d := newDouble(t)
	startAgent(t, d)
	s := d.next().welcome()
	t.Run("that runs, with its last words", func(t *testing.T) {
		s.assign("j1", nil, "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.01; done", "echo never")
		s.accepted()
		s.start("j1")
		s.output("j1", "ready")
		s.cancel("j1", "cancelled", time.Minute)
		if got := outcome(s.result("j1")); got != "cancelled step 1 exit 7" {
			t.Errorf("got %s", got)
		}
		if log := s.log["j1"].String(); !strings.HasSuffix(log, "bye\n") {
			t.Errorf("log %q", log)
		}
		s.acknowledge("j1")
	})
	t.Run("that was not started", func(t *testing.T) {
		s.assign("j2", nil, "echo never")
		s.accepted()
		s.cancel("j2", "cancelled", time.Minute)
		if got := outcome(s.result("j2")); got != "cancelled step 0" {
			t.Errorf("got %s", got)
		}
		s.acknowledge("j2")
	})
	t.Run("that was given up, without a word", func(t *testing.T) {
		s.assign("j3", nil, "echo ready; sleep 1000")
		s.accepted()
		s.start("j3")
		s.output("j3", "ready")
		s.cancel("j3", "fenced", 0)
		s.run("j4", nil, "true")
		if s.results["j3"] != nil {
			t.Errorf("got %v", s.results["j3"])
		}
	})
}

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
	refuse := func(s *serverSession, r *agentprotov1.Refuse) {
		s.hello = s.receive().GetHello()
		s.send(&agentprotov1.ServerMessage{Body: &agentprotov1.ServerMessage_Refuse{Refuse: r}})
		s.end <- nil
	}
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
	d := newDouble(t)
	startAgent(t, d)
	s := d.next().welcome(func(w *agentprotov1.Welcome) { w.OrphanAfterNs = int64(100 * time.Millisecond) })
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

func TestBeatsTellOfTheAgentTheMachineAndTheAttempts(t *testing.T) {
	d := newDouble(t)
	startAgent(t, d)
	s := d.next().welcome(func(w *agentprotov1.Welcome) { w.HeartbeatNs = int64(50 * time.Millisecond) })
	s.assign("j1", nil, "read x <&2 & while :; do :; done")
	s.accepted()
	s.start("j1")
	var usage *agentprotov1.AttemptUsage
	m := s.until(func(m *agentprotov1.AgentMessage) bool {
		for _, u := range m.GetBeat().GetAttempts() {
			usage = u
		}
		return usage.GetWaitsForInput() && usage.GetCpuNs() > uint64(100*time.Millisecond)
	})
	if b := m.GetBeat(); b.GetMemoryBytes() == 0 || b.GetTimeNs() == 0 || b.GetNode().GetMemoryBytes() == 0 || b.GetNode().GetDiskFreeBytes() == 0 || b.GetNode().CpuMilli == nil {
		t.Errorf("beat %v", b)
	}
	if usage.GetMemoryBytes() == 0 || usage.GetProcesses() != 2 {
		t.Errorf("usage %v", usage)
	}
	if usage.NetReceivedBytes != nil || usage.NetSentBytes != nil {
		t.Error("the network's use can't be measured, but is told")
	}
	s.cancel("j1", "cancelled", 0)
	s.result("j1")
}

// What many jobs write at once arrives whole in each one's own log.
func TestManyJobsAtOnce(t *testing.T) {
	d := newDouble(t)
	startAgent(t, d, func(c *agent.Config) { c.Facts.CPUMilli = 100000 })
	s := d.next().welcome()
	const jobs = 32
	for i := range jobs {
		s.assign(fmt.Sprintf("j%d", i), func(a *agentprotov1.Assign) { a.Tty = i%2 == 0 }, fmt.Sprintf("for i in $(seq 200); do echo job %d line $i; done", i))
	}
	s.until(func(m *agentprotov1.AgentMessage) bool {
		if a := m.GetAccept(); a != nil {
			s.start(a.GetRef().GetJob())
		}
		if r := m.GetResult(); r != nil {
			s.acknowledge(r.GetRef().GetJob())
		}
		return len(s.results) == jobs
	})
	for i := range jobs {
		var want strings.Builder
		for line := 1; line <= 200; line++ {
			fmt.Fprintf(&want, "job %d line %d\n", i, line)
		}
		if got := s.log[fmt.Sprintf("j%d", i)].String(); got != want.String() {
			t.Errorf("job %d: got %d bytes, want %d", i, len(got), want.Len())
		}
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
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(patience)
	for !holds() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
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
