package gateway_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hodei-jobs/hodei/agentproto/gateway/gatewaytest"
	pb "github.com/hodei-jobs/hodei/agentproto/v1"
	"github.com/hodei-jobs/hodei/aggregates/spec"
)

// TestALogBeyondItsLimit: an agent that sends more than is kept ends its session,
// also when it had the attempt before, and nothing of it is stored.
func TestALogBeyondItsLimit(t *testing.T) {
	const limit, words = 4096, 512
	r := run(t, gatewaytest.Start(t, gatewaytest.Options{}), spec.Spec{Command: "x", LogLimit: limit})
	r.session.Say(t, r.chunk(0, strings.Repeat("x", limit+words))) // with words that tell of it
	gatewaytest.Next(t, r.session, ack)
	for range 2 {
		r.session.Say(t, r.chunk(limit+words, "y"))
		if err := r.session.End(t); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "its limit is 4096") {
			t.Fatalf("the session ends with %v", err)
		}
		r.session = r.agent.Connect(t, &pb.Held{Ref: r.ref, Phase: pb.Phase_PHASE_RUNNING})
		if v := r.session.Welcome.Verdicts[0]; !v.Keep || v.Have != limit+words {
			t.Fatalf("the verdict is %v", v)
		}
	}
	if head := r.server.JobLog.Head(r.key); head != limit+words {
		t.Errorf("the log has %d bytes", head)
	}
}
