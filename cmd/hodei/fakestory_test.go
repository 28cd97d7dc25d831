package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/hodei-jobs/hodei/api/sse"
	"github.com/hodei-jobs/hodei/api/wire"
)

// story streams the life of a job that was submitted: it runs for 12.4 s, writes
// what its name says, and ends as its name says. One that is queued waits until
// that was seen, until.
func story(w http.ResponseWriter, j *wire.Job, follow bool, until func()) {
	out := sse.NewWriter(w)
	followed := *j
	followed.Spec = nil // as lists, a follower is not told
	j = &followed
	event := func(name, id string, v any) {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		out.Event(name, id, b)
	}
	end := *j
	if follow && j.Name == "queued" {
		wait := *j
		wait.Reason, wait.Summary = "busy", "place 3 of 9"
		event("state", "", wait)
		_ = out.Flush()
		until()
	}
	if follow && !j.Terminal() {
		run := *j
		run.State, run.Attempt, run.WorkerName, run.Started = "running", 1, "atlas", at(fakeNow)
		event("state", "", run)
		if j.Name == "flaky" {
			wait := *j
			wait.Attempt, wait.Reason, wait.Summary = 1, "backoff", "attempt 2 in 10s"
			event("state", "", wait)
			run.Attempt = 2
			event("state", "", run)
		}
		end = run
		end.State, end.Finished = "succeeded", at(fakeNow.Add(12400*time.Millisecond))
	}
	offset := 0
	for _, text := range outputOf[j.Name] {
		offset += len(text)
		event("", fmt.Sprint(1<<40+offset), wire.LogPiece{B: []byte(text), Time: fakeNow.UnixNano()})
	}
	if !follow {
		event("head", "", wire.LogHead{Attempt: 1, Offset: uint64(offset), Whole: true})
		_ = out.Flush()
		return
	}
	switch j.Name {
	case "make":
		end.Usage = &wire.Usage{PeakMemory: ptr[uint64](412 << 20), PeakCPU: ptr(2.1)}
	case "fails":
		end.State, end.ExitCode, end.Summary = "failed", ptr[int32](7), "exit code 7"
	case "noprogram":
		end.State, end.Reason, end.Summary = "failed", "cannot_start", "cannot start ./build.sh: no such file"
	case "killed":
		end.State, end.Signal, end.Summary = "failed", "KILL", "ended by signal KILL, sender unknown"
	case "slow":
		end.State, end.Summary = "timed_out", "it ran longer than 10s"
	case "away":
		end.State, end.Summary = "lost", "worker eris silent for 30s"
	case "elsewhere":
		end.State, end.Summary = "cancelled", "cancelled: wrong branch"
	}
	event("end", "", end)
	_ = out.Flush()
}

// outputOf is what jobs of the made-up cluster write.
var outputOf = map[string][]string{
	"make":    {"ok   example.com/shop   1.204s\n"},
	"hostile": {"\x1b]0;owned\x07\x1b[31mred", "\x1b[2J\x1b]52;c;ZXZpbA==\x07\x9b1m and more\n"},
	"partial": {"no end of line"},

	"test-e2e": {"added 412 packages\n", "✓ checkout › pays with card (2.1 s)\n\x1b[31mKilled\x1b[0m"},

	"evil\x1b]0;owned\x07\u202e": {"\x1b]0;owned\x07\x1b[31mred"},
}

// eventsOf are the events of a job: those of the cluster, or what became of the
// attempts of one that is tried again.
func eventsOf(j *wire.Job) wire.Events {
	stream := "job-" + j.ID
	switch j.Name {
	case "flaky":
	case "away":
		return wire.Events{Items: []wire.Event{{Position: 48220, Time: fakeNow, Stream: stream, Type: "JobLost", Text: "attempt 1 lost with e4r5i6s7: worker lost, silent for 30s",
			Data: json.RawMessage(`{"attempt":1,"worker_id":"e4r5i6s7","cause":"worker_lost","silent":"30s12ms","retried":false}`)}}}
	default:
		return fakeEvents()
	}
	return wire.Events{Items: []wire.Event{
		{Position: 48214, Time: fakeNow, Stream: stream, Type: "JobSubmitted", Text: "submitted to default as flaky, needs 100m CPU", Data: json.RawMessage(`{}`)},
		{Position: 48217, Time: fakeNow, Stream: stream, Type: "JobFailed", Text: "failed with exit code 2 after 1.2s on m2c8v0xk: \x1b[2J; will be tried again",
			Data: json.RawMessage(`{"attempt":1,"worker_id":"m2c8v0xk","cause":"exit","retried":true}`)},
		{Position: 48218, Time: fakeNow, Stream: stream, Type: "JobRetryScheduled", Text: "retry 1 of 3 in 10s as attempt 2",
			Data: json.RawMessage(`{"attempt":2,"retry":1,"max":3,"delay":"10s"}`)},
	}}
}
