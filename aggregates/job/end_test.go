package job_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hodei-jobs/hodei/aggregates/aggregatetest"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/job"
)

func TestFinish(t *testing.T) {
	code, zero := int32(2), int32(0)
	running := given(submitted(), bound(1, "w1"), started(1, "w1"))
	again := given(submitted(retries(1)), bound(1, "w1"), started(1, "w1"), lost(1, "w1", true), retry(2, 1, 1, 0), requeued(2, "backoff_over"), bound(2, "w2"))
	aggregatetest.Run(t, aggregate, []row{
		{"a job that ends with exit code 0",
			running, when(job.Finish{Attempt: 1, Worker: "w1", Outcome: "succeeded", Ending: &eventv1.Ending{ExitCode: &zero}}),
			then(&eventv1.JobSucceeded{Attempt: 1, WorkerId: "w1", Ending: &eventv1.Ending{ExitCode: &zero}})},
		{"a result that comes twice",
			append(running[:3:3], succeeded(1, "w1")), when(finish(1, "w1", "succeeded")), nothing},
		{"a job that fails, with no retries",
			running, when(job.Finish{Attempt: 1, Worker: "w1", Outcome: "failed", Cause: "out_of_memory", Detail: "killed", Step: 2, Ending: &eventv1.Ending{ExitCode: &code}}),
			then(&eventv1.JobFailed{Attempt: 1, WorkerId: "w1", Cause: "out_of_memory", Detail: "killed", Step: 2, Ending: &eventv1.Ending{ExitCode: &code}})},
		{"a failure whose cause is no code",
			running, when(job.Finish{Attempt: 1, Worker: "w1", Outcome: "failed", Cause: "Oh no!\n"}), then(failed(1, "w1", "exit"))},
		{"a worker that stops a job nobody asked to be stopped",
			running, when(finish(1, "w1", "cancelled")), then(failed(1, "w1", "stopped_by_worker"))},
		{"that report when it comes twice",
			append(running[:3:3], failed(1, "w1", "stopped_by_worker")), when(finish(1, "w1", "cancelled")), nothing},
		{"an attempt that reaches its time limit",
			given(submitted(limited(time.Minute)), bound(1, "w1"), started(1, "w1")), when(finish(1, "w1", "timed_out")),
			then(&eventv1.JobTimedOut{Attempt: 1, WorkerId: "w1", TimeLimitNs: int64(time.Minute)})},
		{"a step that reaches a limit of its own, before the job's",
			given(submitted(limited(time.Minute)), bound(1, "w1"), started(1, "w1")),
			when(job.Finish{Attempt: 1, Worker: "w1", Outcome: "timed_out", Step: 1, Ending: &eventv1.Ending{TookNs: int64(time.Second)}}),
			then(&eventv1.JobTimedOut{Attempt: 1, WorkerId: "w1", Step: 1, Ending: &eventv1.Ending{TookNs: int64(time.Second)}})},
		{"a step that is under way at the job's limit",
			given(submitted(limited(time.Minute)), bound(1, "w1"), started(1, "w1")),
			when(job.Finish{Attempt: 1, Worker: "w1", Outcome: "timed_out", Step: 1, Ending: &eventv1.Ending{TookNs: int64(time.Minute)}}),
			then(&eventv1.JobTimedOut{Attempt: 1, WorkerId: "w1", Step: 1, TimeLimitNs: int64(time.Minute), Ending: &eventv1.Ending{TookNs: int64(time.Minute)}})},
		{"an outcome that does not exist",
			running, when(finish(1, "w1", "exploded")), refused(`cannot finish job: outcome: "exploded" is not an outcome`)},
		{"a result that comes after the attempt was lost",
			again, when(finish(1, "w1", "succeeded")), then(resultRefused(1, 2, "w1", "succeeded", "fenced"))},
		{"that result when it comes twice",
			append(again[:7:7], resultRefused(1, 2, "w1", "succeeded", "fenced")), when(finish(1, "w1", "succeeded")), nothing},
		{"another outcome of the same lost attempt",
			append(again[:7:7], resultRefused(1, 2, "w1", "succeeded", "fenced")), when(finish(1, "w1", "failed")), nothing},
		{"a success after the worker's silence had cost the job its end",
			given(submitted(), bound(1, "w1"), started(1, "w1"), lost(1, "w1", false)), when(finish(1, "w1", "succeeded")),
			then(resultRefused(1, 1, "w1", "succeeded", "fenced"))},
		{"a success of an attempt that was timed out by the server",
			given(submitted(limited(time.Minute)), bound(1, "w1"), started(1, "w1"), &eventv1.JobTimedOut{Attempt: 1, WorkerId: "w1"}),
			when(finish(1, "w1", "succeeded")), then(resultRefused(1, 1, "w1", "succeeded", "finished"))},
		{"the report of the time limit that the server has recorded itself",
			given(submitted(limited(time.Minute)), bound(1, "w1"), started(1, "w1"), &eventv1.JobTimedOut{Attempt: 1, WorkerId: "w1"}),
			when(finish(1, "w1", "timed_out")), nothing},
		{"a failure of an attempt before the current one, which was taken",
			given(submitted(retries(1)), bound(1, "w1"), started(1, "w1"), retriedAfter(failed(1, "w1", "exit")), retry(2, 1, 1, 0), requeued(2, "backoff_over"), bound(2, "w2")),
			when(finish(1, "w1", "failed")), nothing},
		{"a result of an attempt that was not allowed to start",
			given(submitted(), bound(1, "w1")), when(finish(1, "w1", "succeeded")),
			then(resultRefused(1, 1, "w1", "succeeded", "not_started"))},
		{"a worker that can't start what it was not allowed to start yet",
			given(submitted(), bound(1, "w1")), when(job.Finish{Attempt: 1, Worker: "w1", Outcome: "failed", Cause: "cannot_start", Detail: "no space"}),
			then(&eventv1.JobRequeued{Attempt: 2, Cause: "refused_by_worker", Detail: "cannot_start: no space"})},
		{"a result of an attempt of another worker",
			running, when(finish(1, "w2", "succeeded")),
			refused("cannot finish job: attempt 1 was given to worker w1, not to w2")},
		{"a result of an attempt that never was",
			running, when(finish(7, "w1", "succeeded")), refused("cannot finish job: there was no attempt 7, the newest is 1")},
		{"a signal's name that is too long",
			running, when(job.Finish{Attempt: 1, Worker: "w1", Outcome: "failed", Cause: "signal", Ending: &eventv1.Ending{Signal: strings.Repeat("K", 99), TookNs: -1}}),
			then(&eventv1.JobFailed{Attempt: 1, WorkerId: "w1", Cause: "signal", Ending: &eventv1.Ending{Signal: strings.Repeat("K", 32)}})},
	})
}

