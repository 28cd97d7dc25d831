package job_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/hodei-jobs/hodei/aggregates/aggregatetest"
	"github.com/hodei-jobs/hodei/aggregates/event"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/spec"
)

const (
	maxCommands = 60
	// A life without retries, given up attempts and refused results has at most so
	// many events, and two a step.
	maxEvents = 12
)

// life is a job with what must hold of its whole history.
type life struct {
	t     *rapid.T
	state job.State
	spec  spec.Spec

	events    []proto.Message
	bound     uint32            // the newest attempt
	started   map[uint32]bool   // attempts that were permitted to run
	ended     map[uint32]string // attempts that have ended, and how
	refused   map[string]bool   // refusals by attempt and cause
	sealed    map[uint32]bool   // attempts whose logs are sealed
	retried   uint32
	givenUp   int
	cancelled bool // JobCancelRequested is in the log
	terminal  bool
}

// Whatever is asked in whatever order, by whom it may be: the invariants hold
// after every event, and the laws for every command.
func TestInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := &life{t: t, spec: drawSpec(t), started: map[uint32]bool{}, ended: map[uint32]string{}, refused: map[string]bool{}, sealed: map[uint32]bool{}}
		l.give(job.Submit{Spec: l.spec})
		for range rapid.IntRange(0, maxCommands).Draw(t, "commands") {
			l.give(l.draw())
		}
		l.checkCost()
	})
}

func drawSpec(t *rapid.T) spec.Spec {
	s := spec.Spec{Steps: []spec.Step{{Run: "a"}, {Run: "b"}}, Exclusive: rapid.Bool().Draw(t, "exclusive")}
	s.Retries.Max = uint32(rapid.IntRange(0, 2).Draw(t, "retries"))
	if rapid.Bool().Draw(t, "some causes") {
		s.Retries.On = []string{"lost", "timed_out"}
	}
	s.Retries.Backoff = rapid.SampledFrom([]spec.Duration{0, spec.Second}).Draw(t, "backoff")
	s.Timeout = rapid.SampledFrom([]spec.Duration{0, spec.Minute}).Draw(t, "timeout")
	return s
}

// draw returns a command about an attempt near the newest, more often than not
// one that fits.
func (l *life) draw() job.Command {
	t, n := l.t, l.state.Attempt
	if rapid.IntRange(0, 3).Draw(t, "stale") == 0 {
		n = uint32(max(0, int(n)+rapid.IntRange(-2, 2).Draw(t, "off by")))
	}
	w := rapid.SampledFrom([]string{l.state.Worker, l.state.Worker, l.state.Worker, "w1", "w2"}).Draw(t, "worker")
	switch rapid.SampledFrom([]string{"bind", "bind", "start", "start", "step", "finish", "finish", "cancel", "lose", "expire", "requeue", "resume", "submit", "seal"}).Draw(t, "command") {
	case "bind":
		return job.Bind{Attempt: n + 1, Worker: rapid.SampledFrom([]string{"w1", "w2"}).Draw(t, "to")}
	case "start":
		return job.Start{Attempt: n, Worker: w}
	case "step":
		return job.RecordStep{
			Attempt: n, Worker: w, Step: uint32(rapid.IntRange(0, 3).Draw(t, "step")),
			State: rapid.SampledFrom([]string{job.StepRunning, job.StepSucceeded, job.StepSkipped, "asleep"}).Draw(t, "state"),
		}
	case "finish":
		return job.Finish{
			Attempt: n, Worker: w,
			Outcome: rapid.SampledFrom([]string{job.OutcomeSucceeded, job.OutcomeFailed, job.OutcomeCancelled, job.OutcomeTimedOut}).Draw(t, "outcome"),
			Cause:   rapid.SampledFrom([]string{job.CauseExit, "cannot_start", "\x00"}).Draw(t, "cause"),
			Detail:  "\xff", Step: 9,
		}
	case "cancel":
		if rapid.IntRange(0, 3).Draw(t, "cancel at all") > 0 {
			return job.Start{Attempt: n, Worker: w}
		}
		return job.RequestCancel{Reason: "no"}
	case "lose":
		return job.Lose{Attempt: n, Cause: job.CauseWorkerLost, Silent: time.Second}
	case "expire":
		return job.Expire{Attempt: n}
	case "requeue":
		return job.Requeue{Attempt: n, Cause: job.CauseRefusedByWorker}
	case "seal":
		return sealLog(n)
	case "resume":
		return job.Requeue{Attempt: n + 1, Cause: job.CauseBackoffOver}
	}
	return job.Submit{Spec: l.spec}
}

