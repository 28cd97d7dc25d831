package process_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hodei-jobs/hodei/agentproto/agent/process"
	"github.com/hodei-jobs/hodei/agentproto/agent/procfs"
)

// guarded starts a guard with a program under it that runs a job with sleepers.
func guarded(t *testing.T) (guard *os.Process, pid int, wait func() error, alive func() int) {
	t.Helper()
	seconds, alive := sleeper(t)
	script := strings.ReplaceAll("setsid SLEEP & (trap '' TERM; SLEEP) & env -i setsid SLEEP & echo ready; SLEEP", "SLEEP", "sleep "+seconds)
	cmd, out := stage(t, "guard", "TEST_SCRIPT="+script)
	if !out.Scan() {
		t.Fatal("the guarded program said nothing")
	}
	var leads bool
	if _, err := fmt.Sscan(out.Text(), &pid, &leads); err != nil || !leads {
		t.Fatalf("it must lead a session: %q, %v", out.Text(), err)
	}
	eventually(t, patience, "the job runs", func() bool { return alive() == 4 })
	return cmd.Process, pid, cmd.Wait, alive
}

func TestWhenTheAgentIsKilledTheGuardKillsItsJobsWithinASecond(t *testing.T) {
	_, pid, wait, alive := guarded(t)
	begin := time.Now()
	unix.Kill(pid, unix.SIGKILL)
	eventually(t, time.Second, "all are gone", func() bool { return alive() == 0 })
	t.Logf("gone after %s", time.Since(begin))
	err := wait()
	if want := fmt.Sprintf("exit status %d", process.ExitOfSignal+9); err == nil || err.Error() != want {
		t.Errorf("the guard ended with %v, want %s", err, want)
	}
}

func TestTheGuardPassesSignalsOn(t *testing.T) {
	guard, _, wait, alive := guarded(t)
	guard.Signal(unix.SIGTERM)
	if err := wait(); err == nil {
		t.Error("the guard ended well, though a signal ended the program")
	}
	if n := alive(); n != 0 {
		t.Errorf("%d live on", n)
	}
}

func TestAsTheFirstProcessOfAContainerTheGuardReapsOrphans(t *testing.T) {
	cmd := exec.Command("unshare", "--pid", "--fork", "--mount-proc", os.Args[0])
	cmd.Env = append(os.Environ(), stageVariable+"=guard", "TEST_SCRIPT=echo ready; exec sleep 1000")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	err = cmd.Start()
	if err == nil && !bufio.NewScanner(out).Scan() {
		err = cmd.Wait()
	}
	if err != nil {
		if os.Getenv("HODEI_REQUIRE_ALL") == "" {
			t.Skipf("no container can be made with unshare, of util-linux, which needs root: %v %s", err, &said)
		}
		t.Fatalf("the guarded program said nothing: %v %s", err, &said)
	}
	children, err := procfs.Children(cmd.Process.Pid)
	if err != nil || len(children) != 1 {
		t.Fatalf("children %v, %v", children, err)
	}
	guard := children[0]
	enter := exec.Command("nsenter", "--target", strconv.Itoa(guard), "--pid", "--mount", "sh", "-c", "sleep 0.02 & exit 0")
	if err := enter.Run(); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "only the program is left", func() bool {
		children, err := procfs.Children(guard)
		return err == nil && len(children) == 1
	})
	unix.Kill(guard, unix.SIGTERM)
	if err := cmd.Wait(); err == nil || err.Error() != fmt.Sprintf("exit status %d", process.ExitOfSignal+15) {
		t.Errorf("ended with %v", err)
	}
}

func TestWhenTheGuardIsKilledTheProgramIsAskedToEnd(t *testing.T) {
	guard, pid, wait, _ := guarded(t)
	guard.Kill()
	wait()
	eventually(t, patience, "the program has ended", func() bool { return ended(pid) })
}

// ended says whether a process is gone, or nobody has reaped it yet: this test may
// have become its parent.
func ended(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || bytes.Contains(stat, []byte(") Z "))
}

func TestOutOfMemoryIsNamed(t *testing.T) {
	const top = "/sys/fs/cgroup/memory"
	group := filepath.Join(top, "hodei-test-"+strconv.Itoa(os.Getpid()))
	if err := os.Mkdir(group, 0o700); err != nil {
		if os.Getenv("HODEI_REQUIRE_ALL") == "" {
			t.Skipf("no memory controller of control groups, version 1, that root may use: %v", err)
		}
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, script, want string
	}{
		{"the main process", "exec dd if=/dev/zero of=/dev/null bs=200M count=1", "out of memory"},
		{"a child, whose shell lives", "dd if=/dev/zero of=/dev/null bs=200M count=1; exit $?", "out of memory"},
		{"somebody else's KILL is not", "kill -KILL $$", "not"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if err := os.WriteFile(group+"/memory.limit_in_bytes", []byte("100M"), 0); err != nil {
				t.Fatal(err)
			}
			cmd, out := stage(t, "oom", "TEST_SCRIPT="+row.script, "TEST_GROUP="+group)
			var exit process.Exit
			if !out.Scan() || json.Unmarshal(out.Bytes(), &exit) != nil {
				t.Fatalf("no answer: %q", out.Text())
			}
			cmd.Wait()
			if exit.OutOfMemory != (row.want == "out of memory") {
				t.Errorf("want %s, got %+v", row.want, exit)
			}
		})
	}
	eventually(t, patience, "the group is empty", func() bool { return os.Remove(group) == nil })
}
