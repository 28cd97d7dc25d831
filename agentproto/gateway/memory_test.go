package gateway_test

import (
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/gateway/gatewaytest"
	pb "github.com/hodei-jobs/hodei/agentproto/v1"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/projections"
)

// TestASessionForgetsWhatIsOver: of attempts that have ended, whichever way, and of
// handshakes that are over, nothing is remembered for long.
func TestASessionForgetsWhatIsOver(t *testing.T) {
	server := gatewaytest.Start(t, gatewaytest.Options{})
	agent := gatewaytest.NewAgent(t, server)
	session := agent.Connect(t)
	for i := range 60 {
		j := server.Submit(t, anyJob)
		ref := server.Bind(t, j, agent.Worker(t))
		gatewaytest.Next(t, session, assign)
		session.Say(t, &pb.Accept{Ref: ref})
		gatewaytest.Next(t, session, start)
		session.Say(t, &pb.Chunk{Ref: ref, Tag: pb.Tag_TAG_STDOUT, Data: []byte("hello")})
		gatewaytest.Next(t, session, ack)
		want := job.Succeeded
		switch i % 3 {
		case 0:
			session.Say(t, &pb.Result{Ref: ref, Outcome: "succeeded", ExitCode: new(int32), EndOffset: 5})
		case 1:
			want = job.Lost
			session.Say(t, &pb.Chunk{Ref: ref, Tag: pb.Tag_TAG_STDOUT, Offset: 5, Data: []byte("on the way")})
			server.Lose(t, ref)
		case 2:
			want = job.Lost
			session.Say(t, &pb.Result{Ref: ref, Outcome: "splendid"})
		}
		server.Until(t, "it has ended", func(w *projections.World) bool {
			row, _ := w.Jobs.ByID(j)
			return row.Status == want
		})
	}
	deadline := time.Now().Add(gatewaytest.Patience)
	for {
		charges, handshakes, logs := server.Gateway.Charges(), server.Gateway.Handshakes(), len(server.JobLog.Open())
		if charges <= 1 && handshakes+logs == 0 { // the last one is forgotten with the next
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d attempts, %d handshakes and %d logs without an end are remembered", charges, handshakes, logs)
		}
		// Each World is compared with what the session has.
		server.Bind(t, server.Submit(t, anyJob), agent.Worker(t))
		ref := gatewaytest.Next(t, session, assign).Ref
		session.Say(t, &pb.Accept{Ref: ref})
		gatewaytest.Next(t, session, start)
		session.Say(t, &pb.Result{Ref: ref, Outcome: "succeeded", ExitCode: new(int32)})
		gatewaytest.Next(t, session, resultAck)
	}
}
