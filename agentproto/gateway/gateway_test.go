package gateway_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/hodei-jobs/hodei/agentproto/gateway/gatewaytest"
	pb "github.com/hodei-jobs/hodei/agentproto/v1"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/commands"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections"
	"github.com/hodei-jobs/hodei/projections/joblog"
)

// Kinds of server messages, for gatewaytest.Next.
var (
	assign    = (*pb.ServerMessage).GetAssign
	start     = (*pb.ServerMessage).GetStart
	cancelled = (*pb.ServerMessage).GetCancel
	ack       = (*pb.ServerMessage).GetAck
	resultAck = (*pb.ServerMessage).GetResultAck
)

var anyJob = spec.Spec{Command: "true"}

func decode(t *testing.T, r *eventstore.Record, into proto.Message) {
	t.Helper()
	if err := proto.Unmarshal(r.Data, into); err != nil {
		t.Fatal(err)
	}
}

// TestAJobsTrace is told with its assignment, also by a later server.
func TestAJobsTrace(t *testing.T) {
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	server := gatewaytest.Start(t, gatewaytest.Options{})
	agent := gatewaytest.NewAgent(t, server)
	session := agent.Connect(t)
	traced := gatewaytest.Caller
	traced.Traceparent = commands.ParseTraceparent(trace)
	done := server.Commands.SubmitJobs(t.Context(), traced, []commands.Submission{{Spec: anyJob}})[0]
	if done.Err != nil {
		t.Fatal(done.Err)
	}
	server.Bind(t, done.ID, agent.Worker(t))
	if a := gatewaytest.Next(t, session, assign); a.Traceparent != trace {
		t.Errorf("it is of trace %q", a.Traceparent)
	}
	session.Cut()
	server.Kill(t)
	server.Restart(t)
	agent.Address = server.Address
	session = agent.Connect(t)
	if a := gatewaytest.Next(t, session, assign); a.Traceparent != trace {
		t.Errorf("after a restart it is of trace %q", a.Traceparent)
	}
	server.Bind(t, server.Submit(t, anyJob), agent.Worker(t))
	if a := gatewaytest.Next(t, session, assign); a.Traceparent != "" {
		t.Errorf("one without a trace is of %q", a.Traceparent)
	}
}

func TestOneJobFromAssignToResult(t *testing.T) {
	server := gatewaytest.Start(t, gatewaytest.Options{})
	agent := gatewaytest.NewAgent(t, server)
	session := agent.Connect(t)
	j := server.Submit(t, spec.Spec{Name: "hello", Command: "echo hello", Env: map[string]string{"B": "2", "A": "1"}})
	ref := server.Bind(t, j, agent.Worker(t))

	a := gatewaytest.Next(t, session, assign)
	if a.Name != "hello" || a.Ref.Attempt != 1 || len(a.Steps) != 1 || a.Steps[0].Argv[2] != "echo hello" || a.Env[0].Key != "A" {
		t.Errorf("assigned %v", a)
	}
	session.Say(t, &pb.Accept{Ref: ref})
	gatewaytest.Next(t, session, start)
	server.Until(t, "it runs", func(w *projections.World) bool {
		row, _ := w.Jobs.ByID(j)
		return row.Status == job.Running
	})
	session.Say(t, &pb.StepUpdate{Ref: ref, Step: 1, Name: "hello", State: "running"})
	session.Say(t, &pb.Chunk{Ref: ref, Tag: pb.Tag_TAG_STDOUT, Data: []byte("hello\n")})
	if got := gatewaytest.Next(t, session, ack); got.Have != 6 {
		t.Errorf("acknowledged %d bytes", got.Have)
	}
	session.Say(t, &pb.Result{Ref: ref, Outcome: "succeeded", ExitCode: new(int32), EndOffset: 6})
	if got := gatewaytest.Next(t, session, resultAck); got.Refused != "" {
		t.Errorf("refused: %s", got.Refused)
	}
	server.Until(t, "it succeeded", func(w *projections.World) bool {
		row, _ := w.Jobs.ByID(j)
		return row.Status == job.Succeeded
	})
	k := joblog.Key{Job: j, Attempt: 1}
	pieces, _, err := server.JobLog.Read(t.Context(), k, 0, 100)
	if err != nil || len(pieces) != 1 || string(pieces[0].Data) != "hello\n" {
		t.Errorf("the log reads %v, %v", pieces, err)
	}
	if end, ok := server.JobLog.Ended(k); !ok || end != 6 {
		t.Errorf("the log ended at %d, %t", end, ok)
	}
}
