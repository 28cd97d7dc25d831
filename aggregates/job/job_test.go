package job_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hodei-jobs/hodei/aggregates/aggregatetest"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/spec"
)

var aggregate = aggregatetest.Aggregate[job.State, job.Command]{Evolve: job.Evolve, Decide: job.State.Decide}

type row aggregatetest.Row[job.Command]

// Short names, so that rows read as sentences.
var (
	given   = aggregatetest.Given
	then    = aggregatetest.Then
	nothing = aggregatetest.Nothing()
	refused = aggregatetest.Refused
)

var (
	history = aggregatetest.Named[[]proto.Message]
	command = aggregatetest.Named[job.Command]
)

func when(c job.Command) job.Command { return c }

// submitted is a job of two steps that takes what its options say.
func submitted(options ...func(*eventv1.JobSubmitted)) *eventv1.JobSubmitted {
	e := &eventv1.JobSubmitted{
		Namespace: "web", Name: "build", Steps: 2,
		Cancel: &eventv1.CancelPolicy{Signal: "TERM", GraceNs: int64(10 * time.Second)},
	}
	for _, o := range options {
		o(e)
	}
	return e
}

func retries(most uint32, on ...string) func(*eventv1.JobSubmitted) {
	return func(e *eventv1.JobSubmitted) { e.Retries = &eventv1.Retries{Max: most, On: on} }
}

func backoff(d time.Duration) func(*eventv1.JobSubmitted) {
	return func(e *eventv1.JobSubmitted) { e.Retries.BackoffNs = int64(d) }
}

func limited(d time.Duration) func(*eventv1.JobSubmitted) {
	return func(e *eventv1.JobSubmitted) { e.TimeLimitNs = int64(d) }
}

func exclusive(e *eventv1.JobSubmitted) { e.Exclusive = true }

func bound(attempt uint32, worker string) *eventv1.JobBound {
	return &eventv1.JobBound{Attempt: attempt, WorkerId: worker}
}

func started(attempt uint32, worker string) *eventv1.JobStarted {
	return &eventv1.JobStarted{Attempt: attempt, WorkerId: worker}
}

func requeued(attempt uint32, cause string) *eventv1.JobRequeued {
	return &eventv1.JobRequeued{Attempt: attempt, Cause: cause}
}

func succeeded(attempt uint32, worker string) *eventv1.JobSucceeded {
	return &eventv1.JobSucceeded{Attempt: attempt, WorkerId: worker}
}

func failed(attempt uint32, worker, cause string) *eventv1.JobFailed {
	return &eventv1.JobFailed{Attempt: attempt, WorkerId: worker, Cause: cause}
}

func retriedAfter(e *eventv1.JobFailed) *eventv1.JobFailed {
	e.Retried = true
	return e
}

func retry(attempt, number, most uint32, delay time.Duration) *eventv1.JobRetryScheduled {
	return &eventv1.JobRetryScheduled{Attempt: attempt, Retry: number, Max: most, DelayNs: int64(delay)}
}

func lost(attempt uint32, worker string, retried bool) *eventv1.JobLost {
	return &eventv1.JobLost{Attempt: attempt, WorkerId: worker, Cause: "worker_lost", SilentNs: int64(30 * time.Second), Retried: retried}
}

func cancelRequested(reason string) *eventv1.JobCancelRequested {
	return &eventv1.JobCancelRequested{Reason: reason, Signal: "TERM", GraceNs: int64(10 * time.Second)}
}

func cancelled(attempt uint32, worker, reason string) *eventv1.JobCancelled {
	return &eventv1.JobCancelled{Attempt: attempt, WorkerId: worker, Reason: reason}
}

func resultRefused(attempt, current uint32, worker, outcome, cause string) *eventv1.ResultRefused {
	return &eventv1.ResultRefused{Attempt: attempt, Current: current, WorkerId: worker, Outcome: outcome, Cause: cause}
}

