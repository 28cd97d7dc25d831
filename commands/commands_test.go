package commands

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/hodei-jobs/hodei/aggregates/event"
	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/embedded"
)

var (
	ana     = Caller{Actor: "t0ken000", Source: "api"}
	trivial = spec.Spec{Argv: []string{"true"}}
)

// bench is a store with services on it: each service is a server of its own, with
// its own cache.
type bench struct {
	*testing.T
	store *embedded.Store
}

func newBench(t *testing.T) *bench {
	t.Helper()
	store, _, err := embedded.Open(t.Context(), embedded.Config{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	<-store.Ready()
	return &bench{t, store}
}

func (b *bench) server() *Service { return b.serverOn(b.store) }

func (b *bench) serverOn(store eventstore.Store) *Service {
	b.Helper()
	s := New(Config{Store: store, Clock: b.store.Now})
	b.ok(s.CreateNamespace(b.Context(), ana, spec.DefaultNamespace, ""))
	return s
}

func (b *bench) ok(p eventstore.Position, err error) eventstore.Position {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
	return p
}

func (b *bench) submit(s *Service) id.ID {
	b.Helper()
	done := s.SubmitJobs(b.Context(), ana, []Submission{{Spec: trivial}})[0]
	if done.Err != nil {
		b.Fatal(done.Err)
	}
	return done.ID
}

func (b *bench) bind(s *Service, i id.ID, attempt uint32) error {
	_, errs := s.BindJobs(b.Context(), ana, []Binding{{Job: i, Attempt: attempt, Worker: 7}})
	return errs[0]
}

func (b *bench) state(i id.ID) job.State {
	b.Helper()
	state, _, err := b.server().LoadJob(b.Context(), i)
	if err != nil {
		b.Fatal(err)
	}
	return state
}

// story returns what is recorded in a stream, a line an event.
func (b *bench) story(stream string) []string {
	b.Helper()
	records, err := b.store.ReadStream(b.Context(), nil, eventstore.StreamID(stream), 1, 1000, eventstore.Forwards)
	if err != nil {
		b.Fatal(err)
	}
	var lines []string
	for _, r := range records {
		m, err := event.Decode(r.Type, r.Data)
		if err != nil {
			b.Fatal(err)
		}
		lines = append(lines, event.Describe(m))
	}
	return lines
}

func (b *bench) wantKind(want fault.Kind, err error) {
	b.Helper()
	if err == nil || fault.KindOf(err) != want {
		b.Fatalf("want a fault that is %s, got %v", want, err)
	}
}

func TestJobLivesFromSubmissionToItsEnd(t *testing.T) {
	b := newBench(t)
	s := b.server()
	i := b.submit(s)
	if err := b.bind(s, i, 1); err != nil {
		t.Fatal(err)
	}
	worker := id.ID(7).String()
	if err := s.StartJob(t.Context(), ana, i, job.Start{Attempt: 1, Worker: worker}); err != nil {
		t.Fatal(err)
	}
	if err := s.FinishJob(t.Context(), ana, i, job.Finish{Attempt: 1, Worker: worker, Outcome: job.OutcomeSucceeded}); err != nil {
		t.Fatal(err)
	}
	if got := b.state(i).Status; got != job.Succeeded {
		t.Fatalf("the job is %s", got)
	}
	if n := len(b.story(event.JobStream(i))); n != 4 {
		t.Fatalf("a trivial life has %d events, want 4", n)
	}
}

// A server that has an old state in its cache must not refuse, nor find nothing
// to do, because of it.
func TestRefusalIsDecidedOnTheStreamNotOnAnOldState(t *testing.T) {
	b := newBench(t)
	here, there := b.server(), b.server()
	i := b.submit(here)
	if err := b.bind(here, i, 1); err != nil { // here's cache: bound, attempt 1
		t.Fatal(err)
	}
	requeue := Requeue{Job: i, Requeue: job.Requeue{Attempt: 1, Cause: job.CauseRefusedByWorker}}
	if _, errs := there.RequeueJobs(t.Context(), ana, []Requeue{requeue}); errs[0] != nil {
		t.Fatal(errs[0])
	}
	if err := b.bind(here, i, 2); err != nil { // refused by the cached state
		t.Fatalf("an old state refused it: %v", err)
	}
	b.ok(there.CancelJob(t.Context(), ana, i, "enough"))
	_, err := here.CancelJob(t.Context(), ana, i, "enough too") // the cached state would cancel again
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(strings.Join(b.story(event.JobStream(i)), "\n"), "cancelled"); got != 1 {
		t.Fatalf("it was cancelled %d times: %q", got, b.story(event.JobStream(i)))
	}
	requeue.Attempt = 3
	_, errs := here.RequeueJobs(t.Context(), ana, []Requeue{requeue})
	b.wantKind(fault.Refused, errs[0])
}

// What is written is guarded by the revision it was decided on, also when the
// cached state is old and would allow it.
func TestOldStateNeverWritesPastAnotherServer(t *testing.T) {
	b := newBench(t)
	here, there := b.server(), b.server()
	i := b.submit(here)
	b.ok(there.CancelJob(t.Context(), ana, i, "enough"))
	b.wantKind(fault.Refused, b.bind(here, i, 1))
	if got := b.state(i).Status; got != job.Cancelled {
		t.Fatalf("the job is %s", got)
	}
}

// Commands on one stream from many servers at once: each takes effect once, in
// some order.
func TestManyServersDecideOnOneJob(t *testing.T) {
	b := newBench(t)
	const servers, each = 4, 8
	i := b.submit(b.server())
	var bound, refused sync.Map
	var group sync.WaitGroup
	for n := range servers {
		s := b.server()
		for range each {
			group.Go(func() {
				switch err := b.bind(s, i, 1); {
				case err == nil:
					bound.Store(n, true)
				case fault.KindOf(err) == fault.Refused || fault.KindOf(err) == fault.Busy:
					refused.Store(n, true)
				default:
					t.Error(err)
				}
			})
		}
	}
	group.Wait()
	if n := len(b.story(event.JobStream(i))); n != 2 {
		t.Fatalf("submitted and bound once makes 2 events, there are %d", n)
	}
	if _, ok := firstOf(&bound); !ok {
		t.Fatal("nobody was told that it is bound")
	}
}

func firstOf(m *sync.Map) (first any, ok bool) {
	m.Range(func(k, _ any) bool { first, ok = k, true; return false })
	return first, ok
}

func TestBatchIsJudgedOneByOne(t *testing.T) {
	b := newBench(t)
	s := b.server()
	one, two := b.submit(s), b.submit(s)
	position, errs := s.BindJobs(t.Context(), ana, []Binding{
		{Job: one, Attempt: 1, Worker: 7},
		{Job: 99, Attempt: 1, Worker: 7},
		{Job: two, Attempt: 5, Worker: 7},
		{Job: two, Attempt: 1, Worker: 7},
		{Job: two, Attempt: 1, Worker: 8},
	})
	if errs[0] != nil || errs[3] != nil {
		t.Fatalf("what could be bound was not: %v, %v", errs[0], errs[3])
	}
	b.wantKind(fault.NotFound, errs[1])
	b.wantKind(fault.Refused, errs[2])
	b.wantKind(fault.Refused, errs[4])
	if head, _ := b.store.Wait(); position != head {
		t.Fatalf("its highest position is %d, the log ends at %d", position, head)
	}
}

func TestRefusedBindingNamesThePositionThatExplainsIt(t *testing.T) {
	b := newBench(t)
	s := b.server()
	i := b.submit(s)
	cancelled := b.ok(s.CancelJob(t.Context(), ana, i, ""))
	position, errs := s.BindJobs(t.Context(), ana, []Binding{{Job: i, Attempt: 1, Worker: 7}})
	b.wantKind(fault.Refused, errs[0])
	if position != cancelled {
		t.Fatalf("it rests on #%d, want #%d", position, cancelled)
	}
}

func TestLateResultIsRecordedOnceAndRefusedAlways(t *testing.T) {
	b := newBench(t)
	s := b.server()
	i := b.submit(s)
	worker := id.ID(7).String()
	if err := b.bind(s, i, 1); err != nil {
		t.Fatal(err)
	}
	if _, errs := s.LoseJobs(t.Context(), ana, []Loss{{Job: i, Lose: job.Lose{Attempt: 1, Cause: job.CauseWorkerLost}}}); errs[0] != nil {
		t.Fatal(errs[0])
	}
	late := job.Finish{Attempt: 1, Worker: worker, Outcome: job.OutcomeSucceeded}
	for range 3 {
		b.wantKind(fault.Refused, s.FinishJob(t.Context(), ana, i, late))
	}
	story := strings.Join(b.story(event.JobStream(i)), "\n")
	if n := strings.Count(story, "refused"); n != 1 {
		t.Fatalf("the refusal was recorded %d times:\n%s", n, story)
	}
}

func TestResultThatComesAgainIsTaken(t *testing.T) {
	b := newBench(t)
	s := b.server()
	i := b.submit(s)
	worker := id.ID(7).String()
	if err := errors.Join(b.bind(s, i, 1), s.StartJob(t.Context(), ana, i, job.Start{Attempt: 1, Worker: worker})); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.FinishJob(t.Context(), ana, i, job.Finish{Attempt: 1, Worker: worker, Outcome: job.OutcomeFailed, Cause: job.CauseExit}); err != nil {
			t.Fatal(err)
		}
	}
}

// The cache is bounded, and forgetting changes nothing.
func TestCacheIsBounded(t *testing.T) {
	states := newStates(64, func(s int, _ proto.Message) int { return s }, nil)
	for i := range 1000 {
		e, err := states.hold(t.Context(), eventstore.StreamID(fmt.Sprintf("job-%d", i)), true)
		if err != nil {
			t.Fatal(err)
		}
		e.mark.revision = 1
		states.release(e, true)
	}
	kept := 0
	for i := range states.shards {
		kept += len(states.shards[i].entries)
	}
	if kept != 64 {
		t.Fatalf("%d states are kept of at most 64", kept)
	}
}

func TestWhoWaitsForAStreamCanGiveUp(t *testing.T) {
	states := newStates(64, func(s int, _ proto.Message) int { return s }, nil)
	e, _ := states.hold(t.Context(), "job-1", true)
	if _, err := states.hold(t.Context(), "job-1", false); err != errHeld {
		t.Fatalf("a held stream was given out: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := states.hold(ctx, "job-1", true); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	states.release(e, false)
	if _, err := states.hold(t.Context(), "job-1", false); err != nil {
		t.Fatalf("it was not let go: %v", err)
	}
}
