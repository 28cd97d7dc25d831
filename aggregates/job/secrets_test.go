package job_test

import (
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/aggregatetest"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/spec"
)

var shredded = &eventv1.JobSecretsShredded{}

func sealed(e *eventv1.JobSubmitted) { e.Sealed = true }

func use(variable, name string, version uint32) *eventv1.SecretUse {
	return &eventv1.SecretUse{Variable: variable, Name: name, Version: version}
}

func readSecrets(attempt uint32, uses ...*eventv1.SecretUse) job.ReadSecrets {
	return job.ReadSecrets{Attempt: attempt, Worker: "w1", Secrets: uses}
}

func secretRead(attempt uint32, uses ...*eventv1.SecretUse) *eventv1.SecretRead {
	return &eventv1.SecretRead{Attempt: attempt, WorkerId: "w1", Secrets: uses}
}

func TestReadSecrets(t *testing.T) {
	first := given(submitted(), bound(1, "w1"), secretRead(1, use("DB", "db", 1)))
	again := append(first[:3:3], requeued(2, "not_started"), bound(2, "w1"))
	aggregatetest.Run(t, aggregate, []row{
		{"a bound attempt's worker", given(submitted(), bound(1, "w1")), when(readSecrets(1, use("DB", "db", 1))), then(secretRead(1, use("DB", "db", 1)))},
		{"the same after a cut", first, when(readSecrets(1, use("DB", "db", 1))), nothing},
		{"a newer version after a cut", first, when(readSecrets(1, use("DB", "db", 2))), then(secretRead(1, use("DB", "db", 2)))},
		{"the next attempt", again, when(readSecrets(2, use("DB", "db", 1))), then(secretRead(2, use("DB", "db", 1)))},
		{"an attempt that is over", again, when(readSecrets(1, use("DB", "db", 1))),
			refused("cannot read the secrets of job: attempt 1 is not the current one, that is 2")},
		{"another worker", given(submitted(), bound(1, "w2")), when(readSecrets(1, use("DB", "db", 1))),
			refused("cannot read the secrets of job: attempt 1 was given to worker w2, not to w1")},
		{"an attempt that has started", given(submitted(), bound(1, "w1"), started(1, "w1")), when(readSecrets(1, use("DB", "db", 1))),
			refused("cannot read the secrets of job: it is running")},
		{"none", given(submitted(), bound(1, "w1")), when(readSecrets(1)), refused("cannot read the secrets of job: secrets: there are none")},
	})
}

func TestWithholdSecrets(t *testing.T) {
	withhold := job.WithholdSecrets{Attempt: 1, Detail: "secret db was deleted"}
	unavailable := failed(1, "w1", "secret_unavailable")
	unavailable.Detail = "secret db was deleted"
	retried := retriedAfter(failed(1, "w1", "secret_unavailable"))
	retried.Detail = "secret db was deleted"
	aggregatetest.Run(t, aggregate, []row{
		{"a bound attempt", given(submitted(), bound(1, "w1")), when(withhold), then(unavailable)},
		{"twice", given(submitted(), bound(1, "w1"), unavailable), when(withhold), nothing},
		{"a job that may be tried again", given(submitted(retries(1), backoff(time.Second)), bound(1, "w1")), when(withhold),
			then(retried, retry(2, 1, 1, time.Second))},
		{"a job that may be tried again after other causes", given(submitted(retries(1, "lost")), bound(1, "w1")), when(withhold), then(unavailable)},
		{"an attempt that has started", given(submitted(), bound(1, "w1"), started(1, "w1")), when(withhold),
			refused("cannot withhold the secrets of job: attempt 1 has started")},
		{"an attempt that was given up", given(submitted(), bound(1, "w1"), requeued(2, "not_started")), when(withhold), nothing},
	})
}

func TestShredSecrets(t *testing.T) {
	ended := given(submitted(sealed), bound(1, "w1"), started(1, "w1"), succeeded(1, "w1"))
	aggregatetest.Run(t, aggregate, []row{
		{"a job that has ended", ended, when(job.ShredSecrets{}), then(shredded)},
		{"twice", append(ended[:4:4], shredded), when(job.ShredSecrets{}), nothing},
		{"a job without secrets of its own", given(submitted(), cancelRequested(""), cancelled(0, "", "")), when(job.ShredSecrets{}), nothing},
		{"a job that may still run", given(submitted(sealed)), when(job.ShredSecrets{}), refused("cannot shred the secrets of job: it is pending")},
		{"a job that does not exist", given(), when(job.ShredSecrets{}), refused("cannot shred the secrets of job: there is no such job")},
	})
}

// A value in the clear never becomes an event, whatever its caller forgot.
func TestAValueInTheClearIsRefused(t *testing.T) {
	clear := spec.Spec{Command: "make", Secrets: map[string]spec.Secret{"TOKEN": {Value: "clear"}}}
	kept := spec.Spec{Command: "make", Secrets: map[string]spec.Secret{"TOKEN": {Key: "job/1", Sealed: []byte{1}}, "DB": {From: "db"}}}
	aggregatetest.Run(t, aggregate, []row{
		{"in the clear", given(), when(job.Submit{Spec: clear}), refused("cannot submit job: a secret of it is not sealed")},
	})
	events, err := job.State{}.Decide(job.Submit{Spec: kept})
	if err != nil || len(events) != 1 || !events[0].(*eventv1.JobSubmitted).GetSealed() {
		t.Errorf("sealed: %v, %v", events, err)
	}
}
