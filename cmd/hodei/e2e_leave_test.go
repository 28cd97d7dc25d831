package main

import (
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/wire"
)

// readerGone: a pipe's reader takes what it wants and goes, as head does.
func readerGone(t *testing.T, c *cluster) {
	for name, script := range map[string]string{"goes-writing": "while :; do echo y; done", "goes-silent": "echo y; sleep 300"} {
		cmd := c.cli("run", "--name", name, "--", "sh", "-c", script)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if err := out.Close(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != exitSignal+int(syscall.SIGPIPE) {
			t.Errorf("%s: %s, want exit code %d", name, cmd.ProcessState, exitSignal+int(syscall.SIGPIPE))
		}
		c.isCancelled(name, "nobody reads its output any more")
	}
}

// hungUp: the terminal that run was started from is closed.
func hungUp(t *testing.T, c *cluster) {
	cmd := c.cli("run", "--name", "hung", "--", "sleep", "300")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, commandLimit, func() error {
		if jobs := c.named("hung"); len(jobs) != 1 || jobs[0].State != "running" {
			return fmt.Errorf("not running: %+v", jobs)
		}
		return nil
	})
	time.AfterFunc(commandLimit, func() { _ = cmd.Process.Kill() })
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitSignal+int(syscall.SIGHUP) {
		t.Errorf("%s, want exit code %d", cmd.ProcessState, exitSignal+int(syscall.SIGHUP))
	}
	c.isCancelled("hung", "the terminal was closed")
}

// timeout sends its signal to the command and at once to its group, which is the
// same process again: that is no second wish to leave.
func outOfTime(t *testing.T, c *cluster) {
	run := c.cli("run", "--name", "slow", "--", "sleep", "300")
	cmd := exec.CommandContext(t.Context(), "timeout", append([]string{"--kill-after=1m", "5s", run.Path}, run.Args[1:]...)...)
	var errs bytes.Buffer
	cmd.Env, cmd.Stderr = run.Env, &errs
	_ = cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != 124 || strings.Contains(errs.String(), "left ") {
		t.Errorf("exit code %d, want that of timeout: %s", code, errs.String())
	}
	c.isCancelled("slow", "interrupted")
}

func (c *cluster) isCancelled(name, why string) {
	c.t.Helper()
	eventually(c.t, commandLimit, func() error {
		jobs := c.named(name)
		if len(jobs) != 1 || jobs[0].State != "cancelled" || !strings.Contains(jobs[0].Summary, why) {
			return fmt.Errorf("%s is not cancelled because %s: %+v", name, why, jobs)
		}
		return nil
	})
}

// named are the newest jobs of that name.
func (c *cluster) named(name string) (found []wire.Job) {
	c.t.Helper()
	page, err := c.client().Jobs(c.t.Context(), client.JobsQuery{Limit: 1000})
	if err != nil {
		c.t.Fatal(err)
	}
	for i := range page.Items {
		if page.Items[i].Name == name {
			found = append(found, page.Items[i])
		}
	}
	return found
}
