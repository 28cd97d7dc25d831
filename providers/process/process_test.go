package process_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/agent/process/processtest"
	"github.com/hodei-jobs/hodei/providers"
	"github.com/hodei-jobs/hodei/providers/process"
)

const patience = 20 * time.Second

// agentDir holds an agent built from this source.
var agentDir = sync.OnceValue(func() string {
	dir, err := os.MkdirTemp("", "hodei-agent-test-")
	if err != nil {
		panic(err)
	}
	built = dir
	cmd := exec.Command("go", "build", "-tags", "grpcnotrace", "-o", filepath.Join(dir, "hodei-agent"), "../../cmd/hodei-agent")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		panic(fmt.Sprintf("%v\n%s", err, out))
	}
	return dir
})

var built string // removed at the end

func TestMain(m *testing.M) {
	if data := os.Getenv(launchVariable); data != "" {
		agents := os.Getenv(agentsVariable)
		p := process.New(process.Config{Dir: filepath.Join(data, "agents"), Binary: process.Binary{AgentDir: agents, BinDir: data + "/bin"}.Find})
		_, err := p.Launch(context.Background(), launch("w1"))
		fmt.Println(err)
		return
	}
	status := m.Run()
	if built != "" {
		os.RemoveAll(built)
	}
	os.Exit(status)
}

// newProvider is a server's; two with the same folder are one before and one
// after a restart.
func newProvider(t *testing.T, data string) *process.Provider {
	t.Helper()
	p := process.New(process.Config{
		Dir:    filepath.Join(data, "agents"),
		Binary: process.Binary{AgentDir: agentDir(), BinDir: filepath.Join(data, "bin"), Progress: io.Discard}.Find,
	})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		running, _ := p.Running(ctx)
		for _, instance := range running {
			p.Stop(ctx, instance.Handle)
		}
	})
	return p
}

// launch names a worker for a server that nobody runs; its agent tries and tries.
func launch(worker string) providers.Launch {
	claims := `{"pin":"` + strings.Repeat("ab", 32) + `"}`
	return providers.Launch{
		Worker:    worker,
		Name:      "test-" + worker,
		ServerURL: "grpcs://127.0.0.1:1",
		Token:     "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".SECRET",
		Labels:    map[string]string{"gpu": "true"},
	}
}

func mustLaunch(t *testing.T, p *process.Provider, worker string) string {
	t.Helper()
	handle, err := p.Launch(t.Context(), launch(worker))
	if err != nil {
		t.Fatal(err)
	}
	return handle
}

