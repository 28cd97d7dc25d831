package gateway_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hodei-jobs/hodei/agentproto/gateway/gatewaytest"
	pb "github.com/hodei-jobs/hodei/agentproto/v1"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/aggregates/worker"
	"github.com/hodei-jobs/hodei/projections"
	"github.com/hodei-jobs/hodei/projections/joblog"
)

// running is a job that its agent was permitted to run.
type running struct {
	server  *gatewaytest.Server
	agent   *gatewaytest.Agent
	session *gatewaytest.Session
	job     id.ID
	ref     *pb.AttemptRef
	key     joblog.Key
}

func run(t *testing.T, server *gatewaytest.Server, s spec.Spec) *running {
	t.Helper()
	r := &running{server: server, agent: gatewaytest.NewAgent(t, server)}
	r.session = r.agent.Connect(t)
	r.job = server.Submit(t, s)
	r.ref = server.Bind(t, r.job, r.agent.Worker(t))
	r.key = joblog.Key{Job: r.job, Attempt: r.ref.Attempt}
	gatewaytest.Next(t, r.session, assign)
	r.session.Say(t, &pb.Accept{Ref: r.ref})
	gatewaytest.Next(t, r.session, start)
	return r
}

func (r *running) chunk(offset uint64, text string) *pb.Chunk {
	return &pb.Chunk{Ref: r.ref, Tag: pb.Tag_TAG_STDOUT, Offset: offset, Data: []byte(text)}
}

// status waits until the job has a status.
func (r *running) status(t *testing.T, want job.Status) {
	t.Helper()
	r.server.Until(t, "the job is "+want.String(), func(w *projections.World) bool {
		row, _ := w.Jobs.ByID(r.job)
		return row.Status == want
	})
}

func TestAFencedAttempt(t *testing.T) {
	r := run(t, gatewaytest.Start(t, gatewaytest.Options{}), anyJob)
	r.session.Say(t, r.chunk(0, "before"))
	gatewaytest.Next(t, r.session, ack)
	r.server.Lose(t, r.ref)
	if c := gatewaytest.Next(t, r.session, cancelled); c.Reason != "fenced" || c.Ref.Job != r.ref.Job {
		t.Errorf("the agent is told %v", c)
	}
	r.session.Say(t, r.chunk(6, "after"))
	r.session.Say(t, &pb.Result{Ref: r.ref, Outcome: "succeeded", ExitCode: new(int32), EndOffset: 11})
	if got := gatewaytest.Next(t, r.session, resultAck); got.Refused == "" {
		t.Error("the result is taken")
	}
	events := recorded(t, r.server, "ResultRefused")
	if len(events) != 1 || events[0].Value.(*eventv1.ResultRefused).Cause != "fenced" {
		t.Errorf("recorded %v", events)
	}
	if head := r.server.JobLog.Head(r.key); head != 6 {
		t.Errorf("its log has %d bytes", head)
	}
	other := r.server.Submit(t, anyJob) // and the session goes on
	r.server.Bind(t, other, r.agent.Worker(t))
	gatewaytest.Next(t, r.session, assign)
}

// TestAnotherWorkersJob: whatever an agent says of a job that is not its own
// changes nothing, and its own session goes on.
func TestAnotherWorkersJob(t *testing.T) {
	server := gatewaytest.Start(t, gatewaytest.Options{})
	victim, thief := run(t, server, anyJob), run(t, server, anyJob)
	victim.session.Say(t, victim.chunk(0, "mine"))
	gatewaytest.Next(t, victim.session, ack)
	before, _ := server.Store.Wait()
	for _, m := range []any{
		&pb.Chunk{Ref: victim.ref, Tag: pb.Tag_TAG_STDOUT, Offset: 4, Data: []byte("forged")},
		&pb.StepUpdate{Ref: victim.ref, Step: 1, State: "running"},
		&pb.Accept{Ref: victim.ref},
		&pb.Accept{Ref: victim.ref, Refused: "no_room"},
		&pb.AgentBeat{Attempts: []*pb.AttemptUsage{{Ref: victim.ref, Processes: 99}}},
		&pb.Chunk{Ref: &pb.AttemptRef{Job: "../../etc", Attempt: 1}, Tag: pb.Tag_TAG_STDOUT, Data: []byte("x")},
		&pb.Chunk{Ref: &pb.AttemptRef{Job: victim.ref.Job, Attempt: 1 << 31}, Tag: pb.Tag_TAG_STDOUT, Data: []byte("x")},
		&pb.Chunk{},
		&pb.Result{},
		&pb.Result{Ref: victim.ref, Outcome: "succeeded", ExitCode: new(int32)},
	} {
		thief.session.Say(t, m)
	}
	if got := gatewaytest.Next(t, thief.session, resultAck); !strings.Contains(got.Refused, "was given to worker "+victim.agent.WorkerID) {
		t.Errorf("answered %q", got.Refused)
	}
	if after, _ := server.Store.Wait(); after != before {
		t.Errorf("%d events were recorded", after-before)
	}
	if head := server.JobLog.Head(victim.key); head != 4 {
		t.Errorf("the log has %d bytes", head)
	}
	if _, ok := server.Telemetry.Usage(victim.job, 1); ok {
		t.Error("the use of the job is what another worker says")
	}
	for _, r := range []*running{victim, thief} {
		end := server.JobLog.Head(r.key)
		r.session.Say(t, &pb.Result{Ref: r.ref, Outcome: "succeeded", ExitCode: new(int32), EndOffset: end})
		r.status(t, job.Succeeded)
	}
}

