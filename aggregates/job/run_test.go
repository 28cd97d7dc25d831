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

func TestSubmit(t *testing.T) {
	ask := spec.Spec{
		Steps:    []spec.Step{{Run: "make"}, {Run: "make test"}},
		Priority: 7, Timeout: spec.Hour, Exclusive: true,
		Retries: spec.Retries{Max: 2, On: []string{"lost", "exit"}, Backoff: spec.Second},
	}
	whole := ask.WithDefaults()
	aggregatetest.Run(t, aggregate, []row{
		{"a job that is submitted for the first time",
			given(), when(job.Submit{Spec: ask}),
			then(&eventv1.JobSubmitted{
				Namespace: "default", Name: "make", Resources: &eventv1.Resources{CpuMilli: 100},
				Priority: 7, Exclusive: true, TimeLimitNs: int64(time.Hour),
				Retries: &eventv1.Retries{Max: 2, On: []string{"exit", "lost"}, BackoffNs: int64(time.Second)},
				Cancel:  &eventv1.CancelPolicy{Signal: "TERM", GraceNs: int64(10 * time.Second)},
				Spec:    whole.Canonical(), Steps: 2,
			})},
		{"an id that another job has",
			given(submitted()), when(job.Submit{Spec: ask}),
			refused("cannot submit job: a job with this id exists")},
		{"a spec that is not valid",
			given(), when(job.Submit{Spec: spec.Spec{}}),
			refused("cannot accept this spec: one of command, steps and argv is needed")},
	})
}

func TestBindAndStart(t *testing.T) {
	decision := &eventv1.Decision{Policy: "binpack"}
	aggregatetest.Run(t, aggregate, []row{
		{"a pending job is given to a worker, with the reason",
			given(submitted()), when(job.Bind{Attempt: 1, Worker: "w1", Decision: decision}),
			then(&eventv1.JobBound{Attempt: 1, WorkerId: "w1", Decision: decision})},
		{"a binding that comes twice",
			given(submitted(), bound(1, "w1")), when(job.Bind{Attempt: 1, Worker: "w1", Decision: decision}), nothing},
		{"a bound job that is bound elsewhere",
			given(submitted(), bound(1, "w1")), when(job.Bind{Attempt: 2, Worker: "w2"}),
			refused("cannot bind job: it is bound")},
		{"a binding planned before the last attempt was given up",
			given(submitted(), bound(1, "w1"), requeued(2, "not_started")), when(job.Bind{Attempt: 1, Worker: "w2"}),
			refused("cannot bind job: attempt 1 is stale, next is 2")},
		{"a job that waits for the delay of a retry",
			given(submitted(retries(1), backoff(time.Second)), bound(1, "w1"), started(1, "w1"),
				retriedAfter(failed(1, "w1", "exit")), retry(2, 1, 1, time.Second)),
			when(job.Bind{Attempt: 2, Worker: "w2"}),
			refused("cannot bind job: it waits for the delay of retry 1")},
		{"a worker without a name",
			given(submitted()), when(job.Bind{Attempt: 1}),
			refused("cannot bind job: worker: it is needed")},
		{"a job that does not exist is bound",
			given(), when(job.Bind{Attempt: 1, Worker: "w1"}), refused("cannot bind job: there is no such job")},
		{"a worker that accepts its assignment may execute",
			given(submitted(), bound(1, "w1")), when(job.Start{Attempt: 1, Worker: "w1"}), then(started(1, "w1"))},
		{"a start that comes twice",
			given(submitted(), bound(1, "w1"), started(1, "w1")), when(job.Start{Attempt: 1, Worker: "w1"}), nothing},
		{"a start of an attempt that was given up",
			given(submitted(), bound(1, "w1"), requeued(2, "not_started"), bound(2, "w2")), when(job.Start{Attempt: 1, Worker: "w1"}),
			refused("cannot start job: attempt 1 is not the current one, that is 2")},
		{"a start by a worker that was not given the attempt",
			given(submitted(), bound(1, "w1")), when(job.Start{Attempt: 1, Worker: "w2"}),
			refused("cannot start job: attempt 1 was given to worker w1, not to w2")},
		{"a start of an attempt that was given up and not bound again",
			given(submitted(), bound(1, "w1"), requeued(2, "not_started")), when(job.Start{Attempt: 1, Worker: "w1"}),
			refused("cannot start job: it is pending")},
		{"a start after the job was cancelled",
			given(submitted(), bound(1, "w1"), cancelRequested("no"), cancelled(1, "w1", "no")), when(job.Start{Attempt: 1, Worker: "w1"}),
			refused("cannot start job: it is already cancelled")},
	})
}

func TestRecordStep(t *testing.T) {
	running := given(submitted(), bound(1, "w1"), started(1, "w1"))
	after := func(events ...proto.Message) []proto.Message {
		return append(running[:len(running):len(running)], events...)
	}
	step := func(n uint32, state string) job.RecordStep {
		return job.RecordStep{Attempt: 1, Worker: "w1", Step: n, Name: "test", State: state}
	}
	code := int32(2)
	ended := job.RecordStep{Attempt: 1, Worker: "w1", Step: 1, Name: "test", State: job.StepFailed, ExitCode: &code, Took: time.Second}
	finished := &eventv1.StepFinished{Attempt: 1, Step: 1, Name: "test", State: "failed", ExitCode: &code, TookNs: int64(time.Second)}
	aggregatetest.Run(t, aggregate, []row{
		{"a step that begins",
			running, when(step(1, job.StepRunning)), then(&eventv1.StepStarted{Attempt: 1, Step: 1, Name: "test"})},
		{"a step that begins, said twice",
			after(stepStarted(1)), when(step(1, job.StepRunning)), nothing},
		{"a step that ends", after(stepStarted(1)), when(ended), then(finished)},
		{"a step that ends, said twice", after(stepStarted(1), finished), when(ended), nothing},
		{"a step that is skipped without having begun",
			after(stepStarted(1), finished), when(step(2, job.StepSkipped)),
			then(&eventv1.StepFinished{Attempt: 1, Step: 2, Name: "test", State: "skipped"})},
		{"a step that is behind the newest", after(stepStarted(2)), when(ended), nothing},
		{"a step that began before it ended, said late", after(stepStarted(1), finished), when(step(1, job.StepRunning)), nothing},
		{"a step the job does not have", running, when(step(3, job.StepRunning)),
			refused("cannot record a step of job: step: there is no step 3, it has 2")},
		{"a state no step has", running, when(step(1, "asleep")),
			refused(`cannot record a step of job: state: "asleep" is not a state of a step`)},
		{"a step of an attempt that has not started",
			given(submitted(), bound(1, "w1")), when(step(1, job.StepRunning)),
			refused("cannot record a step of job: it is bound")},
		{"a name that is too long, and no UTF-8",
			running, when(job.RecordStep{Attempt: 1, Worker: "w1", Step: 1, State: job.StepRunning, Name: "\xff" + strings.Repeat("x", 200)}),
			then(&eventv1.StepStarted{Attempt: 1, Step: 1, Name: "\uFFFD" + strings.Repeat("x", spec.MaxName-3)})},
	})
}
