package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/api/wire"
)

// What a job is said to have used at its peak is what it used: a process that is over
// within a second too, and several of which each has a part.
func TestPeakMemory(t *testing.T) {
	t.Parallel()
	requires(t, "dd", "head", "tail")
	c := startCluster(t)
	const want = 300_000_000
	for name, script := range map[string]string{
		"one process":       "dd if=/dev/zero of=/dev/null bs=300000000 count=1",
		"several processes": `for i in 1 2 3; do { head -c 100000000 /dev/zero; sleep 8; } | tail -c 100000000 >/dev/null & done; wait`,
	} {
		id, stderr, code := c.hodei("run", "-q", "--detach", "--", "sh", "-c", script)
		if code != 0 {
			t.Fatal(stderr)
		}
		id = id[:len(id)-1]
		if _, stderr, code := c.hodei("job", "wait", id); code != 0 {
			t.Fatalf("%s: %s", name, stderr)
		}
		text, _, _ := c.hodei("job", "get", id, "-o", "json")
		var job wire.Job
		if err := json.Unmarshal([]byte(text), &job); err != nil {
			t.Fatal(err)
		}
		if job.Usage == nil || job.Usage.PeakMemory == nil {
			t.Fatalf("%s: no peak in %s", name, text)
		}
		if got := *job.Usage.PeakMemory; got < want*9/10 || got > want*11/10 {
			t.Errorf("%s: %d bytes at the peak, %d were used", name, got, want)
		}
	}
}

// python runs a script as a job and returns its id.
func (c *cluster) python(t *testing.T, script string) string {
	t.Helper()
	id, stderr, code := c.hodei("run", "-q", "--detach", "--", "python3", "-c", script)
	if code != 0 {
		t.Fatal(stderr)
	}
	return id[:len(id)-1]
}

// used waits for a job's end, and returns its samples and itself.
func (c *cluster) used(t *testing.T, id string) (u wire.UsageSeries, job wire.Job) {
	t.Helper()
	if _, stderr, code := c.hodei("job", "wait", id); code != 0 {
		t.Fatal(stderr)
	}
	for path, into := range map[string]any{"usage": &u, "get": &job} {
		args := []string{"job", path, id, "-o", "json"}
		if path == "usage" {
			args = append(args, "--step", "1s")
		}
		text, stderr, code := c.hodei(args...)
		if code != 0 {
			t.Fatal(stderr)
		}
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(err)
		}
	}
	if !u.Whole || len(u.Items) == 0 {
		t.Fatalf("whole: %t, %d points", u.Whole, len(u.Items))
	}
	return u, job
}

// cpuSeconds is what a series sums up to.
func cpuSeconds(u wire.UsageSeries) (sum float64) {
	for _, p := range u.Items {
		sum += p.CPU.Mean * p.Seconds
	}
	return sum
}

// What a job uses is shown second by second: memory that it holds, memory that
// several of its processes share only once, and time on a CPU, not time that passes.
func TestUsageSecondBySecond(t *testing.T) {
	t.Parallel()
	requires(t, "python3")
	c := startCluster(t)
	const held = 300_000_000
	alone := c.python(t, `import time; x = bytearray(b"x") * 300_000_000; time.sleep(4)`)
	shared := c.python(t, `
import os, time
x = bytearray(b"x") * 300_000_000
for _ in range(3):
    if os.fork() == 0:
        time.sleep(6)
        os._exit(0)
time.sleep(6)
for _ in range(3):
    os.wait()`)
	burns := c.python(t, "import time\nwhile time.process_time() < 3: pass")
	inChild := c.python(t, "import os, time\nif os.fork() == 0:\n  while time.process_time() < 2: pass\n  os._exit(0)\nos.wait(); time.sleep(1.5)")
	sleeps := c.python(t, "import time; time.sleep(3)")

	for name, id := range map[string]string{"one process": alone, "four that share": shared} {
		u, job := c.used(t, id)
		top := 0.0
		for _, p := range u.Items {
			if p.Memory != nil {
				top = max(top, p.Memory.Max)
			}
		}
		if top < held*0.9 || top > held*1.1+30e6 {
			t.Errorf("%s: %.0f MB are shown, 300 were held", name, top/1e6)
		}
		if peak := float64(*job.Usage.PeakMemory); peak < held*0.9 || peak > held*1.1+30e6 {
			t.Errorf("%s: %.0f MB at the peak", name, peak/1e6)
		}
	}
	for id, want := range map[string][2]float64{burns: {2.9, 4}, inChild: {1.9, 3}, sleeps: {0, 1}} {
		u, job := c.used(t, id)
		if sum := cpuSeconds(u); sum < want[0] || sum > want[1] || sum > *job.Usage.CPUSeconds+0.01 || sum < *job.Usage.CPUSeconds-0.1 {
			t.Errorf("%.3f s of CPU are shown, %.3f at the end, want %v", sum, *job.Usage.CPUSeconds, want)
		}
		for _, p := range u.Items {
			if p.Seconds > 0.5 && p.CPU.Mean > 1.2 {
				t.Errorf("one thread used %.2f CPUs for %.3f s", p.CPU.Mean, p.Seconds)
			}
		}
	}
}

// kill -9 of the server while a job runs: no second of what it uses is repeated, and
// none is missing; also when the series is in the archive.
func TestServerKilledWhileUsageIsTold(t *testing.T) {
	t.Parallel()
	requires(t, "python3")
	c := startCluster(t, "--log-archive-after", "200ms")
	id := c.python(t, "import time\nend = time.time() + 25\nwhile time.time() < end: time.sleep(0.001)")
	for range 2 {
		wait(t, 4*time.Second)
		c.kill()
		wait(t, time.Second)
		c.start()
	}
	u, job := c.used(t, id)
	last, covered := time.Time{}, 0.0
	for i, p := range u.Items {
		if i > 0 && p.At.Before(last.Add(-time.Millisecond)) {
			t.Errorf("point %d begins at %v, before %v", i, p.At, last)
		}
		last = p.At.Add(time.Duration(p.Seconds * float64(time.Second)))
		covered += p.Seconds
	}
	if ran := job.Finished.Sub(*job.Started).Seconds(); covered < 24 || covered > ran+1 || len(u.Items) < 15 {
		t.Errorf("%d points cover %.1f s of %.1f", len(u.Items), covered, ran)
	}
	eventually(t, commandLimit, func() error {
		found, err := filepath.Glob(filepath.Join(c.dir, "data", "archive", "objects", "*", "*"+id+"-1u-*.log"))
		if err == nil && len(found) != 1 {
			err = os.ErrNotExist
		}
		return err
	})
	if strings.Contains(c.serverLog(), "sealed cannot be recorded") {
		t.Errorf("a series was to be recorded as a log:\n%s", c.serverLog())
	}
	again, _ := c.used(t, id)
	if len(again.Items) != len(u.Items) || cpuSeconds(again) != cpuSeconds(u) {
		t.Errorf("the archive has %d points, there were %d", len(again.Items), len(u.Items))
	}
}
