package attempt_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hodei-jobs/hodei/agentproto/agent/attempt"
	"github.com/hodei-jobs/hodei/agentproto/agent/mask"
	"github.com/hodei-jobs/hodei/agentproto/agent/mask/socket"
	"github.com/hodei-jobs/hodei/agentproto/agent/outbox"
	"github.com/hodei-jobs/hodei/agentproto/agent/process"
	"github.com/hodei-jobs/hodei/agentproto/agent/procfs"
	"github.com/hodei-jobs/hodei/agentproto/agent/sample"
	"github.com/hodei-jobs/hodei/agentproto/agent/workspace"
	agentprotov1 "github.com/hodei-jobs/hodei/agentproto/v1"
)

var host = sync.OnceValue(func() *process.Host {
	h, err := process.NewHost(nil)
	if err != nil {
		panic(err)
	}
	return h
})

// parts are an agent's, with workspaces in a folder.
func parts(t testing.TB, folder string) attempt.Parts {
	t.Helper()
	workspaces, err := workspace.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	sockets, err := socket.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		var all sync.WaitGroup
		all.Go(func() { workspaces.Run(ctx) })
		all.Go(func() { sockets.Run(ctx) })
		all.Wait()
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return attempt.Parts{
		Host: host(), Outbox: outbox.New(), Workspaces: workspaces, Sampler: sample.New(host()),
		Sockets: sockets, Added: mask.NewBudget(160 << 10), Program: "/nowhere/hodei-agent",
		Inherited: attempt.Inherited([]string{"PATH=/usr/bin:/bin"}), Changed: func() {},
	}
}

func assignment(job, script string) *agentprotov1.Assign {
	return &agentprotov1.Assign{
		Ref: &agentprotov1.AttemptRef{Job: job, Attempt: 1}, Tty: true,
		Steps: []*agentprotov1.Step{{Name: "only", Argv: []string{"/bin/sh", "-c", script}}},
	}
}

// run is an attempt from its assignment to its result.
func run(t testing.TB, p attempt.Parts, assign *agentprotov1.Assign) *agentprotov1.Result {
	t.Helper()
	a, err := attempt.New(p, assign)
	if err != nil {
		t.Fatal(err)
	}
	a.Start()
	a.Run(t.Context())
	a.Box().Drop()
	return a.Result()
}

func TestInheritedLeavesOutWhatIsTheAgentsOwn(t *testing.T) {
	got := strings.Join(attempt.Inherited([]string{"HOME=/root", "HODEI_WORKER_TOKEN=secret", "HODEI_GUARDED=true", "PWD=/x", "LD_LIBRARY_PATH=/lib"}), " ")
	if want := "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LD_LIBRARY_PATH=/lib"; got != want {
		t.Errorf("got %s", got)
	}
}

func TestAFullDiskIsNamed(t *testing.T) {
	folder := t.TempDir()
	if err := unix.Mount("tmpfs", folder, "tmpfs", 0, "size=1m"); err != nil {
		if os.Getenv("HODEI_REQUIRE_ALL") == "" {
			t.Skipf("no small disk can be mounted, which needs root: %v", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(folder, unix.MNT_DETACH) })
	p := parts(t, filepath.Join(folder, "work"))
	r := run(t, p, assignment("j1", "head -c 2000000 /dev/zero > big"))
	if r.GetOutcome() != "failed" || r.GetCause() != "disk_full" || r.GetDetail() != "exit code 1, and the disk of its workspace is full" {
		t.Errorf("got %v", r)
	}
}

// A stop that comes once the main process has ended changes nothing.
func TestAJobThatHasEndedCanNotBeCancelled(t *testing.T) {
	p := parts(t, t.TempDir())
	a, err := attempt.New(p, assignment("j1", "sleep 1000 & exit 0")) // which the drain waits for
	if err != nil {
		t.Fatal(err)
	}
	a.Start()
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.Run(t.Context())
	}()
	awaitMainEnded(t, p.Host)
	a.Cancel(attempt.Stop{Signal: unix.SIGTERM, Reason: attempt.Cancelled})
	<-done
	if r := a.Result(); r.GetOutcome() != "succeeded" {
		t.Errorf("got %v", r)
	}
}

// awaitMainEnded waits until the main process of the only job is a zombie.
func awaitMainEnded(t *testing.T, h *process.Host) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(20 * time.Second)
	for {
		for _, tree := range h.Trees() {
			if stat, err := procfs.ReadStat(tree.Main); err == nil && stat.State == 'Z' {
				return
			}
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatal("the main process did not end")
		}
	}
}

// slots is how many jobs run at a time in benchmarks.
const slots = 8

// BenchmarkTrivialJob is a whole attempt, with workspace and terminal, but
// without a server.
func BenchmarkTrivialJob(b *testing.B) {
	p := parts(b, b.TempDir())
	var next atomic.Int64
	var wait sync.WaitGroup
	jobs := make(chan struct{})
	for range slots {
		wait.Go(func() {
			for range jobs {
				run(b, p, assignment(strconv.FormatInt(next.Add(1), 10), "true"))
			}
		})
	}
	for b.Loop() {
		jobs <- struct{}{}
	}
	close(jobs)
	wait.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
}