func TestRetry(t *testing.T) {
	running := func(options ...func(*eventv1.JobSubmitted)) []proto.Message {
		return given(submitted(options...), bound(1, "w1"), started(1, "w1"))
	}
	third := func(options ...func(*eventv1.JobSubmitted)) []proto.Message {
		return append(running(options...),
			retriedAfter(failed(1, "w1", "exit")), retry(2, 1, 9, 0), requeued(2, "backoff_over"), bound(2, "w2"), started(2, "w2"),
			retriedAfter(failed(2, "w2", "exit")), retry(3, 2, 9, 0), requeued(3, "backoff_over"), bound(3, "w3"), started(3, "w3"))
	}
	waiting := append(running(retries(1), backoff(time.Second)), retriedAfter(failed(1, "w1", "exit")), retry(2, 1, 1, time.Second))
	aggregatetest.Run(t, aggregate, []row{
		{"a failure with a retry left and no delay",
			running(retries(1)), when(finish(1, "w1", "failed")),
			then(retriedAfter(failed(1, "w1", "exit")), retry(2, 1, 1, 0), requeued(2, "backoff_over"))},
		{"a failure with a retry left and a delay",
			running(retries(1), backoff(time.Second)), when(finish(1, "w1", "failed")),
			then(retriedAfter(failed(1, "w1", "exit")), retry(2, 1, 1, time.Second))},
		{"the delay doubles with each retry",
			third(retries(9), backoff(time.Second)), when(finish(3, "w3", "failed")),
			then(retriedAfter(failed(3, "w3", "exit")), retry(4, 3, 9, 4*time.Second))},
		{"and never exceeds a day",
			third(retries(9), backoff(10*time.Hour)), when(finish(3, "w3", "failed")),
			then(retriedAfter(failed(3, "w3", "exit")), retry(4, 3, 9, 24*time.Hour))},
		{"a failure whose cause is not one of those to retry on",
			running(retries(1, "lost")), when(finish(1, "w1", "failed")), then(failed(1, "w1", "exit"))},
		{"a loss that is one of those to retry on",
			running(retries(1, "lost")), when(lose(1)),
			then(lost(1, "w1", true), retry(2, 1, 1, 0), requeued(2, "backoff_over"))},
		{"a failure when the job is to be cancelled",
			append(running(retries(1)), cancelRequested("no")), when(finish(1, "w1", "failed")), then(cancelled(1, "w1", "no"))},
		{"the delay of a retry is over",
			waiting, when(job.Requeue{Attempt: 2, Cause: job.CauseBackoffOver}), then(requeued(2, "backoff_over"))},
		{"the delay of a retry is over, said twice",
			append(waiting[:5:5], requeued(2, "backoff_over")), when(job.Requeue{Attempt: 2, Cause: job.CauseBackoffOver}), nothing},
		{"the delay of a retry that is not scheduled",
			waiting, when(job.Requeue{Attempt: 3, Cause: job.CauseBackoffOver}),
			refused("cannot requeue job: attempt 3 is not due, next is 2")},
		{"a cancelled job whose delay is over",
			append(waiting[:5:5], cancelRequested("no"), cancelled(0, "", "no")), when(job.Requeue{Attempt: 2, Cause: job.CauseBackoffOver}), nothing},
		{"a lost attempt's result after the job was cancelled in the delay of its retry",
			given(submitted(retries(1), backoff(time.Second)), bound(1, "w1"), started(1, "w1"), lost(1, "w1", true), retry(2, 1, 1, time.Second), cancelRequested("no"), cancelled(0, "", "no")),
			when(finish(1, "w1", "failed")), then(resultRefused(1, 1, "w1", "failed", "fenced"))},
	})
}

