package gateway_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/hodei-jobs/hodei/agentproto/gateway/dummy"
	"github.com/hodei-jobs/hodei/agentproto/gateway/gatewaytest"
	pb "github.com/hodei-jobs/hodei/agentproto/v1"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/spec"
)

// succeeded is the job's good end after 5 bytes.
func (r *running) succeeded() *pb.Result {
	return &pb.Result{Ref: r.ref, Outcome: "succeeded", ExitCode: new(int32), EndOffset: 5}
}

// TestMessagesThatComeAgain, late or from a session of the past: each counts once,
// whatever follows, and the agent's session goes on.
func TestMessagesThatComeAgain(t *testing.T) {
	for _, test := range []struct {
		name string
		say  func(t *testing.T, r *running) // after it the log has 5 bytes
		over bool                           // the job has ended then
		want map[string]int                 // events of the job, or of its worker
	}{
		{"an acceptance", func(t *testing.T, r *running) {
			for range 3 {
				r.session.Say(t, &pb.Accept{Ref: r.ref})
			}
			r.session.Say(t, r.chunk(0, "hello"))
		}, false, map[string]int{"JobStarted": 1, "JobRequeued": 0}},
		{"a refusal of what was accepted", func(t *testing.T, r *running) {
			r.session.Say(t, &pb.Accept{Ref: r.ref, Refused: "no_room"})
			r.session.Say(t, r.chunk(0, "hello"))
		}, false, map[string]int{"JobStarted": 1, "JobRequeued": 0}},
		{"a chunk, whole and in part", func(t *testing.T, r *running) {
			for _, c := range []*pb.Chunk{r.chunk(0, "hel"), r.chunk(0, "hel"), r.chunk(1, "el"), r.chunk(2, "Llo"), r.chunk(0, "HELLO"), r.chunk(3, "")} {
				r.session.Say(t, c)
			}
		}, false, nil},
		{"steps", func(t *testing.T, r *running) {
			for range 2 {
				r.session.Say(t, &pb.StepUpdate{Ref: r.ref, Step: 1, Name: "one", State: "running"})
				r.session.Say(t, &pb.StepUpdate{Ref: r.ref, Step: 1, Name: "one", State: "succeeded", ExitCode: new(int32)})
			}
			r.session.Say(t, r.chunk(0, "hello"))
		}, false, map[string]int{"StepStarted": 1, "StepFinished": 1}},
		{"a result", func(t *testing.T, r *running) {
			r.session.Say(t, r.chunk(0, "hello"))
			for range 3 {
				r.session.Say(t, r.succeeded())
			}
			for range 3 {
				if got := gatewaytest.Next(t, r.session, resultAck); got.Refused != "" {
					t.Errorf("refused: %s", got.Refused)
				}
			}
		}, true, map[string]int{"ResultRefused": 0}},
		{"another result", func(t *testing.T, r *running) {
			r.session.Say(t, r.chunk(0, "hello"))
			r.session.Say(t, r.succeeded())
			gatewaytest.Next(t, r.session, resultAck)
			for range 2 {
				r.session.Say(t, &pb.Result{Ref: r.ref, Outcome: "failed", Cause: "exit", ExitCode: proto.Int32(1), EndOffset: 5})
				gatewaytest.Next(t, r.session, resultAck)
			}
		}, true, map[string]int{"JobFailed": 0}},
		{"a result in the next session", func(t *testing.T, r *running) {
			r.session.Say(t, r.chunk(0, "hello"))
			r.session.Say(t, r.succeeded())
			gatewaytest.Next(t, r.session, resultAck)
			r.session.Cut()
			r.session = r.agent.Connect(t, &pb.Held{Ref: r.ref, Phase: pb.Phase_PHASE_ENDED})
			if v := r.session.Welcome.Verdicts[0]; v.Keep {
				t.Errorf("the verdict is %v", v)
			}
			r.session.Say(t, r.succeeded())
			if got := gatewaytest.Next(t, r.session, resultAck); got.Refused != "" {
				t.Errorf("refused: %s", got.Refused)
			}
		}, true, map[string]int{"ResultRefused": 0}},
		{"whatever of an attempt that is over", func(t *testing.T, r *running) {
			r.session.Say(t, r.chunk(0, "hello"))
			r.session.Say(t, r.succeeded())
			gatewaytest.Next(t, r.session, resultAck)
			for _, m := range []any{
				r.chunk(5, " world"), r.chunk(99, "a gap"), &pb.Accept{Ref: r.ref}, &pb.Accept{Ref: r.ref, Refused: "no_room"},
				&pb.StepUpdate{Ref: r.ref, Step: 1, State: "running"},
				&pb.AgentBeat{Attempts: []*pb.AttemptUsage{{Ref: r.ref, Processes: 9}}},
			} {
				r.session.Say(t, m)
			}
			if c := gatewaytest.Next(t, r.session, cancelled); c.Reason != "fenced" {
				t.Errorf("the agent is told %v", c)
			}
		}, true, map[string]int{"JobStarted": 1, "StepStarted": 0, "JobRequeued": 0}},
		{"whatever on a session of the past", func(t *testing.T, r *running) {
			r.session.Say(t, r.chunk(0, "hello"))
			gatewaytest.Next(t, r.session, ack)
			older := r.session
			r.session = r.agent.Connect(t, &pb.Held{Ref: r.ref, Phase: pb.Phase_PHASE_RUNNING})
			for _, m := range []any{r.chunk(5, " world"), r.succeeded(), &pb.StepUpdate{Ref: r.ref, Step: 1, State: "running"}} {
				_ = older.Send(m)
			}
			_ = older.End(t)
		}, false, map[string]int{"StepStarted": 0, "WorkerSuperseded": 0}},
		{"whatever of another process with the same key", func(t *testing.T, r *running) {
			r.session.Say(t, r.chunk(0, "hello"))
			gatewaytest.Next(t, r.session, ack)
			older := r.session
			r.agent.Instance = dummy.NewInstance()
			r.session = r.agent.Connect(t, &pb.Held{Ref: r.ref, Phase: pb.Phase_PHASE_RUNNING})
			_ = older.Send(r.succeeded())
			_ = older.End(t)
		}, false, map[string]int{"WorkerSuperseded": 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := run(t, gatewaytest.Start(t, gatewaytest.Options{}), anyJob)
			test.say(t, r)
			// What was said before this has been done when it is.
			marker := r.server.Bind(t, r.server.Submit(t, spec.Spec{}), r.agent.Worker(t))
			gatewaytest.Next(t, r.session, assign)
			r.session.Say(t, &pb.Accept{Ref: marker})
			gatewaytest.Next(t, r.session, start)
			if row, _ := r.server.Runner.World().Jobs.ByID(r.job); row.Status.Terminal() != test.over {
				t.Errorf("the job is %s", row.Status)
			}
			if head := r.server.JobLog.Head(r.key); head != 5 {
				t.Errorf("its log has %d bytes", head)
			}
			if !test.over {
				r.session.Say(t, r.succeeded())
			}
			r.status(t, job.Succeeded)
			if got := tagged(t, r.server, r.key); string(got[1]) != "hello" {
				t.Errorf("its log reads %q", got[1])
			}
			if n := r.events(t, "JobSucceeded"); n != 1 {
				t.Errorf("it succeeded %d times", n)
			}
			for typ, want := range test.want {
				if n := r.events(t, typ); n != want {
					t.Errorf("%s is recorded %d times, not %d", typ, n, want)
				}
			}
		})
	}
}

// events is how many of a type are in the streams of the job and its worker.
func (r *running) events(t *testing.T, typ string) (n int) {
	t.Helper()
	for _, e := range recorded(t, r.server, typ) {
		if stream := string(e.Stream); strings.HasSuffix(stream, r.ref.Job) || strings.HasSuffix(stream, r.agent.WorkerID) {
			n++
		}
	}
	return n
}
