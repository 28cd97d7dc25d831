package process_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hodei-jobs/hodei/agentproto/agent/cgroup"
	"github.com/hodei-jobs/hodei/agentproto/agent/process"
	"github.com/hodei-jobs/hodei/agentproto/agent/process/processtest"
	"github.com/hodei-jobs/hodei/agentproto/agent/procfs"
)

// patience is how long a test waits for what should come at once.
const patience = 20 * time.Second

// The test binary also plays the programs that need a process of their own.
const stageVariable = "TEST_STAGE"

var stages = map[string]func(){
	"guard":   guardStage,
	"guarded": guardedStage,
	"oom":     oomStage,

	"headless": headlessStage,
}

// init keeps the main function on the first thread, for the stage that ends it.
func init() { runtime.LockOSThread() }

func TestMain(m *testing.M) {
	if stage := stages[os.Getenv(stageVariable)]; stage != nil {
		stage()
		return
	}
	runtime.UnlockOSThread()
	os.Exit(m.Run())
}

var host = sync.OnceValue(func() *process.Host { return newHost(nil) })

func newHost(oom func() (uint64, bool)) *process.Host {
	h, err := process.NewHost(oom)
	if err != nil {
		panic(err)
	}
	return h
}

// sh is a script in a terminal.
func sh(script string) process.Spec {
	return process.Spec{
		Argv: []string{"/bin/sh", "-c", script},
		Dir:  "/",
		Env:  []string{"PATH=" + os.Getenv("PATH"), "HOME=/root", "TERM=xterm-256color", "PAGER=cat", "GIT_PAGER=cat"},
		TTY:  true,
	}
}

// run is a process from start to end, with what it wrote.
func run(t *testing.T, spec process.Spec) (string, process.Exit) {
	t.Helper()
	var out bytes.Buffer
	spec.Stdout = &out
	p := start(t, spec)
	exit := p.Wait()
	return out.String(), exit
}

func start(t *testing.T, spec process.Spec) *process.Process {
	t.Helper()
	p, err := host().Start(spec)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// lines collects output and tells when a line has come.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func newLines() *lines { return &lines{more: make(chan struct{}, 1)} }

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.more <- struct{}{}:
	default:
	}
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// await waits until the output contains something.
func (l *lines) await(t *testing.T, wanted string) {
	t.Helper()
	deadline := time.After(patience)
	for !strings.Contains(l.String(), wanted) {
		select {
		case <-l.more:
		case <-deadline:
			t.Fatalf("no %q in %q", wanted, l.String())
		}
	}
}

// sleeper gives a duration that no other process sleeps, and a count of those
// that do. What a test leaves of them is killed.
func sleeper(t *testing.T) (seconds string, alive func() int) {
	t.Helper()
	sleepers.Lock()
	defer sleepers.Unlock()
	sleepers.n++
	seconds = fmt.Sprintf("%d.%d", 10000+os.Getpid(), sleepers.n)
	t.Cleanup(func() {
		for _, pid := range sleeping(seconds) {
			unix.Kill(pid, unix.SIGKILL)
		}
	})
	return seconds, func() int { return len(sleeping(seconds)) }
}

var sleepers struct {
	sync.Mutex
	n int
}

func sleeping(seconds string) (found []int) {
	pids, _ := procfs.Pids()
	for _, pid := range pids {
		line, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		if err == nil && string(line) == "sleep\x00"+seconds+"\x00" {
			found = append(found, pid)
		}
	}
	return found
}

// eventually waits for a condition.
func eventually(t *testing.T, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	processtest.Eventually(t, limit, what, holds)
}

// stage starts this binary as one of the stages.
func stage(t *testing.T, name string, env ...string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), append(env, stageVariable+"="+name)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd, bufio.NewScanner(out)
}

func guardStage() {
	os.Setenv(stageVariable, "guarded")
	status, err := process.Guard(process.Guarded{Argv: os.Args, Env: os.Environ()})
	if err != nil {
		panic(err)
	}
	os.Exit(status)
}

// guardedStage starts what the test says, tells its pid, and waits.
func guardedStage() {
	h := newHost(nil)
	started := newLines()
	spec := sh(os.Getenv("TEST_SCRIPT"))
	spec.Stdout = started
	p, err := h.Start(spec)
	if err != nil {
		panic(err)
	}
	for !strings.Contains(started.String(), "ready") {
		<-started.more
	}
	session, _ := unix.Getsid(0)
	fmt.Printf("%d %t\n", os.Getpid(), session == os.Getpid())
	p.Wait()
}

// headlessStage ends its first thread, and goes on in others. It says so.
func headlessStage() {
	go func() {
		for {
			stat, err := procfs.ReadStat(os.Getpid())
			if err == nil && stat.State == 'Z' {
				break
			}
			<-time.After(time.Millisecond)
		}
		fmt.Printf("headless %d\n", os.Getpid())
		if until := os.Getenv("TEST_UNTIL"); until != "" {
			for {
				if _, err := os.Stat(until); err == nil {
					os.Exit(7)
				}
				<-time.After(time.Millisecond)
			}
		}
		select {}
	}()
	unix.Syscall(unix.SYS_EXIT, 0, 0, 0)
}

// oomStage runs a job in a control group that has little memory.
func oomStage() {
	if err := os.WriteFile(os.Getenv("TEST_GROUP")+"/cgroup.procs", []byte(strconv.Itoa(os.Getpid())), 0); err != nil {
		panic(err)
	}
	p, err := newHost(cgroup.Self().OOMKills).Start(sh(os.Getenv("TEST_SCRIPT")))
	if err != nil {
		panic(err)
	}
	json.NewEncoder(os.Stdout).Encode(p.Wait())
}
