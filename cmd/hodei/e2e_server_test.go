package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// hodei server has no worker of its own: an agent that is started by hand
// registers with a token, and runs jobs.
func TestServerWithAWorkerByHand(t *testing.T) {
	t.Parallel()
	binaries(t)
	c := &cluster{t: t, dir: t.TempDir(), command: "server", http: "127.0.0.1:0", grpc: "127.0.0.1:0"}
	t.Cleanup(c.end)
	c.start()
	admin := []string{"--token-file", filepath.Join(c.dir, "data.token")}
	if _, stderr, code := c.hodei(append(admin, "worker", "list")...); code != 0 || !strings.Contains(stderr, "hodei worker token") {
		t.Errorf("without a worker: exit code %d, %s", code, stderr)
	}
	token, stderr, code := c.hodei(append(admin, "worker", "token", "--label", "disk=ssd")...)
	if code != 0 || !strings.Contains(stderr, "HODEI_SERVER_URL=grpcs://"+c.grpc) {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	kept := filepath.Join(c.dir, "worker.token")
	if err := os.WriteFile(kept, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	agent := exec.Command(filepath.Join(binDir, "hodei-agent"), "--state-dir", filepath.Join(c.dir, "agent"), "--name", "hand")
	agent.Env = append(os.Environ(), "HODEI_SERVER_URL=grpcs://"+c.grpc, "HODEI_WORKER_TOKEN_FILE="+kept)
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = agent.Process.Signal(os.Interrupt)
		_ = agent.Wait()
	})
	eventually(t, commandLimit, func() error {
		w, err := c.client().Worker(t.Context(), "hand")
		if err == nil && (w.State != "online" || w.Labels["disk"] != "ssd") {
			err = fmt.Errorf("the worker is %+v", w)
		}
		return err
	})
	if out, stderr, code := c.hodei(append(admin, "run", "--requires", "disk=ssd", "--", "echo", "by hand")...); code != 0 || strings.TrimSpace(out) != "by hand" {
		t.Errorf("a job: exit code %d, %q, %s", code, out, stderr)
	}
}
