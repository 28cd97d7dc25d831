package process_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hodei-jobs/hodei/agentproto/agent/process"
	"github.com/hodei-jobs/hodei/agentproto/agent/procfs"
)

// headless is a script, with PROGRAM in place of a program whose first thread has
// ended while others run. It returns once that is so.
func headless(t *testing.T, script string, env ...string) (p *process.Process, pid int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	spec := sh(strings.ReplaceAll(script, "PROGRAM", self))
	spec.Env = append(spec.Env, append(env, stageVariable+"=headless")...)
	out := newLines()
	spec.Stdout = out
	p = start(t, spec)
	out.await(t, "headless ")
	out.await(t, "\n")
	if _, err := fmt.Sscanf(out.String(), "headless %d\n", &pid); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Kill(pid, unix.SIGKILL) })
	return p, pid
}

func TestAProcessWithoutItsFirstThreadIsKilledToo(t *testing.T) {
	release := t.TempDir() + "/release"
	p, pid := headless(t, "setsid PROGRAM & until [ -e "+release+" ]; do sleep 0.01; done")
	write(t, release)
	exit := p.Wait()
	if procfs.Alive(pid) {
		t.Error("it lives on")
	}
	if exit.Killed != 1 || exit.Escaped {
		t.Errorf("got %+v", exit)
	}
}

func TestAMainProcessWithoutItsFirstThread(t *testing.T) {
	t.Run("runs until its last thread ends", func(t *testing.T) {
		release := t.TempDir() + "/release"
		p, _ := headless(t, "exec PROGRAM", "TEST_UNTIL="+release)
		write(t, release)
		if exit := p.Wait(); exit.Code != 7 || exit.Killed != 0 || exit.Stopped {
			t.Errorf("got %+v", exit)
		}
	})
	t.Run("counts as stopped when it is killed", func(t *testing.T) {
		p, pid := headless(t, "exec PROGRAM")
		p.Kill()
		if exit := p.Wait(); exit.Signal != "KILL" || !exit.Stopped || procfs.Alive(pid) {
			t.Errorf("got %+v", exit)
		}
	})
}

func write(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}
