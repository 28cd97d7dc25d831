package main

import (
	"strings"
	"testing"
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