// pidOf reads which process an agent is.
func pidOf(t *testing.T, data, worker string) (pid int) {
	t.Helper()
	record, err := os.ReadFile(filepath.Join(data, "agents", worker, "agent.json"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(string(record), `{"pid":%d,`, &pid); err != nil {
		t.Fatalf("%s: %v", record, err)
	}
	return pid
}

func running(t *testing.T, p *process.Provider) []providers.Instance {
	t.Helper()
	found, err := p.Running(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestAnAgentIsFoundAgainAfterTheServerRestarts(t *testing.T) {
	data := t.TempDir()
	handle := mustLaunch(t, newProvider(t, data), "w1")
	pid := pidOf(t, data, "w1")

	after := newProvider(t, data)
	if found := running(t, after); len(found) != 1 || found[0] != (providers.Instance{Worker: "w1", Handle: handle}) {
		t.Fatalf("found %v", found)
	}
	if again := mustLaunch(t, after, "w1"); again != handle || pidOf(t, data, "w1") != pid {
		t.Errorf("a second agent was started: %s beside %s", again, handle)
	}
	ended, err := after.Ended(t.Context(), handle)
	if err != nil {
		t.Fatal(err)
	}
	if err := after.Stop(t.Context(), handle); err != nil {
		t.Fatal(err)
	}
	<-ended
	if found := running(t, after); len(found) != 0 {
		t.Errorf("still there after Stop: %v", found)
	}
	if err := after.Stop(t.Context(), handle); err != nil {
		t.Errorf("stopping it again: %v", err)
	}
}

func TestAnAgentThatDiedIsNotRunning(t *testing.T) {
	data := t.TempDir()
	p := newProvider(t, data)
	handle := mustLaunch(t, p, "w1")
	pid := pidOf(t, data, "w1")
	ended, err := p.Ended(t.Context(), handle)
	if err != nil {
		t.Fatal(err)
	}
	syscall.Kill(pid, syscall.SIGTERM)
	<-ended
	if found := running(t, p); len(found) != 0 {
		t.Errorf("found %v", found)
	}
	mustLaunch(t, p, "w1")
	if pidOf(t, data, "w1") == pid {
		t.Error("the dead agent was taken for a living one")
	}
}

func TestAPidThatWasGivenToAnotherIsNoAgent(t *testing.T) {
	data := t.TempDir()
	p := newProvider(t, data)
	mustLaunch(t, p, "w1")
	record := filepath.Join(data, "agents", "w1", "agent.json")
	was, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	// Of this test's own process, with another's start, as older servers wrote it.
	before, _, _ := strings.Cut(string(was), `,"crc32c"`)
	forged := strings.Replace(before+"}", fmt.Sprintf(`"pid":%d`, pidOf(t, data, "w1")), fmt.Sprintf(`"pid":%d`, os.Getpid()), 1)
	if err := os.WriteFile(record, []byte(forged), 0o600); err != nil {
		t.Fatal(err)
	}
	if found := running(t, p); len(found) != 0 {
		t.Errorf("took this test for an agent: %v", found)
	}
	if err := os.WriteFile(record, was, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAnAgentThatHangsIsEndedByForce(t *testing.T) {
	data := t.TempDir()
	p := newProvider(t, data)
	handle := mustLaunch(t, p, "w1")
	pid := pidOf(t, data, "w1")
	agent := agentUnder(t, pid)
	syscall.Kill(agent, syscall.SIGSTOP)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := p.Stop(ctx, handle); err != nil {
		t.Error(err)
	}
	for _, pid := range []int{pid, agent} {
		if syscall.Kill(pid, 0) == nil && !zombie(pid) {
			t.Errorf("process %d lives on", pid)
		}
	}
}

// agentUnder waits for the agent that a guard starts.
func agentUnder(t *testing.T, guard int) (agent int) {
	t.Helper()
	eventually(t, "guard and agent run", func() bool {
		lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", guard))
		for _, list := range lists {
			children, _ := os.ReadFile(list)
			if _, err := fmt.Sscan(string(children), &agent); err == nil {
				return true
			}
		}
		return false
	})
	return agent
}

func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || bytes.Contains(stat, []byte(") Z "))
}

func TestASecondAgentOfOneStateFolderEnds(t *testing.T) {
	data := t.TempDir()
	p := newProvider(t, data)
	mustLaunch(t, p, "w1")
	state := filepath.Join(data, "agents", "w1", "state")
	eventually(t, "the first has the lock", func() bool {
		_, err := os.Stat(filepath.Join(state, "key"))
		return err == nil
	})
	cmd := exec.Command(filepath.Join(agentDir(), "hodei-agent"), "--state-dir", state)
	cmd.Env = []string{"HODEI_SERVER_URL=grpcs://127.0.0.1:1", "HODEI_WORKER_TOKEN=" + launch("w1").Token}
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 5 || !bytes.Contains(out, []byte("another agent uses this state folder")) {
		t.Errorf("%v: %s", err, out)
	}
}

func TestTheTokenAndTheServersSecretsAreNowhereToBeSeen(t *testing.T) {
	data := t.TempDir()
	t.Setenv("DATABASE_PASSWORD", "SECRET")
	mustLaunch(t, newProvider(t, data), "w1")
	guard := pidOf(t, data, "w1")
	for _, process := range []int{guard, agentUnder(t, guard)} {
		for _, file := range []string{"environ", "cmdline"} {
			content, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", process, file))
			if err != nil || bytes.Contains(content, []byte("SECRET")) {
				t.Errorf("%s of %d: %v, %q", file, process, err, content)
			}
		}
	}
}

func TestLaunchSaysWhyNot(t *testing.T) {
	for _, row := range []struct {
		name, agents, worker, want string
	}{
		{"a folder without agents", "/etc", "w1", "no hodei-agent-"},
		{"a worker id that is a path", "/etc", "../w1", `"../w1"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			data := t.TempDir()
			p := process.New(process.Config{Dir: data, Binary: process.Binary{AgentDir: row.agents, BinDir: data}.Find})
			_, err := p.Launch(t.Context(), launch(row.worker))
			if err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "SECRET") {
				t.Errorf("got %v, want %s", err, row.want)
			}
		})
	}
}

func TestInASourceCheckoutTheAgentIsBuilt(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the agent once more")
	}
	progress := &bytes.Buffer{}
	path, err := process.Binary{BinDir: t.TempDir(), Progress: progress}.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(path, "--version").Output(); err != nil || !bytes.HasPrefix(out, []byte("hodei-agent ")) {
		t.Errorf("%v: %s", err, out)
	}
	if !strings.HasPrefix(progress.String(), "building hodei-agent from source") {
		t.Errorf("said %q", progress)
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	processtest.Eventually(t, patience, what, holds)
}

// Whichever bit of an agent's record a disk flips, the agent is found, or the
// damage is named with what to do; a second agent is never started.
func TestAFlippedBitOfARecordIsFoundOrHarmless(t *testing.T) {
	data := t.TempDir()
	p := newProvider(t, data)
	handle := mustLaunch(t, p, "w1")
	path := filepath.Join(data, "agents", "w1", "agent.json")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for bit := range 8 * len(whole) {
		flipped := bytes.Clone(whole)
		flipped[bit/8] ^= 1 << (bit % 8)
		if err := os.WriteFile(path, flipped, 0o600); err != nil {
			t.Fatal(err)
		}
		switch got, err := p.Launch(t.Context(), launch("w1")); {
		case err != nil && (!strings.Contains(err.Error(), path+" is damaged") || !strings.Contains(err.Error(), "end the process with --state-dir "+data)):
			t.Errorf("bit %d: %v", bit, err)
		case err != nil:
			named++
			if _, err := p.Running(t.Context()); err == nil {
				t.Errorf("bit %d: Running says nothing", bit)
			}
			if err := p.Stop(t.Context(), handle); err == nil {
				t.Errorf("bit %d: Stop says nothing", bit)
			}
			if _, err := p.Ended(t.Context(), handle); err == nil {
				t.Errorf("bit %d: Ended says nothing", bit)
			}
		case got != handle:
			t.Errorf("bit %d: another handle, %q", bit, got)
		}
		if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, flipped) {
			t.Fatalf("bit %d: a second agent was started: %s, %v", bit, now, err)
		}
	}
	t.Logf("%d of %d named", named, 8*len(whole))
	if err := os.WriteFile(path, whole, 0o600); err != nil { // for the end
		t.Fatal(err)
	}
}
