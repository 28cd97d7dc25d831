package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/api/wire"
)

// awayFor is how long a killed server stays away.
func awayFor(t *testing.T) time.Duration {
	t.Helper()
	if os.Getenv("HODEI_LONG") != "" {
		return 5 * time.Minute
	}
	return 5 * time.Second
}

// wait lets real time pass: what is tested is what happens meanwhile.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

const numberedLines = 100_000

// numbered prints its pid, then so many numbered lines within about ten seconds.
const numbered = `echo "pid $$"; i=0; while [ $i -lt 100 ]; do seq $((i*1000+1)) $((i*1000+1000)); i=$((i+1)); sleep 0.1; done; echo "pid $$"`

// checkNumbered checks that text is what numbered prints, once and in order.
func checkNumbered(t *testing.T, text []byte) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(lines) != numberedLines+2 {
		t.Fatalf("%d lines, want %d", len(lines), numberedLines+2)
	}
	if lines[0] != lines[len(lines)-1] || !strings.HasPrefix(lines[0], "pid ") {
		t.Errorf("began as %q, ended as %q: not the same process", lines[0], lines[len(lines)-1])
	}
	for i, l := range lines[1 : len(lines)-1] {
		if l != strconv.Itoa(i+1) {
			t.Fatalf("line %d is %q", i+1, l)
		}
	}
}

// kill -9 of the server while a job prints: the job goes on, its follower
// reconnects, and neither the follower nor the stored log misses a line or has
// one twice.
func TestServerKilledWhileAJobPrints(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	var out, errs bytes.Buffer
	cmd := c.cli("run", "--name", "numbered", "--", "sh", "-c", numbered)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var job wire.Job
	eventually(t, commandLimit, func() error {
		page, err := c.client().Jobs(t.Context(), jobsQuery("running"))
		if err != nil {
			return err
		}
		if len(page.Items) != 1 {
			return fmt.Errorf("%d jobs run", len(page.Items))
		}
		job = page.Items[0]
		return nil
	})
	wait(t, 2*time.Second)
	c.kill()
	wait(t, awayFor(t))
	c.start()
	if err := cmd.Wait(); err != nil {
		t.Fatalf("run: %v\n%s", err, errs.String())
	}
	checkNumbered(t, out.Bytes())
	stored, stderr, code := c.hodei("logs", job.ID)
	if code != 0 {
		t.Fatal(stderr)
	}
	checkNumbered(t, []byte(stored))
}

// kill -9 of the server with jobs queued and running: after the restart every
// acknowledged job is there, and each runs exactly once.
func TestServerKilledWithAQueue(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	const n, long = 1000, 4 // jobs, and those of them that run while the server dies
	marks := t.TempDir()
	ids := map[string]bool{}
	submit := func(count int, script string) {
		t.Helper()
		batch, err := c.client().SubmitBatch(t.Context(), specs(count, fmt.Sprintf(`echo x >> %s/$HODEI_JOB_ID; %s`, marks, script)))
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range batch.Items {
			if item.Problem != nil {
				t.Fatal(item.Problem)
			}
			ids[item.Job.ID] = true
		}
	}
	submit(long, `while [ ! -e `+marks+`.go ]; do sleep 0.1; done`)
	eventually(t, commandLimit, func() error {
		files, err := os.ReadDir(marks)
		if err == nil && len(files) != long {
			err = fmt.Errorf("%d of %d run", len(files), long)
		}
		return err
	})
	for range (n - long) / 83 {
		submit(83, "sleep 0.05")
	}
	c.kill()
	c.start()
	if err := os.WriteFile(marks+".go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, 120*time.Second, func() error {
		page, err := c.client().Jobs(t.Context(), jobsQuery("succeeded"))
		if err == nil && len(page.Items) != n {
			err = fmt.Errorf("%d of %d succeeded", len(page.Items), n)
		}
		return err
	})
	for id := range ids {
		b, err := os.ReadFile(filepath.Join(marks, id))
		if err != nil || string(b) != "x\n" {
			t.Errorf("job %s: %v, ran %d times", id, err, bytes.Count(b, []byte("x")))
		}
	}
	if files, err := os.ReadDir(marks); err != nil || len(files) != n {
		t.Errorf("%d jobs ran, %v", len(files), err)
	}
}

// kill -9 of the agent: its processes are gone within a second, the job is lost
// with its reason, and a new agent takes the next job.
func TestAgentKilled(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	dir := t.TempDir()
	out, stderr, code := c.hodei("run", "--detach", "--", "sh", "-c", `setsid sleep 300 & echo $! $$ > `+dir+`/pids; sleep 300`)
	if code != 0 {
		t.Fatal(stderr)
	}
	id := strings.TrimSpace(out)
	var pids []int
	eventually(t, commandLimit, func() error {
		b, err := os.ReadFile(dir + "/pids")
		if err == nil && len(b) == 0 {
			err = fmt.Errorf("no pid yet")
		}
		if err == nil {
			pids = pidsIn(t, string(b))
		}
		return err
	})
	agent := agentOf(t, pids[1])
	if err := syscall.Kill(agent, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Second, func() error {
		if left := alive(pids); left != nil {
			return fmt.Errorf("still alive: %v", left)
		}
		return nil
	})
	eventually(t, commandLimit, func() error {
		j, err := c.client().Job(t.Context(), id)
		if err == nil && (j.State != "lost" || j.Reason != "lost") {
			err = fmt.Errorf("job %s is %s: %s", id, j.State, j.Summary)
		}
		return err
	})
	if _, stderr, code := c.hodei("run", "--", "true"); code != 0 {
		t.Errorf("the next job: exit code %d: %s", code, stderr)
	}
}

// kill -9 of an agent together with its guard: nobody is left to end its job, so
// the next agent does.
func TestAgentAndGuardKilled(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	dir := t.TempDir()
	if _, stderr, code := c.hodei("run", "--detach", "--", "sh", "-c", `setsid sleep 300 & echo $! $$ > `+dir+`/tmp; mv `+dir+`/tmp `+dir+`/pids; sleep 300`); code != 0 {
		t.Fatal(stderr)
	}
	var pids []int
	eventually(t, commandLimit, func() error {
		b, err := os.ReadFile(dir + "/pids")
		if err == nil {
			pids = pidsIn(t, string(b))
		}
		return err
	})
	both := c.agents()
	for _, pid := range both { // stopped first, so that neither sees the other die
		_ = syscall.Kill(pid, syscall.SIGSTOP)
	}
	for _, pid := range both {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	if alive(pids) == nil {
		t.Fatal("the job's processes ended by themselves")
	}
	eventually(t, commandLimit, func() error {
		if left := alive(pids); left != nil {
			return fmt.Errorf("still alive: %v", left)
		}
		return nil
	})
	if _, stderr, code := c.hodei("run", "--", "true"); code != 0 {
		t.Errorf("the next job: exit code %d: %s", code, stderr)
	}
}

// agentOf returns the agent above a job's process.
func agentOf(t *testing.T, pid int) int {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		t.Fatal(err)
	}
	return parent
}
