package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hodei-jobs/hodei/api/client"
)

// placed submits a job and returns the name of the worker that runs or ran it.
func (c *cluster) placed(name string, args ...string) (worker string) {
	c.t.Helper()
	if _, stderr, code := c.hodei(append([]string{"run", "--detach", "--name", name}, args...)...); code != 0 {
		c.t.Fatalf("%s: exit code %d: %s", name, code, stderr)
	}
	eventually(c.t, commandLimit, func() error {
		jobs := c.named(name)
		if len(jobs) != 1 || jobs[0].Started == nil {
			return fmt.Errorf("%s does not run: %+v", name, jobs)
		}
		worker = jobs[0].WorkerName
		return nil
	})
	return worker
}

func (c *cluster) set(args ...string) {
	c.t.Helper()
	if out, stderr, code := c.hodei(append([]string{"settings", "set"}, args...)...); code != 0 {
		c.t.Fatalf("settings set %v: exit code %d, %s%s", args, code, out, stderr)
	}
}

// What is set holds at once: where the next job goes, when a worker that is silent
// already is lost, which ended jobs are listed.
func TestSettingsHoldAtOnce(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	c.agentByHand("hand", "--label", "disk=ssd")
	pid := filepath.Join(t.TempDir(), "pid")
	if on := c.placed("filler", "--cpu", "4", "--requires", "disk=ssd", "--", "sh", "-c", "echo $$ > "+pid+".new; mv "+pid+".new "+pid+"; sleep 300"); on != "hand" {
		t.Fatalf("the filler runs on %s", on)
	}
	if on := c.placed("packed", "--cpu", "1", "--", "true"); on != "hand" {
		t.Errorf("a job that is packed runs on %s", on)
	}
	c.set("policy=leastloaded")
	if on := c.placed("spread", "--cpu", "1", "--", "true"); on == "hand" {
		t.Error("a job that is to be spread runs where most is taken")
	}

	c.set("reconnect_tolerance=1h")
	var text []byte
	eventually(t, commandLimit, func() (err error) {
		text, err = os.ReadFile(pid)
		return err
	})
	if err := syscall.Kill(agentOf(t, pidsIn(t, string(text))[0]), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, commandLimit, func() error {
		w, err := c.client().Worker(t.Context(), "hand")
		if err == nil && w.State != "disconnected" {
			err = fmt.Errorf("the worker is %s", w.State)
		}
		return err
	})
	c.set("reconnect_tolerance=10s")
	eventually(t, commandLimit, func() error {
		if jobs := c.named("filler"); len(jobs) != 1 || jobs[0].State != "lost" {
			return fmt.Errorf("it is not lost: %+v", jobs)
		}
		return nil
	})

	c.set("kept_finished=1")
	if page, err := c.client().Jobs(t.Context(), client.JobsQuery{}); err != nil || len(page.Items) != 1 || page.Items[0].Name != "filler" {
		t.Errorf("listed are %+v, %v", page.Items, err)
	}
	changes, err := c.client().Events(t.Context(), client.EventsQuery{Stream: "settings"})
	if err != nil || len(changes.Items) != 4 || changes.Items[0].Actor == "" || !strings.HasPrefix(changes.Items[3].Text, "changed kept_finished 1") {
		t.Errorf("the changes are %+v, %v", changes, err)
	}
}
