package gateway_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/gateway/gatewaytest"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/projections"
	"github.com/hodei-jobs/hodei/projections/joblog"
)

// TestRenewalsLoseNothing: an agent opens its next session again and again, while
// one job prints and others come and go. Each runs once, and the log has each byte.
func TestRenewalsLoseNothing(t *testing.T) {
	const renewals, lines = 10, 50
	server := gatewaytest.Start(t, gatewaytest.Options{Renew: 40 * time.Millisecond})
	worker := realAgent(t, server)
	no := false
	printing := server.Submit(t, spec.Spec{
		Command: fmt.Sprintf("i=0; while [ $i -lt %d ]; do i=$((i+1)); echo $i; echo $i >&2; sleep 0.02; done", lines), TTY: &no,
	})
	server.Bind(t, printing, worker)
	jobs := []id.ID{printing}
	for len(recorded(t, server, "WorkerConnected")) <= renewals {
		j := server.Submit(t, anyJob)
		server.Bind(t, j, worker)
		jobs = append(jobs, j)
		server.Until(t, "it has ended", func(w *projections.World) bool {
			row, _ := w.Jobs.ByID(j)
			return row.Status.Terminal()
		})
	}
	for _, j := range jobs {
		server.Until(t, "it succeeded in its first attempt", func(w *projections.World) bool {
			row, _ := w.Jobs.ByID(j)
			if row.Status.Terminal() && row.Status != job.Succeeded || row.Attempt != 1 {
				t.Fatalf("job %s is %s, attempt %d", j, row.Status, row.Attempt)
			}
			return row.Status == job.Succeeded
		})
	}
	var want bytes.Buffer
	for i := range lines {
		fmt.Fprintln(&want, i+1)
	}
	got := tagged(t, server, joblog.Key{Job: printing, Attempt: 1})
	for tag := 1; tag <= 2; tag++ {
		if !bytes.Equal(got[tag], want.Bytes()) {
			t.Errorf("the log has %d bytes with tag %d, not the %d that were printed", len(got[tag]), tag, want.Len())
		}
	}
	for _, unwanted := range []string{"WorkerDisconnected", "WorkerSuperseded", "ResultRefused", "JobRequeued"} {
		if n := len(recorded(t, server, unwanted)); n > 0 {
			t.Errorf("%d times %s is recorded", n, unwanted)
		}
	}
}
