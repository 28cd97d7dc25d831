package api

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/api/wire"
)

// How a job ended, in the few words that all faces show.
func TestWordsOfAnEnding(t *testing.T) {
	const gib = 1 << 30
	oom := func(peak *uint64) *eventv1.JobFailed {
		return &eventv1.JobFailed{Cause: "out_of_memory", Detail: "the kernel killed a process of it because memory had run out", Step: 2,
			Ending: &eventv1.Ending{Signal: "KILL", Usage: &eventv1.Usage{PeakMemoryBytes: peak}}}
	}
	for _, row := range []struct {
		name    string
		end     proto.Message
		memory  uint64
		called  string
		reason  string
		summary string
	}{
		{"more memory than it may have", oom(proto.Uint64(8*gib - 5<<20)), 8 * gib, "", "out_of_memory", "out_of_memory: 8.0 of 8 GiB"},
		{"less than it may have, on a machine that had none left", oom(proto.Uint64(412 << 20)), 2 * gib, "", "out_of_memory", "out_of_memory: 412 MiB of 2 GiB"},
		{"memory, though it asked for none", oom(proto.Uint64(3 * gib)), 0, "", "out_of_memory", "out_of_memory: 3 GiB"},
		{"memory that could not be measured", oom(nil), 8 * gib, "", "out_of_memory", "out of memory in step 2"},
		{"memory, and nothing was measured", &eventv1.JobFailed{Cause: "out_of_memory"}, 8 * gib, "", "out_of_memory", "out of memory"},
		{"an exit code", &eventv1.JobFailed{Cause: "exit", Ending: &eventv1.Ending{ExitCode: proto.Int32(3)}}, 0, "", "exit", "exit code 3"},
		{"a worker that was silent", &eventv1.JobLost{Cause: "worker_lost", WorkerId: "e4r5i6s7", SilentNs: int64(30*time.Second + 12*time.Millisecond)}, 0, "eris", "lost", "worker eris silent for 30s"},
		{"one without a name", &eventv1.JobLost{Cause: "worker_lost", WorkerId: "e4r5i6s7", SilentNs: int64(5 * time.Minute)}, 0, "", "lost", "worker e4r5i6s7 silent for 5m"},
		{"one that forgot it", &eventv1.JobLost{Cause: "unknown_to_worker", WorkerId: "e4r5i6s7"}, 0, "eris", "lost", "worker eris came back and does not know it any more"},
		{"one that was ended", &eventv1.JobLost{Cause: "worker_terminated", WorkerId: "e4r5i6s7"}, 0, "eris", "lost", "worker eris was ended"},
		{"no ending", nil, 0, "", "", ""},
	} {
		var v wire.Job
		addEnding(&v, row.end, row.memory, row.called)
		if v.Reason != row.reason || v.Summary != row.summary {
			t.Errorf("%s: %q, %q; want %q, %q", row.name, v.Reason, v.Summary, row.reason, row.summary)
		}
	}
}