func TestGiveUp(t *testing.T) {
	refusals := func(n uint32) []proto.Message {
		history := given(submitted(retries(5)))
		for i := uint32(1); i <= n; i++ {
			history = append(history, bound(i, "w1"), requeued(i+1, "refused_by_worker"))
		}
		return append(history, bound(n+1, "w1"))
	}
	unstarted := given(submitted())
	for i := uint32(1); i < 1000; i++ {
		unstarted = append(unstarted, bound(i, "w1"), requeued(i+1, "not_started"))
	}
	unstarted = append(unstarted, bound(1000, "w1"))
	refuse := func(n uint32) job.Requeue {
		return job.Requeue{Attempt: n, Cause: job.CauseRefusedByWorker, Detail: "draining"}
	}
	aggregatetest.Run(t, aggregate, []row{
		{"an assignment that its worker refuses costs no retry",
			refusals(0), when(refuse(1)), then(&eventv1.JobRequeued{Attempt: 2, Cause: "refused_by_worker", Detail: "draining"})},
		{"the 16th refusal in a row",
			refusals(15), when(refuse(16)),
			then(&eventv1.JobFailed{Attempt: 16, WorkerId: "w1", Cause: "cannot_start", Detail: "workers have refused it too often; the last one: draining"})},
		{"refusals before and after an attempt that started are not in a row",
			append(refusals(15), started(16, "w1"), lost(16, "w1", true), retry(17, 1, 5, 0), requeued(17, "backoff_over"), bound(17, "w1")),
			when(refuse(17)), then(&eventv1.JobRequeued{Attempt: 18, Cause: "refused_by_worker", Detail: "draining"})},
		{"an attempt that never ran, the 1000th",
			unstarted, when(lose(1000)),
			then(&eventv1.JobFailed{Attempt: 1000, WorkerId: "w1", Cause: "cannot_start", Detail: "too many attempts never ran; the last one: not_started: worker_lost"})},
		{"a refusal that comes twice", given(submitted(), bound(1, "w1"), requeued(2, "refused_by_worker")), when(refuse(1)), nothing},
		{"a refusal of what has started",
			given(submitted(), bound(1, "w1"), started(1, "w1")), when(refuse(1)), refused("cannot requeue job: attempt 1 has started")},
		{"a refusal of what never was", given(submitted(), bound(1, "w1")), when(refuse(2)),
			refused("cannot requeue job: there was no attempt 2, the newest is 1")},
	})
}

func TestCancel(t *testing.T) {
	cancel := job.RequestCancel{Reason: "no"}
	aggregatetest.Run(t, aggregate, []row{
		{"a pending job", given(submitted()), when(cancel), then(cancelRequested("no"), cancelled(0, "", "no"))},
		{"a bound job", given(submitted(), bound(1, "w1")), when(cancel), then(cancelRequested("no"), cancelled(1, "w1", "no"))},
		{"a running job is asked to stop", given(submitted(), bound(1, "w1"), started(1, "w1")), when(cancel), then(cancelRequested("no"))},
		{"a running job, asked twice",
			given(submitted(), bound(1, "w1"), started(1, "w1"), cancelRequested("no")), when(cancel), nothing},
		{"a running job that stops, as it was asked to",
			given(submitted(), bound(1, "w1"), started(1, "w1"), cancelRequested("no")), when(finish(1, "w1", "cancelled")),
			then(cancelled(1, "w1", "no"))},
		{"a running job that succeeds before it could be stopped",
			given(submitted(), bound(1, "w1"), started(1, "w1"), cancelRequested("no")), when(finish(1, "w1", "succeeded")),
			then(succeeded(1, "w1"))},
		{"a running job that is lost before it could be stopped",
			given(submitted(retries(3)), bound(1, "w1"), started(1, "w1"), cancelRequested("no")), when(lose(1)),
			then(cancelled(1, "w1", "no"))},
		{"a running job that exceeds its limit before it could be stopped",
			given(submitted(retries(3), limited(time.Second)), bound(1, "w1"), started(1, "w1"), cancelRequested("no")), when(job.Expire{Attempt: 1}),
			then(cancelled(1, "w1", "no"))},
		{"a job that has ended", given(submitted(), bound(1, "w1"), started(1, "w1"), succeeded(1, "w1")), when(cancel),
			refused("cannot cancel job: it has already succeeded")},
		{"a reason that is too long", given(submitted()), when(job.RequestCancel{Reason: strings.Repeat("x", 1025)}),
			refused("cannot cancel job: reason: it has 1025 bytes, at most 1024 may be")},
	})
}