// give gives a command and checks what it yields.
func (l *life) give(c job.Command) {
	aggregate.Laws(l.t, l.state, c)
	got, err := l.state.Decide(c)
	if err != nil {
		return
	}
	for _, m := range got {
		l.check(c, m)
		l.state = job.Evolve(l.state, m)
		l.events = append(l.events, m)
	}
	if l.state.Status.Terminal() != l.terminal {
		l.t.Fatalf("it is %s after %s", l.state.Status, l.history())
	}
}

// check holds an event against all that came before it.
func (l *life) check(c job.Command, m proto.Message) {
	_, refusal := m.(*eventv1.ResultRefused)
	_, sealed := m.(*eventv1.JobLogSealed)
	if l.terminal && !refusal && !sealed {
		l.t.Fatalf("%s comes after the end: %s", event.TypeOf(m), l.history())
	}
	switch e := m.(type) {
	case *eventv1.JobBound:
		l.live(0)
		if e.Attempt != l.bound+1 {
			l.t.Fatalf("attempt %d follows %d", e.Attempt, l.bound)
		}
		if l.cancelled {
			l.t.Fatalf("it is bound though it was cancelled: %s", l.history())
		}
		l.bound = e.Attempt
	case *eventv1.JobStarted:
		l.live(e.Attempt)
		if len(l.started) > int(l.spec.Retries.Max) {
			l.t.Fatalf("it runs %d times with %d retries", len(l.started)+1, l.spec.Retries.Max)
		}
		if l.started[e.Attempt] {
			l.t.Fatalf("attempt %d starts twice", e.Attempt)
		}
		l.started[e.Attempt] = true
	case *eventv1.StepStarted:
		l.ran(e.Attempt)
	case *eventv1.StepFinished:
		l.ran(e.Attempt)
	case *eventv1.JobSucceeded:
		l.ran(e.Attempt)
		l.end(e.Attempt, "succeeded", false)
	case *eventv1.JobFailed:
		if _, byWorkers := c.(job.Requeue); !byWorkers && !l.started[e.Attempt] && e.Cause != "cannot_start" {
			l.t.Fatalf("attempt %d fails and never started: %s", e.Attempt, l.history())
		}
		l.end(e.Attempt, "failed", e.Retried)
	case *eventv1.JobTimedOut:
		l.ran(e.Attempt)
		l.end(e.Attempt, "timed_out", e.Retried)
	case *eventv1.JobLost:
		l.ran(e.Attempt)
		l.end(e.Attempt, "lost", e.Retried)
	default:
		l.checkBetween(m)
	}
}