func stepStarted(step uint32) *eventv1.StepStarted {
	return &eventv1.StepStarted{Attempt: 1, Step: step}
}

func finish(attempt uint32, worker, outcome string) job.Finish {
	return job.Finish{Attempt: attempt, Worker: worker, Outcome: outcome}
}

func lose(attempt uint32) job.Lose {
	return job.Lose{Attempt: attempt, Cause: job.CauseWorkerLost, Silent: 30 * time.Second}
}

func sealLog(attempt uint32) job.SealLog {
	return job.SealLog{Attempt: attempt, Size: 5, Digest: [32]byte{1}}
}

// The matrix is the state diagram, written out.
func TestMatrix(t *testing.T) {
	submitted := submitted(retries(1), backoff(time.Second), limited(time.Minute))
	running := given(submitted, bound(1, "w1"), started(1, "w1"))
	after := func(events ...proto.Message) []proto.Message { return append(running[:3:3], events...) }
	histories := []aggregatetest.Case[[]proto.Message]{
		history("none", nil),
		history("pending", given(submitted)),
		history("pending, backoff", after(retriedAfter(failed(1, "w1", "exit")), retry(2, 1, 1, time.Second))),
		history("bound", given(submitted, bound(1, "w1"))),
		history("running", running),
		history("running, to be cancelled", after(cancelRequested("no"))),
		history("running, its last retry", after(retriedAfter(failed(1, "w1", "exit")), retry(2, 1, 1, 0), requeued(2, "backoff_over"), bound(2, "w1"), started(2, "w1"))),
		history("succeeded", after(succeeded(1, "w1"))),
		history("failed", after(failed(1, "w1", "exit"))),
		history("cancelled", after(cancelRequested("no"), cancelled(1, "w1", "no"))),
		history("timed_out", after(&eventv1.JobTimedOut{Attempt: 1, WorkerId: "w1"})),
		history("lost", after(lost(1, "w1", false))),
	}
	var b strings.Builder
	for _, attempt := range []uint32{1, 2} {
		b.WriteString(map[uint32]string{1: "# About attempt 1\n\n", 2: "\n# About attempt 2\n\n"}[attempt])
		b.WriteString(aggregate.Matrix(t, histories, commands(attempt)))
	}
	aggregatetest.Golden(t, "matrix.golden.md", b.String())
}

func commands(n uint32) []aggregatetest.Case[job.Command] {
	return []aggregatetest.Case[job.Command]{
		command("Submit", job.Submit{Spec: spec.Spec{Command: "make"}}),
		command("Bind", job.Bind{Attempt: n, Worker: "w1"}),
		command("Start", job.Start{Attempt: n, Worker: "w1"}),
		command("RecordStep", job.RecordStep{Attempt: n, Worker: "w1", Step: 1, State: job.StepRunning}),
		command("Finish succeeded", finish(n, "w1", "succeeded")),
		command("Finish failed", finish(n, "w1", "failed")),
		command("Finish cancelled", finish(n, "w1", "cancelled")),
		command("Finish timed_out", finish(n, "w1", "timed_out")),
		command("RequestCancel", job.RequestCancel{Reason: "no"}),
		command("Lose", lose(n)),
		command("Expire", job.Expire{Attempt: n}),
		command("Requeue not_started", job.Requeue{Attempt: n, Cause: "not_started"}),
		command("Requeue backoff_over", job.Requeue{Attempt: n, Cause: "backoff_over"}),
		command("SealLog", sealLog(n)),
	}
}

func TestStatusNames(t *testing.T) {
	for _, s := range job.Statuses {
		parsed, ok := job.ParseStatus(s.String())
		if ok != (s != job.None) || parsed != s {
			t.Errorf("%s is parsed as %s, %t", s, parsed, ok)
		}
	}
	if got := job.Status(99).String(); got != "status_99" {
		t.Errorf("an unknown status is %s", got)
	}
}
