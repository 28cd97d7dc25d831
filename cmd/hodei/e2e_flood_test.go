package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// peak is the most memory a process had in RAM, in MB.
func peak(t *testing.T, pid int) float64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	kb, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return float64(kb) / 1024
}

// Floods of every kind take neither the agent's memory nor the server's, and the
// lines of another job come through meanwhile.
func TestFloods(t *testing.T) {
	if testing.Short() {
		t.Skip("it floods for some seconds")
	}
	binaries(t)
	c := startCluster(t)
	begin := time.Now()
	quiet := c.cli("run", "-q", "--cpu", "50m", "--name", "quiet", "--", "sh", "-c", "for i in $(seq 80); do date +%s%N; sleep 0.1; done")
	lines := &stamped{}
	quiet.Stdout = lines
	if err := quiet.Start(); err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		script string
		bytes  int
	}{
		"yes":               {"timeout 5 yes; true", -1},
		"a line of 100 MB":  {"head -c 104857600 /dev/zero | tr '\\0' x", 100 << 20},
		"1,000,000 returns": {`head -c 1000000 /dev/zero | tr '\0' '\r'`, 1_000_000},
	} {
		job, stderr, code := c.hodei("run", "--detach", "--cpu", "50m", "--", "sh", "-c", row.script)
		if code != 0 {
			t.Fatal(stderr)
		}
		job = strings.TrimSpace(job)
		if _, stderr, code := c.hodei("job", "wait", job); code != 0 {
			t.Errorf("%s: exit code %d, %s", name, code, stderr)
		}
		var out counting
		if code := c.hodeiTo(&out, os.Stderr, "logs", job); code != 0 || row.bytes >= 0 && int(out) != row.bytes {
			t.Errorf("%s: %d bytes of %d are stored, exit code %d", name, out, row.bytes, code)
		}
	}
	_ = quiet.Wait()
	if len(lines.late) < 80 {
		t.Errorf("%d lines of the quiet job came", len(lines.late))
	}
	for _, late := range lines.late {
		if late > 10*time.Second { // a machine may be loaded; what is usual is measured by hodei bench
			t.Errorf("a line of the quiet job came after %s", late)
		}
	}
	t.Logf("after %s: server %.0f MB", time.Since(begin).Round(time.Second), peak(t, c.cmd.Process.Pid))
	if mb := peak(t, c.cmd.Process.Pid); mb > 300 {
		t.Errorf("the server had %.0f MB", mb)
	}
	for _, pid := range c.agents() {
		mb := peak(t, pid)
		t.Logf("agent or guard: %.0f MB", mb)
		if mb > 40 {
			t.Errorf("an agent had %.0f MB", mb)
		}
	}
}

type counting int

func (c *counting) Write(b []byte) (int, error) {
	*c += counting(len(b))
	return len(b), nil
}

// stamped takes lines that hold the time they were printed at.
type stamped struct {
	line []byte
	late []time.Duration
}

func (s *stamped) Write(b []byte) (int, error) {
	now := time.Now().UnixNano()
	s.line = append(s.line, b...)
	for {
		line, rest, ok := bytes.Cut(s.line, []byte("\n"))
		if !ok {
			return len(b), nil
		}
		at, err := strconv.ParseInt(string(line), 10, 64)
		if err != nil {
			return 0, err
		}
		s.late, s.line = append(s.late, time.Duration(now-at)), rest
	}
}

// A log ends at its limit with a word of it, and the job goes on to its own end.
func TestALogLimit(t *testing.T) {
	t.Parallel()
	binaries(t)
	c := startCluster(t)
	out, stderr, code := c.hodei("run", "-q", "--log-limit", "64Ki", "--", "sh", "-c", "seq 100000; echo done; exit 3")
	if code != 3 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	var all strings.Builder
	for i := range 100_000 {
		fmt.Fprintln(&all, i+1)
	}
	kept, said, _ := strings.Cut(out, "hodei: ")
	kept = kept[:min(len(kept), 64<<10)]
	lost := all.Len() + len("done\n") - 64<<10
	if sha256.Sum256([]byte(kept)) != sha256.Sum256([]byte(all.String()[:64<<10])) {
		t.Errorf("%d bytes are kept, and not the first of those written", len(kept))
	}
	want := fmt.Sprintf("the log's limit of 64 KiB is reached; output that follows is not kept, the job goes on\nhodei: %d bytes of output were not kept\n", lost)
	if said != want {
		t.Errorf("it says %q, want %q", said, want)
	}
	if stored, _, _ := c.hodei("logs", "last"); stored != out {
		t.Errorf("%d bytes are stored, %d were followed", len(stored), len(out))
	}
}
