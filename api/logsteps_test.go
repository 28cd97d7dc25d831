package api

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/wire"
)

// Steps tell what of the log is theirs, also those of an attempt that was lost.
func TestStepsOfALog(t *testing.T) {
	s := newSite(t)
	path, a := s.story(t, time.Now())
	plain := s.token("default", token.Viewer)
	read := func(query string) wire.LogSteps {
		t.Helper()
		status, _, body := s.request("GET", path+"/steps"+query, plain, "")
		if status != 200 {
			t.Fatalf("%d: %s", status, body)
		}
		return decode[wire.LogSteps](t, body)
	}
	line := func(v wire.LogStep) string {
		text := fmt.Sprint(v.Step, " ", v.Name, " ", v.State)
		for _, offset := range []*uint64{v.From, v.To} {
			if offset == nil {
				text += " -"
			} else {
				text += fmt.Sprint(" ", *offset)
			}
		}
		return text
	}
	check := func(got wire.LogSteps, whole bool, want ...string) {
		t.Helper()
		var lines []string
		for _, v := range got.Steps {
			lines = append(lines, line(v))
		}
		if strings.Join(lines, "; ") != strings.Join(want, "; ") || got.Whole != whole || got.Size != a.head || got.Attempt != 1 {
			t.Errorf("got %q of %+v, want %q", lines, got, want)
		}
	}
	check(read(""), false, "1 build succeeded 0 25", "2 test running 25 -")
	a.step(3, "report", "skipped")
	a.finish(job.Finish{Outcome: job.OutcomeFailed, Cause: "exit", Ending: ending(1), Step: 2})
	check(read("?attempt=1"), true, "1 build succeeded 0 25", "2 test failed 25 40", "3 report skipped - -")
	if status, _, body := s.request("GET", path+"?step=report", plain, ""); status != 404 || !strings.Contains(string(body), "skipped") {
		t.Errorf("a step without output: %d %s", status, body)
	}
	if text, err := readAll(s.get(path+"?step=2", plain)); text != "three\nfour\nfive" || err != nil {
		t.Errorf("the last step: %q, %v", text, err)
	}
}

// Offsets that an agent made up are brought into order.
func TestStepsOfAnAgentThatLies(t *testing.T) {
	from := func(n uint64) *uint64 { return &n }
	f := stepFold{steps: []wire.LogStep{{Step: 2, From: from(50)}, {Step: 1, From: from(1 << 60)}, {Step: 4}, {Step: 3, From: from(7)}}}
	f.close(100, true)
	got := ""
	for _, v := range f.steps {
		if v.From != nil {
			got += fmt.Sprintf("%d %d-%d; ", v.Step, *v.From, *v.To)
		}
	}
	if want := "1 7-7; 2 7-7; 3 7-100; "; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
