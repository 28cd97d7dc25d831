package process_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/agent/process"
	"github.com/hodei-jobs/hodei/agentproto/agent/procfs"
	"github.com/hodei-jobs/hodei/agentproto/agent/sample"
)

// hidden sleeps in a session of its own, without any mark.
const hidden = "env -i setsid prlimit --locks=7 sleep SECONDS >/dev/null 2>&1 </dev/null"

// held is a job that goes on until it is released.
type held struct {
	*process.Process
	t       *testing.T
	release string
}

// hold starts a script as a job, and waits until that has ended; the job has not.
func hold(t *testing.T, script string) held {
	t.Helper()
	if _, err := exec.LookPath("prlimit"); err != nil {
		if os.Getenv("HODEI_REQUIRE_ALL") == "" {
			t.Skipf("no prlimit, of util-linux, to take a mark away with: %v", err)
		}
		t.Fatal(err)
	}
	h := held{t: t, release: t.TempDir() + "/release"}
	out := newLines()
	spec := sh(script + "\necho started; until [ -e " + h.release + " ]; do sleep 0.01; done")
	spec.Stdout = out
	h.Process = start(t, spec)
	t.Cleanup(func() { write(t, h.release) })
	out.await(t, "started")
	return h
}

func (h held) end() process.Exit {
	h.t.Helper()
	write(h.t, h.release)
	return h.Wait()
}

func TestAProcessThatHidIsKnownByWhatItWasSeenToDescendFrom(t *testing.T) {
	seconds, alive := sleeper(t)
	other := hold(t, "true")
	job := hold(t, strings.ReplaceAll(hidden, "SECONDS", seconds)+" &")
	eventually(t, patience, "it runs", func() bool { return alive() == 1 })
	sampler := sample.New(host())
	sampler.Sample(time.Now())
	if exit := job.end(); exit.Killed != 1 || alive() != 0 {
		t.Errorf("killed %d, %d live on", exit.Killed, alive())
	}
	if exit := other.end(); exit.Killed != 0 {
		t.Errorf("the other job's end killed %d", exit.Killed)
	}
}

func TestAProcessThatHidEndsWithTheLastJobItMayBeOf(t *testing.T) {
	seconds, alive := sleeper(t)
	first := hold(t, "true")
	job := hold(t, "("+strings.ReplaceAll(hidden, "SECONDS", seconds)+" &)")
	eventually(t, patience, "it is an orphan that hid", func() bool {
		pids := sleeping(seconds)
		if len(pids) != 1 {
			return false
		}
		stat, err := procfs.ReadStat(pids[0])
		return err == nil && stat.Parent == os.Getpid()
	})
	if exit := job.end(); exit.Killed != 0 || alive() != 1 {
		t.Errorf("nobody can tell whose it is, but it was killed")
	}
	later := hold(t, "true")
	if exit := first.end(); exit.Killed != 1 || alive() != 0 {
		t.Errorf("killed %d, %d live on", exit.Killed, alive())
	}
	if exit := later.end(); exit.Killed != 0 {
		t.Errorf("the end of a job that began later killed %d", exit.Killed)
	}
}

func TestAnOrphanOfNobodyIsKilled(t *testing.T) {
	seconds, alive := sleeper(t)
	if err := exec.Command("sh", "-c", "sleep "+seconds+" & exit 0").Run(); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "it is gone", func() bool {
		host().Trees()
		return alive() == 0
	})
}