// checkBetween holds the events that neither begin nor end an attempt.
func (l *life) checkBetween(m proto.Message) {
	switch e := m.(type) {
	case *eventv1.JobCancelRequested:
		l.cancelled = true
	case *eventv1.JobCancelled:
		if !l.cancelled {
			l.t.Fatalf("it is cancelled though nobody asked: %s", l.history())
		}
		if e.Attempt > 0 {
			l.live(e.Attempt)
			l.ended[e.Attempt] = "cancelled"
		}
		l.terminal = true
	case *eventv1.JobRetryScheduled:
		l.retried++
		if e.Retry != l.retried || e.Retry > l.spec.Retries.Max || e.Attempt != l.bound+1 || l.cancelled {
			l.t.Fatalf("retry %d as attempt %d: %s", e.Retry, e.Attempt, l.history())
		}
	case *eventv1.JobRequeued:
		if e.Attempt != l.bound+1 {
			l.t.Fatalf("it waits as attempt %d after %d", e.Attempt, l.bound)
		}
		if l.ended[l.bound] == "" {
			if l.started[l.bound] {
				l.t.Fatalf("attempt %d is given up though it started", l.bound)
			}
			l.ended[l.bound] = "given up"
			l.givenUp++
		}
	case *eventv1.JobLogSealed:
		if l.ended[e.Attempt] == "" || l.sealed[e.Attempt] {
			l.t.Fatalf("the log of attempt %d is sealed again, or before its end: %s", e.Attempt, l.history())
		}
		l.sealed[e.Attempt] = true
	case *eventv1.ResultRefused:
		key := string(rune(e.Attempt)) + e.Cause
		if l.refused[key] {
			l.t.Fatalf("the refusal of attempt %d, %s, is recorded twice", e.Attempt, e.Cause)
		}
		l.refused[key] = true
		if l.ended[e.Attempt] == "" && l.started[e.Attempt] {
			l.t.Fatalf("the result of the running attempt %d is refused", e.Attempt)
		}
	}
}

// live requires that attempt n, and no other, is live; 0 is none.
func (l *life) live(n uint32) {
	for i := uint32(1); i <= l.bound; i++ {
		if (l.ended[i] == "") != (i == n) {
			l.t.Fatalf("attempt %d should be live alone, %d is %q: %s", n, i, l.ended[i], l.history())
		}
	}
}

// ran requires that attempt n is live and was permitted to run.
func (l *life) ran(n uint32) {
	l.live(n)
	if !l.started[n] {
		l.t.Fatalf("attempt %d runs without permission: %s", n, l.history())
	}
}

// end ends attempt n, and the job unless it is retried.
func (l *life) end(n uint32, how string, retried bool) {
	l.live(n)
	l.ended[n] = how
	l.terminal = !retried
}

// checkCost bounds what this job has appended.
func (l *life) checkCost() {
	steps := 2 * 2 * len(l.started)
	most := maxEvents + steps + 3*int(l.retried) + 2*l.givenUp + len(l.refused) + len(l.sealed)
	if len(l.events) > most {
		l.t.Fatalf("%d events, at most %d: %s", len(l.events), most, l.history())
	}
}

func (l *life) history() string {
	var lines []string
	for _, m := range l.events {
		lines = append(lines, event.Describe(m))
	}
	return "\n  " + strings.Join(lines, "\n  ")
}

// An agent can report what it likes as often as it likes: what that appends is
// bounded.
func TestAnAgentCantFillTheLog(t *testing.T) {
	state := aggregate.Fold(submitted(), bound(1, "w1"), started(1, "w1"))
	count := 0
	report := func(c job.Command) {
		got, _ := state.Decide(c)
		count += len(got)
		state = aggregate.FoldOn(state, got...)
	}
	for i := range 10_000 {
		step := uint32(i % 5)
		report(job.RecordStep{Attempt: 1, Worker: "w1", Step: step, State: job.StepRunning})
		report(job.RecordStep{Attempt: 1, Worker: "w1", Step: step, State: job.StepFailed})
	}
	for range 100 {
		for _, outcome := range []string{"failed", "succeeded", "timed_out", "cancelled"} {
			report(finish(1, "w1", outcome))
		}
	}
	if count > 2*2+1+1 {
		t.Errorf("%d events for 2 steps, an end and a refusal", count)
	}
}

