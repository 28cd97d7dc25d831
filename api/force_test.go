package api

import (
	"testing"

	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/projections/telemetry"
)

func TestAJobTellsWhatDidNotEndByItself(t *testing.T) {
	s := newSite(t)
	c := s.admin()
	j := s.submit(c, `{"command":"x","retries":{"max":1}}`)
	by := &eventv1.Ending{Signal: "KILL", Forced: true, Killed: 3, Escaped: true}
	s.run(j.ID, 1, "", job.Finish{Outcome: job.OutcomeFailed, Cause: "signal", Ending: by})
	got, err := c.Job(t.Context(), j.ID)
	if err != nil || got.Forced || got.Killed != 0 || got.Escaped {
		t.Errorf("while the next attempt waits: %+v, %v", got, err)
	}
	s.run(j.ID, 2, "", job.Finish{Outcome: job.OutcomeFailed, Cause: "signal", Ending: by})
	got, err = c.Job(t.Context(), j.ID)
	if err != nil || !got.Forced || got.Killed != 3 || !got.Escaped {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAJobThatReadsItsTerminalIsSeenToWait(t *testing.T) {
	s := newSite(t)
	c := s.admin()
	j := s.submit(c, `{"command":"x"}`)
	s.start(j.ID, 1)
	s.server.Telemetry.Report(s.id(), 1, telemetry.Sample{Attempts: []telemetry.Attempt{{Job: parseID(t, j.ID), Attempt: 1, WaitsForInput: true}}})
	got, err := c.Job(t.Context(), j.ID)
	if err != nil || !got.Waits {
		t.Errorf("%+v, %v", got, err)
	}
	_, _, body := s.request("GET", "/v1/jobs", s.token("default", token.Viewer), "")
	page := decode[wire.Jobs](t, body)
	if len(page.Items) != 1 || !page.Items[0].Waits {
		t.Errorf("listed: %s", body)
	}
}
