package process_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hodei-jobs/hodei/agentproto/agent/process"
)

func TestNothingOutlivesAJob(t *testing.T) {
	const quick, drain = time.Second, process.DrainLimit + time.Second
	for _, row := range []struct {
		name   string
		script string // SLEEP is what must be gone
		killed int
		within time.Duration
	}{
		{"a job that leaves nothing", "SLEEP & kill $!; wait", 0, quick},
		{"one in the background", "SLEEP & true", 1, drain},
		{"one in the background whose output is elsewhere needs no drain", "SLEEP >/dev/null 2>&1 & true", 1, quick},
		{"two in sessions of their own", "setsid SLEEP & setsid SLEEP & true", 2, drain},
		{"one that ignores TERM and HUP", "(trap '' TERM HUP; SLEEP) & true", 1, drain},
		{"one without any environment", "env -i setsid SLEEP & true", 1, drain},
		{"a hundred that were forked twice", "for i in $(seq 100); do (setsid SLEEP >/dev/null 2>&1 &) & done; wait", 100, drain},
		{"one that is stopped", "SLEEP & kill -STOP $!", 1, drain},
		{"a tree whose root has ended", "(SLEEP & SLEEP & wait) >/dev/null 2>&1 & sleep 0.05; kill $!; wait $!", 2, quick},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			seconds, alive := sleeper(t)
			begin := time.Now()
			_, exit := run(t, sh(strings.ReplaceAll(row.script, "SLEEP", "sleep "+seconds)))
			if n := alive(); n != 0 {
				t.Errorf("%d live on", n)
			}
			if exit.Killed != row.killed || exit.Escaped {
				t.Errorf("killed %d, want %d (escaped: %t)", exit.Killed, row.killed, exit.Escaped)
			}
			if took := time.Since(begin); took > row.within {
				t.Errorf("took %s, want at most %s", took, row.within)
			}
		})
	}
}

func TestTheEndOfOneJobLeavesTheOrphansOfAnotherAlone(t *testing.T) {
	seconds, alive := sleeper(t)
	out := newLines()
	spec := sh("(env -i setsid sleep " + seconds + " >/dev/null 2>&1 &); echo started; sleep 1000")
	spec.Stdout = out
	long := start(t, spec)
	out.await(t, "started")
	eventually(t, patience, "the orphan runs", func() bool { return alive() == 1 })

	if _, exit := run(t, sh("true")); exit.Killed != 0 {
		t.Errorf("the other job's end killed %d", exit.Killed)
	}
	if alive() != 1 {
		t.Error("the orphan is gone with another job")
	}
	long.Signal(unix.SIGKILL)
	long.Wait()
	if alive() != 0 {
		t.Error("the orphan outlived its own job")
	}
}

func TestOrphansOfARunningJobAreReaped(t *testing.T) {
	out := newLines()
	spec := sh("(sh -c 'exit 0' & exec sleep 0.05) & wait; echo waited; exec sleep 1000")
	spec.Stdout = out
	p := start(t, spec)
	out.await(t, "waited")
	eventually(t, patience, "no orphan is left", func() bool {
		for _, tree := range host().Trees() {
			if tree.Process == p {
				return len(tree.Orphans) == 0
			}
		}
		return false
	})
	p.Kill()
	p.Wait()
}