// The worst that workers can do to a job that is never started: it ends.
func TestRefusedResultsAreBounded(t *testing.T) {
	history := given(submitted())
	for i := uint32(1); i <= 40; i++ {
		history = append(history, bound(i, "w1"), requeued(i+1, "not_started"))
	}
	state := aggregate.Fold(history...)
	count := 0
	for range 3 {
		for i := uint32(1); i <= 40; i++ {
			got, err := state.Decide(finish(i, "w1", "succeeded"))
			if err != nil {
				t.Fatal(err)
			}
			count += len(got)
			state = aggregate.FoldOn(state, got...)
		}
	}
	if count != 16 {
		t.Errorf("%d refusals are recorded, want 16", count)
	}
}

func TestTook(t *testing.T) {
	running := given(submitted(), bound(1, "w1"), started(1, "w1"))
	for _, test := range []struct {
		name   string
		given  []proto.Message
		finish job.Finish
		want   bool
	}{
		{"a result before it is recorded", running, finish(1, "w1", "succeeded"), false},
		{"a result that was recorded", append(running[:3:3], succeeded(1, "w1")), finish(1, "w1", "succeeded"), true},
		{"another result", append(running[:3:3], succeeded(1, "w1")), finish(1, "w1", "failed"), false},
		{"a lost attempt's", append(running[:3:3], lost(1, "w1", false)), finish(1, "w1", "failed"), false},
		{"another worker's", append(running[:3:3], succeeded(1, "w1")), finish(1, "w2", "succeeded"), false},
		{"one of an attempt that never was", running, finish(2, "w1", "succeeded"), false},
		{"one with an outcome that does not exist", running, finish(1, "w1", "exploded"), false},
	} {
		if got := aggregate.Fold(test.given...).Took(test.finish); got != test.want {
			t.Errorf("%s: %t", test.name, got)
		}
	}
}

// Copies of a state don't share what grows: two histories that part stay apart.
func TestStatesAreIndependent(t *testing.T) {
	base := aggregate.Fold(submitted(retries(9)))
	for i := uint32(1); i <= 7; i++ {
		base = aggregate.FoldOn(base, bound(i, "w1"), requeued(i+1, "not_started"))
	}
	base = job.Evolve(base, bound(8, "w1"))
	gaveUp := aggregate.FoldOn(base, requeued(9, "not_started"), bound(9, "w2"))
	wasLost := aggregate.FoldOn(base, started(8, "w1"), lost(8, "w1", true), requeued(9, "backoff_over"), bound(9, "w2"))
	late := job.Finish{Attempt: 8, Worker: "w1", Outcome: "failed", Cause: "cannot_start"}
	if got, err := gaveUp.Decide(late); err != nil || len(got) != 0 {
		t.Errorf("an attempt that was given up: %v, %v", got, err)
	}
	if got, err := wasLost.Decide(late); err != nil || len(got) != 1 {
		t.Errorf("an attempt that was lost: %v, %v", got, err)
	}
}

// BenchmarkLife is all decisions and foldings of one job's life, with encoding.
func BenchmarkLife(b *testing.B) {
	commands := []job.Command{
		job.Submit{Spec: spec.Spec{Command: "make test"}},
		job.Bind{Attempt: 1, Worker: "w1"},
		job.Start{Attempt: 1, Worker: "w1"},
		finish(1, "w1", "succeeded"),
	}
	b.ReportAllocs()
	for b.Loop() {
		var s job.State
		for _, c := range commands {
			got, err := s.Decide(c)
			if err != nil {
				b.Fatal(err)
			}
			for _, m := range got {
				s = job.Evolve(s, m)
				event.Encode(m)
			}
		}
	}
}

func BenchmarkBind(b *testing.B) {
	s := aggregate.Fold(submitted())
	b.ReportAllocs()
	for b.Loop() {
		got, _ := s.Decide(job.Bind{Attempt: 1, Worker: "w1"})
		job.Evolve(s, got[0])
	}
}

var _ aggregatetest.TB = (*rapid.T)(nil)