// TestABrokenProtocol: these end the session, and only it.
func TestABrokenProtocol(t *testing.T) {
	full := strings.Repeat("x", 32<<10)
	for _, test := range []struct {
		name string
		say  func(t *testing.T, r *running)
	}{
		{"a gap", func(t *testing.T, r *running) { r.session.Say(t, r.chunk(1, "x")) }},
		{"a chunk without a tag", func(t *testing.T, r *running) { r.session.Say(t, &pb.Chunk{Ref: r.ref, Data: []byte("x")}) }},
		{"a chunk that is too large", func(t *testing.T, r *running) { r.session.Say(t, r.chunk(0, full+full+full)) }},
		{"a result that ends after the log", func(t *testing.T, r *running) {
			r.session.Say(t, &pb.Result{Ref: r.ref, Outcome: "succeeded", EndOffset: 1})
		}},
		{"Hello a second time", func(t *testing.T, r *running) { r.session.Say(t, &pb.Hello{}) }},
		{"nothing", func(t *testing.T, r *running) { r.session.Say(t, &pb.AgentMessage{}) }},
		{"more steps than a job can have", func(t *testing.T, r *running) {
			for range 2*spec.MaxSteps + 1 {
				_ = r.session.Send(&pb.StepUpdate{Ref: r.ref, Step: 1, State: "running"})
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := run(t, gatewaytest.Start(t, gatewaytest.Options{}), anyJob)
			test.say(t, r)
			if err := r.session.End(t); status.Code(err) != codes.InvalidArgument {
				t.Errorf("the session ends with %v", err)
			}
			r.session = r.agent.Connect(t, &pb.Held{Ref: r.ref, Phase: pb.Phase_PHASE_RUNNING})
			if v := r.session.Welcome.Verdicts[0]; !v.Keep || v.Have != 0 {
				t.Errorf("the verdict is %v", v)
			}
		})
	}
}

// TestTheWindow: an agent that keeps it gets any amount through; a disk that is
// slow only holds it back.
func TestTheWindow(t *testing.T) {
	r := run(t, gatewaytest.Start(t, gatewaytest.Options{}), anyJob)
	window := r.session.Welcome.WindowAttemptBytes
	piece := strings.Repeat("0123456789abcdef", 2048)
	var sent, acked uint64
	for sent < 8*window {
		for sent+uint64(len(piece)) > acked+window {
			acked = gatewaytest.Next(t, r.session, ack).Have
		}
		r.session.Say(t, r.chunk(sent, piece))
		sent += uint64(len(piece))
	}
	r.session.Say(t, &pb.Result{Ref: r.ref, Outcome: "succeeded", ExitCode: new(int32), EndOffset: sent})
	gatewaytest.Next(t, r.session, resultAck)
	r.status(t, job.Succeeded)
	if end, ok := r.server.JobLog.Ended(r.key); !ok || end != sent {
		t.Errorf("the log ended at %d, %t", end, ok)
	}
}

func TestCancel(t *testing.T) {
	server := gatewaytest.Start(t, gatewaytest.Options{})
	policy := spec.Spec{Command: "sleep 100", Cancel: spec.Cancel{Signal: "INT", Grace: 3 * spec.Second}}
	r := run(t, server, policy)
	if _, err := server.Commands.CancelJob(t.Context(), gatewaytest.Caller, r.job, "enough"); err != nil {
		t.Fatal(err)
	}
	expect := func() {
		t.Helper()
		c := gatewaytest.Next(t, r.session, cancelled)
		if c.Signal != "INT" || time.Duration(c.GraceNs) != 3*time.Second || c.Reason != "cancelled" {
			t.Errorf("the agent is told %v", c)
		}
	}
	expect()
	r.session.Cut() // perhaps it did not get that
	r.session = r.agent.Connect(t, &pb.Held{Ref: r.ref, Phase: pb.Phase_PHASE_RUNNING})
	expect()
	r.session.Say(t, &pb.Result{Ref: r.ref, Outcome: "cancelled", Signal: "INT"})
	r.status(t, job.Cancelled)
}

func TestCancelOfWhatIsNotStarted(t *testing.T) {
	server := gatewaytest.Start(t, gatewaytest.Options{})
	agent := gatewaytest.NewAgent(t, server)
	session := agent.Connect(t)
	j := server.Submit(t, anyJob)
	ref := server.Bind(t, j, agent.Worker(t))
	gatewaytest.Next(t, session, assign)
	if _, err := server.Commands.CancelJob(t.Context(), gatewaytest.Caller, j, ""); err != nil {
		t.Fatal(err)
	}
	if c := gatewaytest.Next(t, session, cancelled); c.Ref.Job != ref.Job || c.Reason != "fenced" {
		t.Errorf("the agent is told %v", c)
	}
	session.Say(t, &pb.Accept{Ref: ref}) // it crossed with that
	j2 := server.Submit(t, anyJob)
	server.Bind(t, j2, agent.Worker(t))
	if a := gatewaytest.Next(t, session, func(m *pb.ServerMessage) *pb.Assign {
		if m.GetStart() != nil {
			t.Error("a cancelled job is permitted to run")
		}
		return m.GetAssign()
	}); a.Ref.Job != j2.String() {
		t.Errorf("assigned %v", a.Ref)
	}
}

func TestARefusedAssignmentGoesBack(t *testing.T) {
	server := gatewaytest.Start(t, gatewaytest.Options{})
	agent := gatewaytest.NewAgent(t, server)
	session := agent.Connect(t)
	j := server.Submit(t, anyJob)
	for attempt := uint32(1); attempt <= 2; attempt++ {
		ref := server.Bind(t, j, agent.Worker(t))
		if a := gatewaytest.Next(t, session, assign); a.Ref.Attempt != attempt {
			t.Errorf("assigned attempt %d", a.Ref.Attempt)
		}
		session.Say(t, &pb.Accept{Ref: ref, Refused: "no_room", Detail: "full\x1b[2J"})
		server.Until(t, "it waits again", func(w *projections.World) bool {
			row, _ := w.Jobs.ByID(j)
			return row.Status == job.Pending && row.Attempt == attempt
		})
	}
	e := recorded(t, server, "JobRequeued")[1].Value.(*eventv1.JobRequeued)
	if e.Cause != "refused_by_worker" || strings.Contains(e.Detail, "\x1b") {
		t.Errorf("recorded %v", e)
	}
}

func TestAnAssignmentWithoutAnswerGoesBack(t *testing.T) {
	server := gatewaytest.Start(t, gatewaytest.Options{Answer: 50 * time.Millisecond})
	agent := gatewaytest.NewAgent(t, server)
	session := agent.Connect(t)
	j := server.Submit(t, anyJob)
	ref := server.Bind(t, j, agent.Worker(t))
	gatewaytest.Next(t, session, assign)
	server.Until(t, "it waits again", func(w *projections.World) bool {
		row, _ := w.Jobs.ByID(j)
		return row.Status == job.Pending
	})
	session.Say(t, &pb.Accept{Ref: ref}) // too late
	if c := gatewaytest.Next(t, session, cancelled); c.Reason != "fenced" {
		t.Errorf("the agent is told %v", c)
	}
}

// TestAResultWithoutPermission is refused, and the attempt, which is still bound,
// is assigned again.
func TestAResultWithoutPermission(t *testing.T) {
	server := gatewaytest.Start(t, gatewaytest.Options{})
	agent := gatewaytest.NewAgent(t, server)
	session := agent.Connect(t)
	ref := server.Bind(t, server.Submit(t, anyJob), agent.Worker(t))
	gatewaytest.Next(t, session, assign)
	session.Say(t, &pb.Result{Ref: ref, Outcome: "succeeded", ExitCode: new(int32)})
	if got := gatewaytest.Next(t, session, resultAck); got.Refused == "" {
		t.Error("it is taken")
	}
	if a := gatewaytest.Next(t, session, assign); a.Ref.Job != ref.Job || a.Ref.Attempt != 1 {
		t.Errorf("assigned %v", a.Ref)
	}
	session.Say(t, &pb.Accept{Ref: ref})
	gatewaytest.Next(t, session, start)
}

func TestDrain(t *testing.T) {
	server := gatewaytest.Start(t, gatewaytest.Options{})
	agent := gatewaytest.NewAgent(t, server)
	session := agent.Connect(t)
	_, err := server.Commands.DrainWorker(t.Context(), gatewaytest.Caller, agent.Worker(t), worker.Drain{Deadline: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	d := gatewaytest.Next(t, session, (*pb.ServerMessage).GetDrain)
	if left := time.Duration(d.DeadlineNs); left > time.Hour || left < 59*time.Minute {
		t.Errorf("the deadline is in %v", left)
	}
}

// TestTermination ends the session of the worker, which is not let in again.
func TestTermination(t *testing.T) {
	server := gatewaytest.Start(t, gatewaytest.Options{})
	agent := gatewaytest.NewAgent(t, server)
	session := agent.Connect(t)
	if _, err := server.Commands.TerminateWorker(t.Context(), gatewaytest.Caller, agent.Worker(t), "enough"); err != nil {
		t.Fatal(err)
	}
	if err := session.End(t); status.Code(err) != codes.Unavailable {
		t.Errorf("the session ends with %v", err)
	}
	if _, err := agent.Try(t.Context()); err == nil || !strings.Contains(err.Error(), "terminated") {
		t.Errorf("it comes back: %v", err)
	}
}

func TestAnInventedOutcomeDoesNotKeepTheJobRunning(t *testing.T) {
	r := run(t, gatewaytest.Start(t, gatewaytest.Options{}), anyJob)
	r.session.Say(t, &pb.Result{Ref: r.ref, Outcome: "splendid"})
	if got := gatewaytest.Next(t, r.session, resultAck); got.Refused == "" {
		t.Error("it is taken")
	}
	r.status(t, job.Lost)
}

func TestLostJobsLogEndsForItsReaders(t *testing.T) {
	r := run(t, gatewaytest.Start(t, gatewaytest.Options{}), anyJob)
	r.session.Say(t, r.chunk(0, "so far"))
	gatewaytest.Next(t, r.session, ack)
	r.session.Cut()
	r.server.Lose(t, r.ref)
	for {
		_, _, next := r.server.JobLog.Wait(r.key)
		if end, ok := r.server.JobLog.Ended(r.key); ok {
			if end != 6 {
				t.Errorf("it ends at %d", end)
			}
			return
		}
		select {
		case <-next:
		case <-time.After(gatewaytest.Patience):
			t.Fatal("the log does not end")
		}
	}
}

func TestStepsAreRecordedInOrder(t *testing.T) {
	steps := make([]spec.Step, 20)
	for i := range steps {
		steps[i] = spec.Step{Name: fmt.Sprint("s", i+1), Run: "true"}
	}
	r := run(t, gatewaytest.Start(t, gatewaytest.Options{}), spec.Spec{Steps: steps})
	for i := range uint32(20) {
		name := fmt.Sprint("s", i+1)
		r.session.Say(t, &pb.StepUpdate{Ref: r.ref, Step: i + 1, Name: name, State: "running"})
		r.session.Say(t, &pb.StepUpdate{Ref: r.ref, Step: i + 1, Name: name, State: "succeeded", ExitCode: new(int32)})
	}
	r.session.Say(t, &pb.Result{Ref: r.ref, Outcome: "succeeded", ExitCode: new(int32)})
	r.status(t, job.Succeeded)
	if a, b := recorded(t, r.server, "StepStarted"), recorded(t, r.server, "StepFinished"); len(a) != 20 || len(b) != 20 {
		t.Errorf("%d began, %d ended", len(a), len(b))
	}
}

func TestTelemetry(t *testing.T) {
	r := run(t, gatewaytest.Start(t, gatewaytest.Options{}), anyJob)
	n := uint64(1234)
	r.session.Say(t, &pb.AgentBeat{
		MemoryBytes: 7, Node: &pb.NodeUsage{CpuMilli: &n},
		Attempts: []*pb.AttemptUsage{{Ref: r.ref, MemoryBytes: &n, Stalled: true}},
	})
	r.session.Say(t, r.chunk(0, "x"))
	gatewaytest.Next(t, r.session, ack)
	u, ok := r.server.Telemetry.Usage(r.job, 1)
	if !ok || u.Memory.N != n || !u.Stalled || u.CPU.Known {
		t.Errorf("the attempt's use is %v", u)
	}
	if at, ok := r.server.Telemetry.LastHeard(r.agent.Worker(t)); !ok || time.Since(time.Unix(0, at)) > time.Minute {
		t.Errorf("last heard %d", at)
	}
}

func TestRawBytesPass(t *testing.T) {
	r := run(t, gatewaytest.Start(t, gatewaytest.Options{}), anyJob)
	raw := make([]byte, 256)
	for i := range raw {
		raw[i] = byte(i)
	}
	r.session.Say(t, r.chunk(0, string(raw)))
	gatewaytest.Next(t, r.session, ack)
	pieces, _, err := r.server.JobLog.Read(t.Context(), r.key, 0, 1000)
	if err != nil || !bytes.Equal(pieces[0].Data, raw) {
		t.Errorf("read %v, %v", pieces, err)
	}
}
