package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// perAgent is how many processes an agent has: itself and its guard.
const perAgent = 2

// agentsAre waits until the cluster has so many agents, and returns their pids.
func (c *cluster) agentsAre(n int) (pids []int) {
	c.t.Helper()
	eventually(c.t, commandLimit, func() error {
		if pids = c.agents(); len(pids) != n*perAgent {
			return fmt.Errorf("%d processes of agents, want %d of each of %d", len(pids), perAgent, n)
		}
		return nil
	})
	return pids
}

// hodei dev that is asked to stop ends its idle agent; started again, it has one
// again, the same worker.
func TestDevStopsItsIdleAgent(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGTERM} {
		if _, stderr, code := c.hodei("run", "--", "true"); code != 0 {
			t.Fatal(stderr)
		}
		c.agentsAre(1)
		if code := c.stop(sig); code != exitOK {
			t.Errorf("%s: exit code %d\n%s", sig, code, c.serverLog())
		}
		if left := c.agents(); len(left) > 0 {
			t.Errorf("%s: agents are left: %v", sig, left)
		}
		c.start()
	}
	c.agentsAre(1)
	workers, err := c.client().Workers(t.Context(), "")
	if err != nil || len(workers.Items) != 1 {
		t.Errorf("the worker of before is not taken again: %+v, %v", workers, err)
	}
}

// hodei dev that is asked to stop leaves an agent alone that has a job; started
// again, it takes the same agent back, and the job's output is whole.
func TestDevLeavesAnAgentWithAJob(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	dir := t.TempDir()
	var out, errs bytes.Buffer
	cmd := c.cli("run", "--name", "long", "--", "sh", "-c", "echo $$; until [ -e "+dir+"/go ]; do sleep 0.05; done; echo $$")
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, commandLimit, func() error {
		if text, _, _ := c.hodei("logs", "long"); text == "" {
			return fmt.Errorf("the job has not begun")
		}
		return nil
	})
	before := c.agentsAre(1)
	if code := c.stop(syscall.SIGTERM); code != exitOK {
		t.Errorf("exit code %d\n%s", code, c.serverLog())
	}
	if left := c.agents(); !slices.Equal(left, before) {
		t.Errorf("agents %v were left, want %v", left, before)
	}
	if !strings.Contains(c.serverLog(), "the local worker goes on with 1 job; ") {
		t.Errorf("it does not say that a job goes on:\n%s", c.serverLog())
	}
	c.start()
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("run: %v\n%s", err, errs.String())
	}
	if lines := strings.Fields(out.String()); len(lines) != 2 || lines[0] != lines[1] {
		t.Errorf("output %q, want the same pid twice", out.String())
	}
	if after := c.agentsAre(1); !slices.Equal(after, before) {
		t.Errorf("agents %v after the restart, want those of before, %v", after, before)
	}
}

// Two can't have one folder or one address; the error says who has it.
func TestDevTwice(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	for _, row := range []struct {
		name string
		args []string
		says []string
	}{
		{"on one folder", []string{"dev", "--data", filepath.Join(c.dir, "data"), "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"},
			[]string{"error: the data folder " + filepath.Join(c.dir, "data") + " is in use by process " + strconv.Itoa(c.cmd.Process.Pid) + "\n  help: it is a server already; to run another: --data DIR\n"}},
		{"at one HTTP address", []string{"dev", "--data", filepath.Join(c.dir, "other"), "--http", c.http, "--grpc", "127.0.0.1:0"},
			[]string{"error: cannot listen on " + c.http + ": address already in use\n  help: is a server running already? else choose another: --http 127.0.0.1:0\n"}},
		{"at one address for workers", []string{"dev", "--data", filepath.Join(c.dir, "other"), "--http", "127.0.0.1:0", "--grpc", c.grpc},
			[]string{"error: cannot listen on " + c.grpc + ": address already in use\n  help: is a server running already? else choose another: --grpc 127.0.0.1:0\n"}},
	} {
		_, stderr, code := c.hodei(row.args...)
		if code != exitRefused {
			t.Errorf("%s: exit code %d, want %d", row.name, code, exitRefused)
		}
		for _, text := range row.says {
			if !strings.Contains(stderr, text) {
				t.Errorf("%s: said %q, want %q in it", row.name, stderr, text)
			}
		}
	}
	if _, stderr, code := c.hodei("run", "--", "true"); code != 0 {
		t.Errorf("the first does not work any more: %s", stderr)
	}
}

// A second server on another folder leaves the first usable, and no server makes
// a second admin token.
func TestDevBesideAnother(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	token, err := os.ReadFile(filepath.Join(c.dir, "data.token"))
	if err != nil {
		t.Fatal(err)
	}
	second := *c
	second.http, second.grpc = "127.0.0.1:0", "127.0.0.1:0"
	second.args = []string{"--data", filepath.Join(c.dir, "other")}
	second.start()
	if want := "was        --server http://" + c.http + " --token-file " + filepath.Join(c.dir, "data.token"); !strings.Contains(second.serverLog(), want) {
		t.Errorf("the second does not say %q:\n%s", want, second.serverLog())
	}
	if _, stderr, code := c.hodei("worker", "list", "--token-file", filepath.Join(c.dir, "data.token")); code != 0 {
		t.Errorf("the first does not work any more: %s", stderr)
	}
	if code := second.stop(syscall.SIGTERM); code != exitOK {
		t.Errorf("the second: exit code %d\n%s", code, second.serverLog())
	}
	if code := c.stop(syscall.SIGTERM); code != exitOK {
		t.Errorf("the first: exit code %d", code)
	}
	c.start()
	if again, err := os.ReadFile(filepath.Join(c.dir, "data.token")); err != nil || !bytes.Equal(again, token) {
		t.Errorf("the token is another after a restart: %v", err)
	}
	if _, stderr, code := c.hodei("run", "--", "true"); code != 0 {
		t.Errorf("after a restart: %s", stderr)
	}
}
