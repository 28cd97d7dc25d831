package main

import (
	"strings"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/cmd/hodei/term"
)

func TestAJobsForcedEndAndItsWaitingAreShown(t *testing.T) {
	f := isolate(t)
	for i := range f.jobs {
		switch j := &f.jobs[i]; j.State {
		case "failed":
			j.Forced, j.Killed, j.Escaped = true, 3, true
		case "running":
			j.Waits = true
		}
	}
	for command, want := range map[string]string{
		"job get 6wv0p3nc": "by force   killed when its grace had passed, 3 processes it left, some could not be killed",
		"job get 2m7xk4ra": "running, waiting for keyboard input",
		"job list":         "waiting for keyboard input",
	} {
		var out strings.Builder
		a := &app{stdout: &out, stderr: &out}
		if code := a.run(t.Context(), strings.Fields(command)); code > exitNo || !strings.Contains(out.String(), want) {
			t.Errorf("%s: code %d\n%s", command, code, out.String())
		}
	}
}

// A step of a job that was lost does not run for ever: nobody said how it ended.
func TestAStepOfALostJob(t *testing.T) {
	var out strings.Builder
	a := &app{stdout: &out, now: func() time.Time { return fakeNow }, out: term.Style{Unicode: true}}
	j := wire.Job{ID: "7f3k9qd2", Name: "etl", State: "lost", Summary: "worker eris silent for 30s", Finished: &fakeNow,
		Steps: []wire.Step{{Step: 1, Name: "etl", State: "running"}, {Step: 2, Name: "report", State: "skipped"}}}
	if err := a.showJob(&j, nil, nil); err != nil || !strings.HasSuffix(out.String(), "\n  1 etl              ? lost\n  2 report           - skipped\n") {
		t.Errorf("%v: %s", err, out.String())
	}
	out.Reset()
	j.State = "running"
	if err := a.showJob(&j, nil, nil); err != nil || !strings.Contains(out.String(), "\n  1 etl              ▶ running\n") {
		t.Errorf("%v: %s", err, out.String())
	}
}
