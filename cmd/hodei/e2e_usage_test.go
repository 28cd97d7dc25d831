package main

import (
	"encoding/json"
	"testing"

	"github.com/hodei-jobs/hodei/api/wire"
)

// What a job is said to have used at its peak is what it used: a process that is over
// within a second too, and several of which each has a part.
func TestPeakMemory(t *testing.T) {
	t.Parallel()
	requires(t, "dd", "head", "tail")
	c := startCluster(t)
	const want = 300_000_000
	for name, script := range map[string]string{
		"one process":       "dd if=/dev/zero of=/dev/null bs=300000000 count=1",
		"several processes": `for i in 1 2 3; do { head -c 100000000 /dev/zero; sleep 8; } | tail -c 100000000 >/dev/null & done; wait`,
	} {
		id, stderr, code := c.hodei("run", "-q", "--detach", "--", "sh", "-c", script)
		if code != 0 {
			t.Fatal(stderr)
		}
		id = id[:len(id)-1]
		if _, stderr, code := c.hodei("job", "wait", id); code != 0 {
			t.Fatalf("%s: %s", name, stderr)
		}
		text, _, _ := c.hodei("job", "get", id, "-o", "json")
		var job wire.Job
		if err := json.Unmarshal([]byte(text), &job); err != nil {
			t.Fatal(err)
		}
		if job.Usage == nil || job.Usage.PeakMemory == nil {
			t.Fatalf("%s: no peak in %s", name, text)
		}
		if got := *job.Usage.PeakMemory; got < want*9/10 || got > want*11/10 {
			t.Errorf("%s: %d bytes at the peak, %d were used", name, got, want)
		}
	}
}
