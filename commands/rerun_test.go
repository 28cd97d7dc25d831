package commands

import (
	"slices"
	"strings"
	"testing"

	"github.com/hodei-jobs/hodei/aggregates/event"
	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/spec"
)

// spec is what a job was asked to do, to be asked again.
func (v *vault) spec(i id.ID) spec.Spec {
	v.Helper()
	sp, err := v.s.Spec(v.Context(), i)
	if err != nil {
		v.Fatal(err)
	}
	return sp
}

func (v *vault) rerun(r Rerun) id.ID {
	v.Helper()
	done := v.s.RerunJob(v.Context(), ana, r)
	if done.Err != nil {
		v.Fatal(done.Err)
	}
	return done.ID
}

// A job that is run again has the values of the first one's own secrets, sealed for
// itself: they outlive the first one's.
func TestSecretsGoAlongWithAJobThatIsRunAgain(t *testing.T) {
	v := newVault(t)
	v.set("db", "stored")
	first := v.submitted(with(map[string]spec.Secret{"TOKEN": {Value: canary}, "DB": {From: "db"}}))
	again := v.rerun(Rerun{Job: first, Spec: v.spec(first)})
	if got := v.names(jobKeys); len(got) != 2 || !slices.Contains(got, jobKey(again)) {
		t.Errorf("there are the keys %q", got)
	}
	v.drop(jobKey(first))
	if got, err := v.given(again); err != nil || got != "DB=stored TOKEN="+canary {
		t.Errorf("it is given %q, %v", got, err)
	}
	if sp := v.spec(again); sp.Secrets["TOKEN"].Key != jobKey(again) {
		t.Errorf("it is sealed with %s", sp.Secrets["TOKEN"].Key)
	}
	if got := v.story(event.JobStream(again))[0]; !strings.HasSuffix(got, "; "+first.String()+" again") {
		t.Errorf("it is recorded as %q", got)
	}
}

// What is not kept any more is said, nothing is recorded, and no key is left behind.
func TestAJobWhoseSecretsAreGoneIsNotRunAgain(t *testing.T) {
	v := newVault(t)
	first := v.submitted(sealed)
	sp := v.spec(first)
	v.drop(jobKey(first))
	done := v.s.RerunJob(t.Context(), ana, Rerun{Job: first, Spec: sp, Replace: true})
	v.wantKind(fault.Refused, done.Err)
	if !strings.Contains(done.Err.Error(), "its secret TOKEN is not kept any more") {
		t.Errorf("it is told %q", done.Err)
	}
	if got := v.names(jobKeys); len(got) != 0 || v.state(first).Status != job.Pending {
		t.Errorf("there are the keys %q, and the first job is %s", got, v.state(first).Status)
	}
	sp.Secrets = map[string]spec.Secret{"TOKEN": {Value: "another"}}
	if got, err := v.given(v.rerun(Rerun{Job: first, Spec: sp})); err != nil || got != "TOKEN=another" {
		t.Errorf("given again it is %q, %v", got, err)
	}
}

// A key stands for one rerun: of that job, with these changes. The same again is
// that job, also when the values are not kept any more.
func TestAKeyStandsForOneRerun(t *testing.T) {
	v := newVault(t)
	first, other := v.submitted(sealed), v.submitted(sealed)
	sp := v.spec(first)
	again := v.rerun(Rerun{Job: first, Spec: sp, Key: "k"})
	v.drop(jobKey(first))
	if got := v.rerun(Rerun{Job: first, Spec: sp, Key: "k"}); got != again {
		t.Errorf("the same again is %s, not %s", got, again)
	}
	changed := sp
	changed.Priority = 5
	for name, r := range map[string]Rerun{
		"another job": {Job: other, Spec: v.spec(other), Key: "k"}, "other changes": {Job: first, Spec: changed, Key: "k"},
		"in its place": {Job: first, Spec: sp, Key: "k", Replace: true},
	} {
		if done := v.s.RerunJob(t.Context(), ana, r); fault.KindOf(done.Err) != fault.Conflict {
			t.Errorf("%s under the same key: %+v", name, done)
		}
	}
	plain := v.submitted(trivial)
	v.rerun(Rerun{Job: plain, Spec: v.spec(plain), Key: "l"})
	v.wantKind(fault.Conflict, v.s.SubmitJobs(t.Context(), ana, []Submission{{Spec: trivial, Key: "l"}})[0].Err)
}

// In place of a job that waits another is submitted, in one step; one that has ended
// needs no end, and one that runs is not replaced.
func TestAJobIsReplaced(t *testing.T) {
	v := newVault(t)
	worker := id.ID(7).String()
	bound := func(i id.ID) {
		if err := v.bind(v.s, i, 1); err != nil {
			t.Fatal(err)
		}
	}
	started := func(i id.ID) {
		bound(i)
		if err := v.s.StartJob(t.Context(), ana, i, job.Start{Attempt: 1, Worker: worker}); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range []struct {
		name   string
		before func(id.ID)
		then   job.Status
		ok     bool
	}{
		{"one that waits", func(id.ID) {}, job.Cancelled, true},
		{"one that is bound", bound, job.Cancelled, true},
		{"one that runs", started, job.Running, false},
		{"one that has ended", func(i id.ID) {
			started(i)
			if err := v.s.FinishJob(t.Context(), ana, i, job.Finish{Attempt: 1, Worker: worker, Outcome: job.OutcomeSucceeded}); err != nil {
				t.Fatal(err)
			}
		}, job.Succeeded, true},
	} {
		first := v.submitted(trivial)
		row.before(first)
		done := v.s.RerunJob(t.Context(), ana, Rerun{Job: first, Spec: v.spec(first), Replace: true})
		if got := v.state(first).Status; got != row.then || row.ok != (done.Err == nil) || !row.ok && fault.KindOf(done.Err) != fault.Refused {
			t.Errorf("%s: it is %s, %v", row.name, got, done.Err)
		}
		if records := v.story(event.JobStream(done.ID)); row.ok && len(records) != 1 {
			t.Errorf("%s: the other one is recorded as %q", row.name, records)
		}
		if row.then == job.Cancelled && !strings.Contains(strings.Join(v.story(event.JobStream(first)), "\n"), "replaced by "+done.ID.String()) {
			t.Errorf("%s: it does not say by what it was replaced: %q", row.name, v.story(event.JobStream(first)))
		}
	}
}
