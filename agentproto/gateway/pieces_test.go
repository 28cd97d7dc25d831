package gateway_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/agent"
	"github.com/hodei-jobs/hodei/agentproto/agent/outbox"
	"github.com/hodei-jobs/hodei/agentproto/agent/process"
	"github.com/hodei-jobs/hodei/agentproto/gateway/authority"
	"github.com/hodei-jobs/hodei/agentproto/gateway/gatewaytest"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/projections"
	"github.com/hodei-jobs/hodei/projections/joblog"
)

const alternations = 100_000

// TestTinyPiecesStayWithinTheWindow: what an agent's outbox sends never exceeds
// what the server takes, in whatever pieces it comes and however long the server's
// disk takes.
func TestTinyPiecesStayWithinTheWindow(t *testing.T) {
	disk := stuckDisk{gate: make(chan struct{})}
	r := run(t, gatewaytest.Start(t, gatewaytest.Options{LogFiles: disk}), anyJob)
	work := sync.OnceFunc(func() { close(disk.gate) })
	t.Cleanup(work)
	r.session.Cut()
	out := outbox.New()
	box := out.Open(outbox.Key{Job: r.ref.Job, Attempt: r.ref.Attempt})
	var parts sync.WaitGroup
	defer parts.Wait()
	defer box.Drop() // lets the writer go
	parts.Go(func() {
		for range alternations {
			_, _ = box.Writer(outbox.Stdout).Write([]byte("o"))
			_, _ = box.Writer(outbox.Stderr).Write([]byte("e"))
		}
		box.Close()
	})
	parts.Go(func() {
		defer work()
		full := r.session.Welcome.WindowAttemptBytes / (1 + joblog.PieceCost)
		for {
			head, _, next := r.server.JobLog.Wait(r.key)
			if head >= full {
				return
			}
			select {
			case <-next:
			case <-time.After(gatewaytest.Patience):
				t.Errorf("the window takes %d pieces, not %d", head, full)
				return
			}
		}
	})
	none := out.Open(outbox.Key{Job: r.ref.Job, Attempt: r.ref.Attempt})
	none.Close()
	if done, err := converse(t, r, out, box, none, nil, 10*time.Second); !done {
		t.Fatalf("the session ended: %v", err)
	}
	r.status(t, job.Succeeded)
	if got := tagged(t, r.server, r.key); len(got[1]) != alternations || len(got[2]) != alternations {
		t.Errorf("the log has %d and %d bytes, not %d of each tag", len(got[1]), len(got[2]), alternations)
	}
}

// TestAJobThatAlternates: a job of a real agent writes one byte to each of its two
// pipes in turn. All are in the log, and the agent kept its one session.
func TestAJobThatAlternates(t *testing.T) {
	server := gatewaytest.Start(t, gatewaytest.Options{})
	worker := realAgent(t, server)
	no := false
	j := server.Submit(t, spec.Spec{
		Command: "i=0; while [ $i -lt 100000 ]; do printf o; printf e >&2; i=$((i+1)); done", TTY: &no,
	})
	server.Bind(t, j, worker)
	deadline := time.After(6 * gatewaytest.Patience) // it is long for a busy machine
	for {
		world, next := server.Runner.Wait()
		if row, _ := world.Jobs.ByID(j); row.Status == job.Succeeded {
			break
		}
		select {
		case <-next:
		case <-deadline:
			row, _ := world.Jobs.ByID(j)
			t.Fatalf("the job is %s", row.Status)
		}
	}
	got := tagged(t, server, joblog.Key{Job: j, Attempt: 1})
	if string(got[1]) != strings.Repeat("o", alternations) || string(got[2]) != strings.Repeat("e", alternations) {
		t.Errorf("the log has %d and %d bytes, not %d of each pipe", len(got[1]), len(got[2]), alternations)
	}
	if n := len(recorded(t, server, "WorkerConnected")); n != 1 {
		t.Errorf("the agent had %d sessions", n)
	}
}

// realAgent runs an agent until the end of the test, and returns its worker's id
// once it has a session.
func realAgent(t *testing.T, server *gatewaytest.Server) (worker id.ID) {
	t.Helper()
	host, err := process.NewHost(nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := agent.Open(agent.Config{
		Server: "grpcs://" + server.Address, Token: server.Token(t, authority.Claims{}), StateDir: t.TempDir(),
		Environment: []string{"PATH=/usr/bin:/bin"}, Logger: slog.New(slog.DiscardHandler), StopLimit: time.Second,
	}, host)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	server.Until(t, "the agent is there", func(w *projections.World) bool {
		for row := range w.Workers.All() {
			worker = row.ID
		}
		return worker != 0
	})
	return worker
}

// tagged returns the bytes of each tag in a log.
func tagged(t *testing.T, server *gatewaytest.Server, k joblog.Key) (got [3][]byte) {
	t.Helper()
	for from := uint64(0); ; {
		pieces, next, err := server.JobLog.Read(t.Context(), k, from, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if len(pieces) == 0 {
			return got
		}
		for _, p := range pieces {
			got[p.Tag] = append(got[p.Tag], bytes.Clone(p.Data)...)
		}
		from = next
	}
}
