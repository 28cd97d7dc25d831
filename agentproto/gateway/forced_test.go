package gateway_test

import (
	"testing"

	"github.com/hodei-jobs/hodei/agentproto/gateway/gatewaytest"
	pb "github.com/hodei-jobs/hodei/agentproto/v1"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
)

func TestWhatDidNotEndByItselfIsRecorded(t *testing.T) {
	r := run(t, gatewaytest.Start(t, gatewaytest.Options{}), anyJob)
	r.session.Say(t, &pb.Result{Ref: r.ref, Outcome: "succeeded", ExitCode: new(int32), Killed: 3, Forced: true, Escaped: true})
	if got := gatewaytest.Next(t, r.session, resultAck); got.Refused != "" {
		t.Fatal(got.Refused)
	}
	events := recorded(t, r.server, "JobSucceeded")
	if len(events) != 1 {
		t.Fatalf("recorded %v", events)
	}
	if e := events[0].Value.(*eventv1.JobSucceeded).GetEnding(); !e.GetForced() || !e.GetEscaped() || e.GetKilled() != 3 {
		t.Errorf("recorded %v", e)
	}
}
