package process_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// Set in this test's own program when it plays a server that launches w1.
const (
	launchVariable = "TEST_LAUNCH" // its data folder
	agentsVariable = "TEST_AGENTS" // where the agent is
)

func TestAServerKilledBeforeItNotedAnAgentLeavesNone(t *testing.T) {
	data := t.TempDir()
	record := filepath.Join(data, "agents", "w1", "agent.json.tmp")
	if err := os.MkdirAll(filepath.Dir(record), 0o700); err != nil {
		t.Fatal(err)
	}
	// Whoever writes the record waits here until somebody reads it: nobody does.
	if err := syscall.Mkfifo(record, 0o600); err != nil {
		t.Fatal(err)
	}
	server := exec.Command(os.Args[0])
	server.Env = append(os.Environ(), launchVariable+"="+data, agentsVariable+"="+agentDir())
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the agent was started", func() bool { return len(agentsOf(data)) > 0 })
	server.Process.Kill()
	server.Wait()
	t.Cleanup(func() {
		for _, pid := range agentsOf(data) {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	eventually(t, "the agent that nobody knows of has ended", func() bool { return len(agentsOf(data)) == 0 })

	if err := os.Remove(record); err != nil {
		t.Fatal(err)
	}
	p := newProvider(t, data)
	mustLaunch(t, p, "w1")
	agentUnder(t, pidOf(t, data, "w1"))
	if found := running(t, p); len(found) != 1 {
		t.Errorf("found %v", found)
	}
}

// agentsOf lists the processes of agents whose folders are below data.
func agentsOf(data string) (pids []int) {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range lines {
		line, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(line, []byte(data+"/agents/")) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

func TestWatchingAnAgentLeavesNoDescriptorsOpen(t *testing.T) {
	data := t.TempDir()
	p := newProvider(t, data)
	handle := mustLaunch(t, p, "w1")
	before := descriptors(t)
	for range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := p.Ended(ctx, handle); err != nil {
			t.Fatal(err)
		}
		cancel()
	}
	eventually(t, "all are closed", func() bool { return descriptors(t) <= before })
}

func descriptors(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}