func TestCancel(t *testing.T) {
	t.Run("a job that hears TERM ends with its own exit code", func(t *testing.T) {
		t.Parallel()
		exit, took := cancel(t, "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.01; done", time.Minute)
		if exit.Code != 7 || !exit.Stopped {
			t.Errorf("got %+v", exit)
		}
		if took > time.Second {
			t.Errorf("took %s", took)
		}
	})
	t.Run("a job that ignores TERM is killed after the grace", func(t *testing.T) {
		t.Parallel()
		const grace = 300 * time.Millisecond
		exit, took := cancel(t, "trap '' TERM; echo ready; while :; do sleep 0.01; done", grace)
		if exit.Signal != "KILL" || exit.Code != -1 {
			t.Errorf("got %+v", exit)
		}
		if took < grace || took > grace+200*time.Millisecond {
			t.Errorf("took %s, want %s", took, grace)
		}
	})
	t.Run("a stopped job hears TERM too", func(t *testing.T) {
		t.Parallel()
		exit, _ := cancel(t, "echo ready; kill -STOP $$", time.Minute)
		if exit.Signal != "TERM" {
			t.Errorf("got %+v", exit)
		}
	})
	t.Run("a descendant that has left the tree hears TERM too", func(t *testing.T) {
		t.Parallel()
		script := "(setsid sh -c 'trap \"echo heard; exit\" TERM; echo ready; while :; do sleep 0.01; done' &); exec sleep 1000"
		out := newLines()
		spec := sh(script)
		spec.Stdout = out
		p := start(t, spec)
		out.await(t, "ready")
		p.Signal(unix.SIGTERM)
		if exit := p.Wait(); exit.Signal != "TERM" {
			t.Errorf("got %+v", exit)
		}
		out.await(t, "heard") // it may still be on its way out when the rest is swept
	})
	t.Run("signals after the end do nothing", func(t *testing.T) {
		p := start(t, sh("true"))
		exit := p.Wait()
		p.Signal(unix.SIGTERM)
		p.Kill()
		if exit.Stopped {
			t.Error("it ended by itself, but counts as stopped")
		}
	})
}

func TestAskedAgainAProcessHearsASignalOnce(t *testing.T) {
	out := newLines()
	spec := sh("trap 'echo heard' TERM; trap 'echo last; exit 7' INT; echo ready; while :; do sleep 0.01; done")
	spec.Stdout = out
	p := start(t, spec)
	out.await(t, "ready")
	p.Stop(unix.SIGTERM, time.Minute)
	out.await(t, "heard")
	p.Stop(unix.SIGTERM, time.Minute)
	p.Stop(unix.SIGINT, time.Minute)
	if exit := p.Wait(); exit.Code != 7 || exit.Forced || strings.Count(out.String(), "heard") != 1 {
		t.Errorf("got %+v, %q", exit, out)
	}
}

func TestOfSeveralGracesTheOneThatEndsFirstCounts(t *testing.T) {
	for _, graces := range [][]time.Duration{
		{time.Minute, 50 * time.Millisecond, time.Minute},
		{50 * time.Millisecond, time.Minute},
		{time.Minute, 0},
	} {
		out := newLines()
		spec := sh("trap '' TERM; echo ready; while :; do sleep 0.01; done")
		spec.Stdout = out
		p := start(t, spec)
		out.await(t, "ready")
		begin := time.Now()
		for _, grace := range graces {
			p.Stop(unix.SIGTERM, grace)
		}
		passed := !slices.Contains(graces, 0) // else it is killed at once
		if exit := p.Wait(); exit.Signal != "KILL" || exit.Forced != passed || time.Since(begin) > patience {
			t.Errorf("after %v: %+v", graces, exit)
		}
	}
}

// blocked takes no output until it is released.
type blocked struct{ release chan struct{} }

func (b blocked) Write(p []byte) (int, error) {
	<-b.release
	return len(p), nil
}

func TestLeftoversAreKilledAlsoWhileNobodyTakesTheOutput(t *testing.T) {
	seconds, alive := sleeper(t)
	out := blocked{make(chan struct{})}
	spec := sh("yes & sleep " + seconds + " & true")
	spec.Stdout = out
	p := start(t, spec)
	exited := make(chan process.Exit, 1)
	go func() { exited <- p.Wait() }()
	eventually(t, patience, "it began", func() bool { return alive() == 1 })
	eventually(t, patience, "nothing is left", func() bool { return alive() == 0 })
	select {
	case <-exited:
		t.Error("it ended before its output was taken")
	default:
	}
	close(out.release)
	if exit := <-exited; exit.Killed != 2 || exit.Code != 0 {
		t.Errorf("got %+v", exit)
	}
}

func cancel(t *testing.T, script string, grace time.Duration) (process.Exit, time.Duration) {
	t.Helper()
	out := newLines()
	spec := sh(script)
	spec.Stdout = out
	p := start(t, spec)
	out.await(t, "ready")
	begin := time.Now()
	p.Signal(unix.SIGTERM)
	time.AfterFunc(grace, p.Kill)
	return p.Wait(), time.Since(begin)
}
