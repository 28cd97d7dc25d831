package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// stateOf is how a job is, by its worker's name.
func (c *cluster) stateOf(id string) (state, worker string) {
	c.t.Helper()
	j, err := c.client().Job(c.t.Context(), id)
	if err != nil {
		c.t.Fatal(err)
	}
	return j.State, j.WorkerName
}

// A cordoned worker gets no new job until it is uncordoned. One that drains gets none
// any more, the one it has goes on to its end, and then its agent ends.
func TestCordonedAndDrainedWorkersGetNoJobs(t *testing.T) {
	t.Parallel()
	c := serverAlone(t)
	c.agentByHand("one")
	c.agentByHand("two")
	submit := func(command string) string {
		t.Helper()
		j, err := c.client().Submit(t.Context(), []byte(fmt.Sprintf(`{"command":%q}`, command)), "")
		if err != nil {
			t.Fatal(err)
		}
		return j.ID
	}
	do := func(args ...string) {
		t.Helper()
		if _, stderr, code := c.admin(args...); code != 0 {
			t.Fatalf("%v: exit %d\n%s", args, code, stderr)
		}
	}
	comes := func(id, state, worker string) {
		t.Helper()
		eventually(t, commandLimit, func() error {
			if s, w := c.stateOf(id); s != state || w != worker {
				return fmt.Errorf("job %s is %s on %q, not %s on %q", id, s, w, state, worker)
			}
			return nil
		})
	}
	do("worker", "cordon", "two")
	finish := filepath.Join(t.TempDir(), "finish")
	runs := submit("until [ -e " + finish + " ]; do sleep 0.05; done")
	comes(runs, "running", "one")
	do("worker", "drain", "one")
	waits := submit("true")
	eventually(t, commandLimit, func() error {
		j, err := c.client().Job(t.Context(), waits)
		if err == nil && (j.State != "pending" || !strings.Contains(j.Explanation, "no new job")) { // it names either of the two
			err = fmt.Errorf("it is %s: %s %s", j.State, j.Summary, j.Explanation)
		}
		return err
	})
	if s, w := c.stateOf(runs); s != "running" || w != "one" {
		t.Errorf("the job of the worker that drains is %s on %s", s, w)
	}
	if err := os.WriteFile(finish, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	comes(runs, "succeeded", "one")
	eventually(t, commandLimit, func() error {
		w, err := c.client().Worker(t.Context(), "one")
		if err == nil && w.State == "online" {
			err = fmt.Errorf("the drained worker is %s", w.State)
		}
		return err
	})
	if s, _ := c.stateOf(waits); s != "pending" {
		t.Errorf("with no worker that takes jobs it is %s", s)
	}
	do("worker", "uncordon", "two")
	comes(waits, "succeeded", "two")
}
