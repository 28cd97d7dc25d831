package gateway_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hodei-jobs/hodei/agentproto/gateway/gatewaytest"
	pb "github.com/hodei-jobs/hodei/agentproto/v1"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/worker"
	"github.com/hodei-jobs/hodei/eventstore/wal"
	"github.com/hodei-jobs/hodei/projections"
)

// stuckDisk does not sync a segment until it is let go.
type stuckDisk struct {
	wal.Disk
	gate chan struct{}
}

func (d stuckDisk) Segment(dir string) (wal.Segment, error) {
	s, err := d.Disk.Segment(dir)
	return stuckSegment{s, d.gate}, err
}

type stuckSegment struct {
	wal.Segment
	gate chan struct{}
}

func (s stuckSegment) Sync() error {
	<-s.gate
	return s.Segment.Sync()
}

// TestAStuckDisk: while job logs can't be synced, nothing is acknowledged and no
// result is taken; followers see the bytes, heartbeats pass, other attempts
// start; when the disk works again all goes on.
func TestAStuckDisk(t *testing.T) {
	disk := stuckDisk{gate: make(chan struct{})}
	r := run(t, gatewaytest.Start(t, gatewaytest.Options{LogFiles: disk}), anyJob)
	work := sync.OnceFunc(func() { close(disk.gate) })
	t.Cleanup(work)
	r.session.Say(t, r.chunk(0, "hello"))
	r.session.Say(t, &pb.Result{Ref: r.ref, Outcome: "succeeded", ExitCode: new(int32), EndOffset: 5})
	_, _, next := r.server.JobLog.Wait(r.key)
	for r.server.JobLog.Head(r.key) < 5 {
		<-next
		_, _, next = r.server.JobLog.Wait(r.key)
	}
	pieces, _, err := r.server.JobLog.Read(t.Context(), r.key, 0, 10)
	if err != nil || len(pieces) != 1 || string(pieces[0].Data) != "hello" {
		t.Errorf("a follower reads %v, %v", pieces, err)
	}
	r.session.Say(t, &pb.AgentBeat{MemoryBytes: 4711})
	other := r.server.Submit(t, anyJob)
	ref := r.server.Bind(t, other, r.agent.Worker(t))
	gatewaytest.Next(t, r.session, func(m *pb.ServerMessage) *pb.Assign {
		if m.GetAck() != nil || m.GetResultAck() != nil {
			t.Errorf("acknowledged what is not synced: %v", m)
		}
		return m.GetAssign()
	})
	r.session.Say(t, &pb.Accept{Ref: ref})
	gatewaytest.Next(t, r.session, start)
	if report, ok := r.server.Telemetry.Latest(r.agent.Worker(t)); !ok || report.AgentMemory.N != 4711 {
		t.Errorf("the beat did not pass: %v", report)
	}
	if row, _ := r.server.Runner.World().Jobs.ByID(r.job); row.Status != job.Running {
		t.Errorf("the job is %s", row.Status)
	}
	work()
	gatewaytest.Next(t, r.session, resultAck)
	r.status(t, job.Succeeded)
}

// TestBeyondTheWindow ends the session of an agent that sends more than may be
// unacknowledged.
func TestBeyondTheWindow(t *testing.T) {
	piece := strings.Repeat("0123456789abcdef", 2048)
	for _, test := range []struct {
		name     string
		attempts int
		pieces   int // of each attempt, 32 KiB
		ends     bool
	}{
		{"one attempt fills its window", 1, 32, false},
		{"one attempt sends more", 1, 33, true},
		{"four attempts fill the session's", 4, 32, false},
		{"five attempts send more, each within its own", 5, 26, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			disk := stuckDisk{gate: make(chan struct{})}
			r := run(t, gatewaytest.Start(t, gatewaytest.Options{LogFiles: disk}), anyJob)
			t.Cleanup(func() { close(disk.gate) }) // before the server stops
			refs := []*pb.AttemptRef{r.ref}
			for len(refs) < test.attempts {
				ref := r.server.Bind(t, r.server.Submit(t, anyJob), r.agent.Worker(t))
				r.session.Say(t, &pb.Accept{Ref: gatewaytest.Next(t, r.session, assign).Ref})
				gatewaytest.Next(t, r.session, start)
				refs = append(refs, ref)
			}
			for i := range test.pieces {
				for _, ref := range refs {
					_ = r.session.Send(&pb.Chunk{Ref: ref, Tag: pb.Tag_TAG_STDOUT, Offset: uint64(i * len(piece)), Data: []byte(piece)})
				}
			}
			if test.ends {
				if err := r.session.End(t); status.Code(err) != codes.InvalidArgument {
					t.Errorf("the session ends with %v", err)
				}
				return
			}
			r.server.Bind(t, r.server.Submit(t, anyJob), r.agent.Worker(t))
			gatewaytest.Next(t, r.session, assign)
			r.session.Say(t, &pb.AgentBeat{MemoryBytes: 1})
		})
	}
}

func TestWhyASessionEnded(t *testing.T) {
	const suspect = 100 * time.Millisecond
	for _, test := range []struct {
		reason string
		end    func(t *testing.T, server *gatewaytest.Server, s *gatewaytest.Session)
	}{
		{"closed", func(_ *testing.T, _ *gatewaytest.Server, s *gatewaytest.Session) { s.Cut() }},
		{"silent", func(t *testing.T, _ *gatewaytest.Server, s *gatewaytest.Session) { _ = s.End(t) }},
		{"error", func(t *testing.T, _ *gatewaytest.Server, s *gatewaytest.Session) { s.Say(t, &pb.AgentMessage{}) }},
		{"shutdown", func(t *testing.T, server *gatewaytest.Server, _ *gatewaytest.Session) {
			server.Stop(t)
			server.Restart(t)
		}},
	} {
		t.Run(test.reason, func(t *testing.T) {
			o := gatewaytest.Options{}
			if test.reason == "silent" {
				o.Suspect = suspect
			}
			server := gatewaytest.Start(t, o)
			agent := gatewaytest.NewAgent(t, server)
			test.end(t, server, agent.Connect(t))
			server.Until(t, "the worker is disconnected", func(w *projections.World) bool {
				row, _ := w.Workers.Get(agent.Worker(t))
				return row.Status == worker.Disconnected
			})
			var e eventv1.WorkerDisconnected
			decode(t, recorded(t, server, "WorkerDisconnected")[0], &e)
			if e.Reason != test.reason {
				t.Errorf("the reason is %q", e.Reason)
			}
		})
	}
}