func TestLoseAndExpire(t *testing.T) {
	aggregatetest.Run(t, aggregate, []row{
		{"a bound attempt whose worker is lost never ran",
			given(submitted(), bound(1, "w1")), when(lose(1)),
			then(&eventv1.JobRequeued{Attempt: 2, Cause: "not_started", Detail: "worker_lost"})},
		{"a running attempt whose worker is lost, with no retries",
			given(submitted(), bound(1, "w1"), started(1, "w1")), when(lose(1)), then(lost(1, "w1", false))},
		{"a loss that comes twice",
			given(submitted(), bound(1, "w1"), started(1, "w1"), lost(1, "w1", false)), when(lose(1)), nothing},
		{"a loss of an attempt before the current one",
			given(submitted(), bound(1, "w1"), requeued(2, "not_started"), bound(2, "w2")), when(lose(1)), nothing},
		{"a loss of an attempt that never was",
			given(submitted(), bound(1, "w1")), when(lose(2)), refused("cannot lose job: there was no attempt 2, the newest is 1")},
		{"an attempt that exceeds its limit, with a retry left",
			given(submitted(limited(time.Minute), retries(1)), bound(1, "w1"), started(1, "w1")), when(job.Expire{Attempt: 1}),
			then(&eventv1.JobTimedOut{Attempt: 1, WorkerId: "w1", TimeLimitNs: int64(time.Minute), Retried: true}, retry(2, 1, 1, 0), requeued(2, "backoff_over"))},
		{"the same of an exclusive job, of which something may still run",
			given(submitted(limited(time.Minute), retries(1), exclusive), bound(1, "w1"), started(1, "w1")), when(job.Expire{Attempt: 1}),
			then(&eventv1.JobTimedOut{Attempt: 1, WorkerId: "w1", TimeLimitNs: int64(time.Minute)})},
		{"an exclusive job that reports its limit itself",
			given(submitted(limited(time.Minute), retries(1), exclusive), bound(1, "w1"), started(1, "w1")), when(finish(1, "w1", "timed_out")),
			then(&eventv1.JobTimedOut{Attempt: 1, WorkerId: "w1", TimeLimitNs: int64(time.Minute), Retried: true}, retry(2, 1, 1, 0), requeued(2, "backoff_over"))},
		{"a job without a limit", given(submitted(), bound(1, "w1"), started(1, "w1")), when(job.Expire{Attempt: 1}),
			refused("cannot expire job: it has no time limit")},
		{"an attempt that has not started", given(submitted(limited(time.Minute)), bound(1, "w1")), when(job.Expire{Attempt: 1}),
			refused("cannot expire job: attempt 1 has not started")},
		{"an attempt that has ended", given(submitted(limited(time.Minute)), bound(1, "w1"), started(1, "w1"), succeeded(1, "w1")),
			when(job.Expire{Attempt: 1}), nothing},
	})
}

func TestSealLog(t *testing.T) {
	ended := given(submitted(retries(1)), bound(1, "w1"), started(1, "w1"),
		retriedAfter(failed(1, "w1", "exit")), retry(2, 1, 1, 0), requeued(2, "backoff_over"), bound(2, "w2"))
	sealed := &eventv1.JobLogSealed{Attempt: 1, Size: 5, Digest: append([]byte{1}, make([]byte, 31)...)}
	aggregatetest.Run(t, aggregate, []row{
		{"the log of an attempt that has ended is sealed, also while the next one lives", ended, when(sealLog(1)), then(sealed)},
		{"what is sealed is not sealed again, whatever is said of it",
			append(ended[:7:7], sealed), when(job.SealLog{Attempt: 1, Size: 9, Digest: [32]byte{2}}), nothing},
		{"an attempt that lives may still write", ended, when(sealLog(2)), refused("cannot seal the log of job: attempt 2 has not ended")},
		{"there is no log of an attempt that never was", ended, when(sealLog(3)), refused("cannot seal the log of job: there was no attempt 3, the newest is 2")},
		{"a log without bytes is not sealed", ended, when(job.SealLog{Attempt: 1}), refused("cannot seal the log of job: size: a log without bytes is not sealed")},
	})
}
