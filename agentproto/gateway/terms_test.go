package gateway_test

import (
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/gateway"
	"github.com/hodei-jobs/hodei/agentproto/gateway/gatewaytest"
	pb "github.com/hodei-jobs/hodei/agentproto/v1"
	"github.com/hodei-jobs/hodei/aggregates/settings"
)

// TestAgentsHearOfChangedSettings at once, and again in each Welcome.
func TestAgentsHearOfChangedSettings(t *testing.T) {
	server := gatewaytest.Start(t, gatewaytest.Options{})
	agent := gatewaytest.NewAgent(t, server)
	session := agent.Connect(t)
	for _, change := range []struct{ tolerance, orphanAfter time.Duration }{{20 * time.Second, 2 * time.Hour}, {20 * time.Second, time.Minute}} {
		if _, err := server.Commands.ChangeSettings(t.Context(), gatewaytest.Caller, settings.Change{ReconnectTolerance: &change.tolerance, OrphanAfter: &change.orphanAfter}); err != nil {
			t.Fatal(err)
		}
		told := gatewaytest.Next(t, session, (*pb.ServerMessage).GetTerms)
		if told.ToleranceNs != int64(change.tolerance) || told.OrphanAfterNs != int64(change.orphanAfter) {
			t.Errorf("told %v of %v", told, change)
		}
	}
	again := agent.Connect(t).Welcome
	if again.ToleranceNs != int64(20*time.Second) || again.OrphanAfterNs != int64(time.Minute) {
		t.Errorf("the next Welcome says %v", again)
	}
}

// The shortest tolerance leaves workers that live the time to be heard.
func TestTheShortestToleranceIsLongerThanABeat(t *testing.T) {
	if settings.MinReconnectTolerance < 2*gateway.Heartbeat {
		t.Errorf("a tolerance of %s may be set, and agents are heard every %s", settings.MinReconnectTolerance, gateway.Heartbeat)
	}
}
