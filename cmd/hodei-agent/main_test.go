package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/agent/process/processtest"
	"github.com/hodei-jobs/hodei/agentproto/build"
)

const (
	// What the agent is promised to be.
	maxBinary     = 10_000_000
	maxCompressed = 5_000_000
	maxIdle       = 15 << 20 // proportional memory of guard and agent together

	patience = 20 * time.Second
)

// binary is the agent, built as it is released.
var binary = sync.OnceValues(func() (path string, err error) {
	folder, err := os.MkdirTemp("", "hodei-agent-")
	if err != nil {
		return "", err
	}
	built = folder
	path = filepath.Join(folder, "hodei-agent")
	cmd := exec.Command("go", "build", "-trimpath", "-tags", "grpcnotrace", "-ldflags", "-s -w", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

var built string // removed at the end

func TestMain(m *testing.M) {
	status := m.Run()
	if built != "" {
		os.RemoveAll(built)
	}
	os.Exit(status)
}

// command is the agent with nothing in its environment but what is given.
func command(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	if testing.Short() {
		t.Skip("builds the agent")
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append([]string{"HOME=" + t.TempDir(), "PATH=/usr/bin:/bin"}, env...)
	return cmd
}

func TestTheBinaryIsSmall(t *testing.T) {
	cmd := command(t, nil)
	data, err := os.ReadFile(cmd.Path)
	if err != nil {
		t.Fatal(err)
	}
	var compressed bytes.Buffer
	w := gzip.NewWriter(&compressed)
	w.Write(data)
	w.Close()
	t.Logf("%d bytes, %d compressed", len(data), compressed.Len())
	if len(data) > maxBinary || compressed.Len() > maxCompressed {
		t.Errorf("%d bytes, %d compressed; at most %d and %d", len(data), compressed.Len(), maxBinary, maxCompressed)
	}
}

func TestExitStatus(t *testing.T) {
	for _, row := range []struct {
		name   string
		env    []string
		args   []string
		status int
		says   string
	}{
		{"its version", nil, []string{"--version"}, exitDone, "hodei-agent "},
		{"its version in short", nil, []string{"-v"}, exitDone, "hodei-agent " + build.Version()},
		{"help", nil, []string{"--help"}, exitDone, "HODEI_WORKER_TOKEN_FILE"},
		{"no server", nil, nil, exitUsage, "HODEI_SERVER_URL is not set"},
		{"a server that isn't one", []string{"HODEI_SERVER_URL=http://x"}, nil, exitUsage, "must look like grpcs://host:port"},
		{"no token", []string{"HODEI_SERVER_URL=grpcs://127.0.0.1:1"}, nil, exitUsage, "not registered yet, so it needs a worker token"},
		{"a token that isn't one", []string{"HODEI_SERVER_URL=grpcs://127.0.0.1:1", "HODEI_WORKER_TOKEN=SECRET"}, nil, exitUsage, "not a JWT"},
		{"a token file that isn't there", []string{"HODEI_SERVER_URL=grpcs://127.0.0.1:1", "HODEI_WORKER_TOKEN_FILE=/nowhere"}, nil, exitUsage, "cannot read the worker token"},
	} {
		t.Run(row.name, func(t *testing.T) {
			args := row.args
			if args == nil {
				args = []string{"--state-dir", t.TempDir()}
			}
			cmd := command(t, row.env, args...)
			out, _ := cmd.CombinedOutput()
			if status := cmd.ProcessState.ExitCode(); status != row.status || !strings.Contains(string(out), row.says) || strings.Contains(string(out), "SECRET") {
				t.Errorf("status %d, want %d: %s", status, row.status, out)
			}
		})
	}
}

func TestAnIdleAgentIsLightAndHidesItsToken(t *testing.T) {
	token := "e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"pin":"`+strings.Repeat("ab", 32)+`"}`)) + ".SECRET"
	state := t.TempDir()
	cmd := command(t, []string{"HODEI_SERVER_URL=grpcs://127.0.0.1:1", "HODEI_WORKER_TOKEN=" + token, "AFTER=kept"}, "--state-dir", state)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	guard := cmd.Process.Pid
	agent := 0
	eventually(t, "the agent runs", func() bool {
		lock, _ := os.ReadFile(filepath.Join(state, "lock"))
		_, err := fmt.Sscan(string(lock), &agent)
		return err == nil
	})
	for name, pid := range map[string]int{"guard": guard, "agent": agent} {
		environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil || bytes.Contains(environ, []byte("SECRET")) || !bytes.Contains(environ, []byte("AFTER=kept")) {
			t.Errorf("environment of the %s: %v, %q", name, err, environ)
		}
	}
	for pid, want := range map[int]string{guard: title + "\x00--state-dir\x00" + state + "\x00", agent: cmd.Path + "\x00--state-dir\x00" + state + "\x00"} {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil || strings.TrimRight(string(line), "\x00") != strings.TrimRight(want, "\x00") {
			t.Errorf("process %d is called %q, want %q (%v)", pid, line, want, err)
		}
	}
	if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", guard)); err != nil || string(comm) != shortTitle+"\n" {
		t.Errorf("in short the guard is called %q, %v", comm, err)
	}
	if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", agent)); err != nil || string(comm) != "hodei-agent\n" {
		t.Errorf("in short the agent is called %q, %v", comm, err)
	}
	if pss := memoryOf(t, guard) + memoryOf(t, agent); pss > maxIdle {
		t.Errorf("guard and agent need %d kB, at most %d", pss>>10, maxIdle>>10)
	} else {
		t.Logf("guard and agent need %d kB", pss>>10)
	}
	if owner := ownerOf(t, fmt.Sprintf("/proc/%d/environ", agent)); owner != 0 {
		t.Errorf("the agent's memory is open to its user %d", owner)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(patience):
		t.Fatal("TERM does not end it")
	}
}

func TestTheTitleIsNotLongerThanWhatItReplaces(t *testing.T) {
	for _, row := range []struct{ before, want string }{
		{"/opt/bin/hodei-agent\x00--name\x00n\x00", "hodei-agent guard\x00--name\x00n\x00\x00\x00\x00"},
		{"/bin/hodei-agent1\x00", "hodei-agent guard\x00"},
		{"./hodei-agent\x00--state-dir\x00/a/long/folder\x00", ""},
		{"", ""},
	} {
		if got, ok := entitled([]byte(row.before)); string(got) != row.want || ok != (row.want != "") {
			t.Errorf("%q became %q, %v; want %q", row.before, got, ok, row.want)
		}
	}
}

func memoryOf(t *testing.T, pid int) (bytes int) {
	t.Helper()
	smaps, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, pss, _ := strings.Cut(string(smaps), "\nPss:")
	if _, err := fmt.Sscan(pss, &bytes); err != nil {
		t.Fatal(err)
	}
	return bytes << 10
}

func ownerOf(t *testing.T, path string) uint32 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Uid
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	processtest.Eventually(t, patience, what, holds)
}

func TestHelpFitsATerminal(t *testing.T) {
	for line := range strings.Lines(usage) {
		if len(strings.TrimRight(line, "\n")) > 80 {
			t.Errorf("wider than 80 columns: %s", line)
		}
	}
}

func TestOptions(t *testing.T) {
	server := func(name string) string {
		return map[string]string{"HODEI_SERVER_URL": "grpcs://h:1", "HOME": "/home/a"}[name]
	}
	o, err := parse([]string{"--state-dir", "state", "--name", "n", "--label", "gpu=true", "--label", "zone=", "--cpu", "1.5", "--memory", "512Mi"}, server)
	if err != nil {
		t.Fatal(err)
	}
	if o.server != "grpcs://h:1" || !filepath.IsAbs(o.stateDir) || o.facts.Name != "n" || o.facts.CPUMilli != 1500 || o.facts.Memory != 512<<20 ||
		len(o.facts.Labels) != 2 || o.facts.Labels["gpu"] != "true" {
		t.Errorf("got %+v", o)
	}
	for _, row := range []struct{ args, want string }{
		{"--nope", "flag provided but not defined"},
		{"job", `unexpected argument "job"`},
		{"--label gpu", "a label looks like key=value"},
		{"--cpu many", "a number of CPUs looks like"},
		{"--cpu -1", "a number of CPUs looks like"},
		{"--cpu 0", "a number of CPUs looks like"},
		{"--cpu NaN", "a number of CPUs looks like"},
		{"--memory 5X", "an amount of memory looks like"},
		{"--memory 99999999Ti", "an amount of memory looks like"},
		{"--memory 0", "an amount of memory looks like"},
	} {
		if _, err := parse(strings.Fields(row.args), server); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got %v, want %s", row.args, err, row.want)
		}
	}
}

func TestAmounts(t *testing.T) {
	for text, want := range map[string]uint64{"2": 2000, "0.5": 500, "250m": 250} {
		if got, err := parseCPU(text); got != want || err != nil {
			t.Errorf("%s is %d, %v", text, got, err)
		}
	}
	for text, want := range map[string]uint64{"7": 7, "2k": 2000, "2Ki": 2048, "3G": 3e9, "1Ti": 1 << 40} {
		if got, err := parseBytes(text); got != want || err != nil {
			t.Errorf("%s is %d, %v", text, got, err)
		}
	}
}
