package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/settings"
	"github.com/hodei-jobs/hodei/api/client"
)

// serverAlone runs hodei server, which has no worker.
func serverAlone(t *testing.T) *cluster {
	t.Helper()
	binaries(t)
	c := &cluster{t: t, dir: t.TempDir(), command: "server", http: "127.0.0.1:0", grpc: "127.0.0.1:0"}
	t.Cleanup(c.end)
	c.start()
	return c
}

// admin is a command of the CLI by whoever may do all.
func (c *cluster) admin(args ...string) (stdout, stderr string, code int) {
	c.t.Helper()
	return c.hodei(append([]string{"--token-file", filepath.Join(c.dir, "data.token")}, args...)...)
}

// agentByHand starts an agent that registers by a token, made with these flags, and
// waits until it is there. Its name is that of its state folder.
func (c *cluster) agentByHand(name string, flags ...string) {
	c.t.Helper()
	token, stderr, code := c.admin(append([]string{"worker", "token"}, flags...)...)
	if code != 0 {
		c.t.Fatal(stderr)
	}
	kept := filepath.Join(c.dir, name+".token")
	if err := os.WriteFile(kept, []byte(token), 0o600); err != nil {
		c.t.Fatal(err)
	}
	agent := exec.Command(filepath.Join(binDir, "hodei-agent"), "--state-dir", filepath.Join(c.dir, name), "--name", name)
	agent.Env = append(os.Environ(), "HODEI_SERVER_URL=grpcs://"+c.grpc, "HODEI_WORKER_TOKEN_FILE="+kept)
	if err := agent.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		_ = agent.Process.Signal(os.Interrupt)
		_ = agent.Wait()
	})
	eventually(c.t, commandLimit, func() error {
		w, err := c.client().Worker(c.t.Context(), name)
		if err == nil && w.State != "online" {
			err = fmt.Errorf("worker %s is %s", name, w.State)
		}
		return err
	})
}

// kill -9 of an agent that nobody starts again: its processes are gone at once, its
// jobs are lost only when the tolerance has passed since it was last heard, and tell
// why. Those run again that say so, on another agent; which takes the next job.
func TestAgentKilledAndNotStartedAgain(t *testing.T) {
	t.Parallel()
	c := serverAlone(t)
	c.agentByHand("one")
	dir := t.TempDir()
	jobs := map[string]string{"never": "", "once": `"retries": {"max": 1, "on": ["lost"]},`, "otherwise": `"retries": {"max": 1, "on": ["exit"]},`}
	ids := map[string]string{}
	for name, retries := range jobs {
		spec := fmt.Sprintf(`{"name": %q, %s "command": "echo $$ >> %s/%s; [ \"$HODEI_ATTEMPT\" != 1 ] || exec sleep 600"}`, name, retries, dir, name)
		j, err := c.client().Submit(t.Context(), []byte(spec), "")
		if err != nil {
			t.Fatal(err)
		}
		ids[name] = j.ID
	}
	// runs are the processes of a job that have begun.
	runs := func(name string) []int {
		b, _ := os.ReadFile(filepath.Join(dir, name))
		if len(b) == 0 {
			return nil // not yet
		}
		return pidsIn(t, string(b))
	}
	var pids []int
	eventually(t, commandLimit, func() error {
		pids = nil
		for name := range jobs {
			pids = append(pids, runs(name)...)
		}
		if len(pids) != len(jobs) {
			return fmt.Errorf("%v run", pids)
		}
		return nil
	})
	if err := syscall.Kill(agentOf(t, pids[0]), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Second, func() error {
		if left := alive(pids); left != nil {
			return fmt.Errorf("still alive: %v", left)
		}
		return nil
	})
	c.agentByHand("two")
	if stdout, stderr, code := c.admin("run", "--", "echo", "next"); stdout != "next\n" || code != 0 {
		t.Errorf("the next job: exit code %d, %q, %s", code, stdout, stderr)
	}
	for name, id := range ids {
		state := map[string]string{"never": "lost", "once": "succeeded", "otherwise": "lost"}[name]
		eventually(t, commandLimit, func() error {
			j, err := c.client().Job(t.Context(), id)
			if err == nil && j.State != state {
				err = fmt.Errorf("%s is %s", name, j.State)
			}
			return err
		})
		c.checkLost(name, id)
		if n, want := len(runs(name)), map[string]int{"never": 1, "once": 2, "otherwise": 1}[name]; n != want {
			t.Errorf("%s ran %d times, not %d", name, n, want)
		}
	}
	if j, err := c.client().Job(t.Context(), ids["never"]); err != nil || j.Reason != "lost" || j.WorkerName != "one" || !strings.HasPrefix(j.Summary, "worker one silent for 3") {
		t.Errorf("it says %+v, %v", j, err)
	}
	if j, err := c.client().Job(t.Context(), ids["once"]); err != nil || j.Attempt != 2 || j.WorkerName != "two" {
		t.Errorf("it says %+v, %v", j, err)
	}
}

// checkLost checks that a job was lost once, with worker one, when the tolerance had
// passed since that was last heard.
func (c *cluster) checkLost(name, id string) {
	c.t.Helper()
	w, err := c.client().Worker(c.t.Context(), "one")
	if err != nil || w.State != "lost" || w.LastHeard == nil {
		c.t.Fatalf("the worker is %+v, %v", w, err)
	}
	page, err := c.client().Events(c.t.Context(), client.EventsQuery{Stream: "job-" + id, Types: []string{"JobLost"}})
	if err != nil || len(page.Items) != 1 {
		c.t.Fatalf("%s was lost %d times, %v", name, len(page.Items), err)
	}
	lost := page.Items[0]
	if silent := lost.Time.Sub(*w.LastHeard); silent < settings.Default().ReconnectTolerance {
		c.t.Errorf("%s was lost when its worker was silent for %s", name, silent)
	}
	if want := "attempt 1 lost with " + w.ID + ": worker lost, silent for 3"; !strings.HasPrefix(lost.Text, want) {
		c.t.Errorf("%s: %q, not %q", name, lost.Text, want)
	}
}
