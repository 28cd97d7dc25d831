package agent_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/agent"
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
	t.Run("that does not hear it, and says how it ended", func(t *testing.T) {
		s.assign("j5", nil, "trap '' TERM; (trap '' TERM; exec setsid sleep 1000) & echo ready; while :; do sleep 0.01; done")
		s.accepted()
		s.start("j5")
		s.output("j5", "ready")
		s.cancel("j5", "cancelled", 10*time.Millisecond)
		if got := s.result("j5"); !got.GetForced() || got.GetEscaped() || got.GetSignal() != "KILL" {
			t.Errorf("got %v", got)
		}
		s.acknowledge("j5")
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
