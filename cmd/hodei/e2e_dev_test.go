package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
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

// plain runs the CLI as a person does: with nothing said of a server or a token.
func (c *cluster) plain(args ...string) (stdout, stderr string, code int) {
	c.t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(filepath.Join(binDir, "hodei"), args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = c.env(), &out, &errs
	_ = cmd.Run() // the exit code says it
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// hodei dev puts its token where the other commands look: into the user's
// configuration folder, which nobody else can read.
func TestDevPutsItsTokenWhereOthersLook(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, variable, folder, shown string }{
		{"the home folder", "HOME", ".config/hodei", "~/.config/hodei/token"},
		{"XDG_CONFIG_HOME", "XDG_CONFIG_HOME", "hodei", "HOME/hodei/token"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			binaries(t)
			home := filepath.Join(t.TempDir(), "home")
			c := &cluster{t: t, dir: t.TempDir(), command: "dev", http: "127.0.0.1:0", grpc: "127.0.0.1:0",
				vars: []string{"HODEI_CONFIG_DIR=", "HODEI_TOKEN_FILE=", "XDG_CONFIG_HOME=", row.variable + "=" + home}}
			t.Cleanup(c.end)
			c.start()
			folder := filepath.Join(home, row.folder)
			if want := "   token " + strings.Replace(row.shown, "HOME", home, 1) + " (new, 0600)\n"; !strings.Contains(c.serverLog(), want) {
				t.Errorf("it does not say %q:\n%s", want, c.serverLog())
			}
			for path, mode := range map[string]os.FileMode{folder: 0o700, filepath.Join(folder, "token"): 0o600, filepath.Join(c.dir, "data.token"): 0o600} {
				if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
					t.Errorf("%s: %v, want mode %v; %v", path, info, mode, err)
				}
			}
			if _, stderr, code := c.plain("job", "list"); code != exitOK {
				t.Errorf("hodei job list: exit code %d\n%s", code, stderr)
			}
			if err := os.Remove(filepath.Join(c.dir, "data.token")); err != nil {
				t.Fatal(err)
			}
			before := readLine(filepath.Join(folder, "token"))
			c.stop(syscall.SIGTERM)
			c.start()
			if got := readLine(filepath.Join(c.dir, "data.token")); got != before {
				t.Errorf("the copy beside the data was not put back from the configuration folder: %s, want %s", hint(got), hint(before))
			}
		})
	}
}

// Of two servers the one started last is found, without a word said; when it has
// ended the first is found again. No server makes a second admin token, and a
// restart puts its own back.
func TestDevBesideAnother(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	tokenFile := filepath.Join(c.dir, "data.token")
	before := readLine(tokenFile)
	submit := func(c *cluster, name string) {
		t.Helper()
		if _, stderr, code := c.plain("run", "--detach", "--name", name, "--", "true"); code != exitOK {
			t.Fatalf("%s: %s", name, stderr)
		}
	}
	listed := func(step, want string) {
		t.Helper()
		out, stderr, code := c.plain("job", "list")
		if has := strings.Contains(out, want); code != exitOK || !has || strings.Count(out, "\n") != 2 {
			t.Errorf("%s: exit code %d, want %s alone:\n%s%s", step, code, want, out, stderr)
		}
	}
	submit(c, "of-first")
	second := *c
	second.http, second.grpc = "127.0.0.1:0", "127.0.0.1:0"
	second.args = []string{"--data", filepath.Join(c.dir, "other")}
	second.start()
	if want := "was        --server http://" + c.http + " --token-file " + tokenFile; !strings.Contains(second.serverLog(), want) {
		t.Errorf("the second does not say %q:\n%s", want, second.serverLog())
	}
	submit(&second, "of-second")
	listed("both run", "of-second")
	if _, stderr, code := c.hodei("worker", "list", "--token-file", tokenFile); code != exitOK {
		t.Errorf("the first does not work any more: %s", stderr)
	}
	if code := second.stop(syscall.SIGTERM); code != exitOK {
		t.Errorf("the second: exit code %d\n%s", code, second.serverLog())
	}
	listed("the second has ended", "of-first")
	second.start()
	listed("the second has come again", "of-second")
	if code := c.stop(syscall.SIGTERM); code != exitOK {
		t.Errorf("the first: exit code %d", code)
	}
	second.kill()
	c.start()
	listed("the first has come again after the second was killed", "of-first")
	if again := readLine(tokenFile); again != before {
		t.Errorf("the token is another after a restart: %s, was %s", hint(again), hint(before))
	}
}
