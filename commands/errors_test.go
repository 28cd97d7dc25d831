package commands

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/eventstore"
)

// broken is a store that takes no append.
type broken struct {
	eventstore.Store
	each   error // what each append is answered
	all    error // what the call is answered
	called int
}

func (s *broken) AppendEach(ctx context.Context, appends []eventstore.Append) ([]eventstore.Result, error) {
	s.called++
	if s.all != nil {
		return nil, s.all
	}
	if s.each == nil {
		return s.Store.AppendEach(ctx, appends)
	}
	results := make([]eventstore.Result, len(appends))
	for i := range results {
		results[i].Err = s.each
	}
	return results, nil
}

func TestStoreThatTakesNothingIsAFault(t *testing.T) {
	for _, row := range []struct {
		name  string
		store broken
		want  fault.Kind
		says  string
	}{
		{"a full disk", broken{each: &eventstore.ReadOnlyError{Reason: "2 MB are free, 32 MB are needed"}}, fault.Unavailable, "2 MB are free"},
		{"an index that is being made", broken{each: &eventstore.ReadOnlyError{Reason: "the index is made anew", Progress: 0.42}}, fault.Unavailable, "42 % done"},
		{"a store that has stopped", broken{all: &eventstore.FailedError{Cause: errors.New("input/output error")}}, fault.Unavailable, "stopped"},
		{"a store that is closed", broken{all: eventstore.ErrClosed}, fault.Unavailable, "closed"},
		{"an append beyond its limits", broken{each: &eventstore.InvalidError{Stream: "job-1", Reason: "it has 2 MB"}}, fault.TooLarge, "2 MB"},
		{"a stream that moves on each time", broken{each: &eventstore.ConflictError{Stream: "job-1"}}, fault.Busy, "8 times"},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBench(t)
			i := b.submit(b.server())
			store := row.store
			store.each, store.all = nil, nil
			store.Store = b.store
			s := b.serverOn(&store)
			store.each, store.all, store.called = row.store.each, row.store.all, 0
			_, err := s.CancelJob(t.Context(), ana, i, "")
			b.wantKind(row.want, err)
			if !strings.Contains(err.Error(), row.says) {
				t.Errorf("%q doesn't say %q", err, row.says)
			}
			if store.called > maxTries+1 {
				t.Errorf("it was tried %d times", store.called)
			}
			store.each, store.all = nil, nil
			b.ok(s.CancelJob(t.Context(), ana, i, "")) // nothing of the failed try is left in the cache
			if n := len(b.story("job-" + i.String())); n != 3 {
				t.Errorf("it has %d events, want 3", n)
			}
		})
	}
}

func TestContextThatEndsIsNoFault(t *testing.T) {
	b := newBench(t)
	s := b.server()
	i := b.submit(s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.CancelJob(ctx, ana, i, ""); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
}

// A command is answered when its events are applied, and that it was recorded is
// not hidden when they can't be waited for.
func TestAnswerWaitsForTheReadModels(t *testing.T) {
	b := newBench(t)
	var waited eventstore.Position
	s := New(Config{Store: b.store, Clock: b.store.Now, Applied: func(_ context.Context, p eventstore.Position) error {
		waited = p
		return nil
	}})
	p := b.ok(s.CreateNamespace(t.Context(), ana, "default", ""))
	if waited != p {
		t.Fatalf("it waited for #%d, its event is #%d", waited, p)
	}
	waited = 0
	if again := b.ok(s.CreateNamespace(t.Context(), ana, "default", "")); again != p || waited != p {
		t.Fatalf("with nothing to do it answers #%d and waited for #%d, the namespace is #%d", again, waited, p)
	}
	s.applied = func(context.Context, eventstore.Position) error { return errors.New("stopping") }
	_, err := s.CreateNamespace(t.Context(), ana, "web", "")
	b.wantKind(fault.Unavailable, err)
}

func TestNothingIsDoneThatIsNotAdmitted(t *testing.T) {
	b := newBench(t)
	s := b.server()
	busy := &fault.Error{Kind: fault.Busy, Reason: "the read models are 50,001 events behind"}
	s.admit = func(context.Context) error { return busy }
	done := s.SubmitJobs(t.Context(), ana, []Submission{{Spec: trivial}})[0]
	if !errors.Is(done.Err, busy) {
		t.Fatalf("got %v", done.Err)
	}
}

func TestTokenIsToldFromAMistypedOne(t *testing.T) {
	plain, err := newToken(zeros{})
	if err != nil {
		t.Fatal(err)
	}
	if len(plain) != tokenLength {
		t.Fatalf("%q has %d characters, want %d", plain, len(plain), tokenLength)
	}
	if _, ok := TokenHash(plain); !ok {
		t.Fatalf("%q is not taken", plain)
	}
	for i := range plain {
		swapped := "0"
		if plain[i] == '0' {
			swapped = "1"
		}
		if mistyped := plain[:i] + swapped + plain[i+1:]; isToken(mistyped) {
			t.Errorf("%q is taken for %q", mistyped, plain)
		}
	}
	for _, no := range []string{"", "hodei_", plain[:len(plain)-1], plain + "0", strings.ToUpper(plain)} {
		if isToken(no) {
			t.Errorf("%q is taken", no)
		}
	}
}

func isToken(s string) bool {
	_, ok := TokenHash(s)
	return ok
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }
