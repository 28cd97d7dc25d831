package sample_test

import (
	"bytes"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hodei-jobs/hodei/agentproto/agent/cgroup"
	"github.com/hodei-jobs/hodei/agentproto/agent/outbox"
	"github.com/hodei-jobs/hodei/agentproto/agent/process"
	"github.com/hodei-jobs/hodei/agentproto/agent/sample"
)

const patience = 20 * time.Second

var key = outbox.Key{Job: "j1", Attempt: 1}

var host = sync.OnceValue(func() *process.Host {
	h, err := process.NewHost(nil)
	if err != nil {
		panic(err)
	}
	return h
})

// job is a process that is measured.
type job struct {
	t       *testing.T
	sampler *sample.Sampler
	process *process.Process
	out     chan string // what it writes
	exit    chan process.Exit
	now     time.Time // of the sampler; a second passes with each look
}

func start(t *testing.T, argv ...string) *job {
	t.Helper()
	j := &job{t: t, sampler: sample.New(host()), out: make(chan string, 100), exit: make(chan process.Exit, 1), now: time.Now()}
	p, err := host().Start(process.Spec{
		Argv: argv, Dir: t.TempDir(), Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=/root"}, TTY: true, Stdout: j,
	})
	if err != nil {
		t.Fatal(err)
	}
	j.process = p
	j.sampler.Attach(key, p, nil)
	go func() { j.exit <- p.Wait() }()
	t.Cleanup(p.Kill)
	return j
}

func (j *job) Write(p []byte) (int, error) {
	j.out <- string(bytes.Clone(p))
	return len(p), nil
}

// ready waits for the job's word.
func (j *job) ready() {
	j.t.Helper()
	select {
	case <-j.out:
	case <-time.After(patience):
		j.t.Fatal("the job said nothing")
	}
}

func (j *job) look() sample.Usage {
	j.t.Helper()
	j.now = j.now.Add(time.Second)
	j.sampler.Sample(j.now)
	u, ok := j.sampler.Report(key)
	if !ok {
		j.t.Fatal("nothing is known of the job")
	}
	return u
}

// until looks until what it sees is wanted.
func (j *job) until(what string, wanted func(sample.Usage) bool) sample.Usage {
	j.t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(patience)
	for {
		if u := j.look(); wanted(u) {
			return u
		}
		select {
		case <-ticker.C:
		case <-deadline:
			j.t.Fatalf("not within %s: %s; last %+v", patience, what, j.look())
		}
	}
}

// end kills the job and gives what is known then.
func (j *job) end() sample.Usage {
	j.t.Helper()
	j.process.Kill()
	j.sampler.Detach(key, <-j.exit)
	u, ok := j.sampler.Remove(key)
	if !ok {
		j.t.Fatal("nothing is known of the job")
	}
	return u
}

func TestMemoryThatProcessesShareCountsOnce(t *testing.T) {
	const size = 60 << 20
	j := start(t, "python3", "-c", `
import os, time
x = bytearray(os.urandom(1)) * (60 << 20)
for _ in range(3):
    if os.fork() == 0:
        time.sleep(1000)
print("ready", flush=True)
time.sleep(1000)`)
	j.ready()
	u := j.until("all four are seen", func(u sample.Usage) bool { return u.Processes == 4 })
	for _, memory := range []uint64{u.Memory, u.PeakMemory} {
		if memory < size || memory > 2*size {
			t.Errorf("%d MB are told, want about 60 and what four interpreters need", memory>>20)
		}
	}
	// It may be more: what others on this machine share with a process counts in part
	// while it runs, and whole at its end.
	if peak := j.end().PeakMemory; peak < u.PeakMemory || peak > 2*size {
		t.Errorf("the peak is %d MB at the end, it was %d", peak>>20, u.PeakMemory>>20)
	}
}

func TestMemoryOfOneProcessIsItsSize(t *testing.T) {
	j := start(t, "python3", "-c", "import time; x = bytearray(b'x') * (50 << 20); print('ready', flush=True); time.sleep(1000)")
	j.ready()
	if u := j.look(); u.Memory < 50<<20 || u.Memory > 75<<20 || u.Processes != 1 {
		t.Errorf("got %+v", u)
	}
}

// What a process used isn't lost when it ends, whoever waits for it.
func TestCPUOfAllProcessesCounts(t *testing.T) {
	const burn = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"
	for name, script := range map[string]string{
		"the main process":            burn,
		"a child that was waited for": "sh -c '" + burn + "'",
		"an orphan that has ended":    "(setsid sh -c '" + burn + "; touch done' >/dev/null 2>&1 &); while [ ! -e done ]; do sleep 0.01; done",
	} {
		t.Run(name, func(t *testing.T) {
			j := start(t, "/bin/sh", "-c", script+"; echo ready; sleep 1000")
			j.ready()
			u := j.until("the time is seen", func(u sample.Usage) bool { return u.CPU >= 20*time.Millisecond })
			if u.PeakCPUMilli == 0 {
				t.Error("no rate was seen")
			}
			if end := j.end(); end.CPU < u.CPU {
				t.Errorf("%s at the end, %s before", end.CPU, u.CPU)
			}
		})
	}
}

func TestUseGoesOnOverSteps(t *testing.T) {
	j := start(t, "/bin/sh", "-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo ready; sleep 1000")
	j.ready()
	first := j.until("the time is seen", func(u sample.Usage) bool { return u.CPU >= 20*time.Millisecond })
	j.process.Kill()
	j.sampler.Detach(key, <-j.exit)
	if u := j.look(); u.Sampled || u.Processes != 0 || u.CPU < first.CPU {
		t.Errorf("between steps: %+v", u)
	}
	next := start(t, "/bin/sh", "-c", "echo ready; sleep 1000")
	j.sampler.Attach(key, next.process, nil)
	next.ready()
	if u := j.look(); u.CPU < first.CPU || !u.Sampled {
		t.Errorf("in the next step: %+v", u)
	}
}

func TestWhatIsWrittenToDiskCounts(t *testing.T) {
	var fs unix.Statfs_t
	if err := unix.Statfs(os.TempDir(), &fs); err != nil {
		t.Fatal(err)
	}
	if fs.Type == unix.TMPFS_MAGIC {
		if os.Getenv("HODEI_REQUIRE_ALL") == "" {
			t.Skipf("no disk: %s, the folder of temporary files, is in memory; set TMPDIR", os.TempDir())
		}
		t.Fatalf("%s is in memory; set TMPDIR to a folder on a disk", os.TempDir())
	}
	j := start(t, "/bin/sh", "-c", "dd if=/dev/zero of=file bs=1M count=4 conv=fsync 2>/dev/null; echo ready; sleep 1000")
	j.ready()
	u := j.look()
	if !u.Disk || u.DiskWrite < 4<<20 {
		t.Errorf("got %+v", u)
	}
}

func TestWaitingForTheKeyboardIsSeen(t *testing.T) {
	for _, row := range []struct {
		name, script string
		waits        bool
	}{
		{"a pager", "seq 1000 > file; echo ready; env -u PAGER less file", true},
		{"a prompt that reads the terminal by another descriptor", "echo ready; read answer <&2", true},
		{"one that reads a pipe", "echo ready; sleep 1000 | cat", false},
		{"one that sleeps", "echo ready; sleep 1000", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			j := start(t, "/bin/sh", "-c", row.script)
			j.ready()
			if row.waits {
				j.until("it waits", func(u sample.Usage) bool { return u.WaitsForInput })
				return
			}
			j.until("it runs", func(u sample.Usage) bool { return u.Sampled })
			if j.look().WaitsForInput {
				t.Error("it is said to wait for the keyboard")
			}
		})
	}
}

func TestTheMachine(t *testing.T) {
	m := sample.NewMachine(cgroup.Self(), t.TempDir())
	cpu, memory, disk := m.Capacity()
	if cpu == 0 || memory == 0 || disk == 0 {
		t.Errorf("capacity %d, %d, %d", cpu, memory, disk)
	}
	use := m.Use()
	if use.CPUMilli == nil || use.Memory == nil || use.DiskFree == nil || *use.Memory == 0 {
		t.Errorf("use %+v", use)
	}
}

func BenchmarkSample(b *testing.B) {
	s := sample.New(host())
	p, err := host().Start(process.Spec{Argv: []string{"/bin/sleep", "1000"}, Dir: "/", TTY: true})
	if err != nil {
		b.Fatal(err)
	}
	s.Attach(key, p, nil)
	for b.Loop() {
		s.Sample(time.Now())
	}
	p.Kill()
	p.Wait()
}

// BenchmarkSampleOf500 is a job of 500 processes, with and without its proportional
// size, which is looked at every five seconds while it grows.
func BenchmarkSampleOf500(b *testing.B) {
	s := sample.New(host())
	p, err := host().Start(process.Spec{
		Argv: []string{"/bin/sh", "-c", "i=0; while [ $i -lt 499 ]; do sleep 1000 & i=$((i+1)); done; wait"}, Dir: "/", TTY: true,
		Env: []string{"PATH=" + os.Getenv("PATH")},
	})
	if err != nil {
		b.Fatal(err)
	}
	out := outbox.New()
	s.Attach(key, p, out.Open(key))
	now := time.Now()
	for u := (sample.Usage{}); u.Processes < 500; u, _ = s.Report(key) {
		s.Sample(now)
	}
	for b.Loop() {
		now = now.Add(time.Second)
		s.Sample(now)
	}
	p.Kill()
	p.Wait()
}
