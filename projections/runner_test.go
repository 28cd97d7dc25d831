package projections_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/hodei-jobs/hodei/aggregates/event"
	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections"
	"github.com/hodei-jobs/hodei/projections/worldtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is the part of a store that a runner uses, over a log in memory of which
// as much is durable as a test says.
type memory struct {
	eventstore.Store // nil: nothing else is called

	mu        sync.Mutex
	log       *worldtest.Log
	head      eventstore.Position
	next      chan struct{}
	err       error
	snapshots []eventstore.Snapshot
	saved     chan eventstore.Position  // nil: nobody asks
	reading   func(eventstore.Position) // is told from where; may be nil
	most      int                       // records a read returns; 0 for any number
}

func newMemory() *memory { return &memory{log: worldtest.New(), next: make(chan struct{})} }

// commit makes all of the log durable after change.
func (m *memory) commit(change func(*worldtest.Log)) eventstore.Position {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(m.log)
	m.head = m.log.Head()
	close(m.next)
	m.next = make(chan struct{})
	return m.head
}

func (m *memory) close(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
	close(m.next)
}

func (m *memory) Wait() (eventstore.Position, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.head, m.next
}

func (m *memory) ReadAll(_ context.Context, buf []*eventstore.Record, from eventstore.Position, limit int, _ eventstore.Filter) ([]*eventstore.Record, eventstore.Position, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return buf, from, m.err
	}
	if m.reading != nil {
		m.reading(from)
	}
	if m.most > 0 {
		limit = min(limit, m.most)
	}
	to := min(m.head, from+eventstore.Position(limit)-1)
	return append(buf, m.log.Records[from-1:to]...), to + 1, nil
}

func (m *memory) SaveSnapshot(_ context.Context, s eventstore.Snapshot, _ int) error {
	m.mu.Lock()
	m.snapshots = append(m.snapshots, s)
	saved := m.saved
	m.mu.Unlock()
	if saved != nil {
		saved <- s.Position
	}
	return nil
}

func (m *memory) LoadSnapshot(_ context.Context, _, version string, at eventstore.Position) (eventstore.Snapshot, bool, []error, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := len(m.snapshots) - 1; i >= 0; i-- {
		if s := m.snapshots[i]; s.Version == version && (at == 0 || s.Position <= at) {
			return s, true, nil, nil
		}
	}
	return eventstore.Snapshot{}, false, nil, nil
}

// submissions appends n new jobs.
func submissions(n int) func(*worldtest.Log) {
	return func(l *worldtest.Log) {
		for range n {
			l.Add(event.JobStream(id.ID(l.Head()+1)), submitted())
		}
	}
}

// run runs a runner over a store and returns how to end it, which returns Run's
// error.
func run(t *testing.T, s eventstore.Store) (*projections.Runner, func() error) {
	t.Helper()
	r := projections.NewRunner(s, projections.RunnerConfig{Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	return r, sync.OnceValue(func() error { cancel(); return <-ended })
}

func TestRunnerFollowsTheLog(t *testing.T) {
	m := newMemory()
	m.commit(submissions(10_000))
	r, stop := run(t, m)
	<-r.Ready()
	if w := r.World(); w.Position != 10_000 || w.Queue.Waiting() != 10_000 {
		t.Fatalf("when ready the World is at #%d with %d waiting", w.Position, w.Queue.Waiting())
	}
	for range 100 {
		head := m.commit(submissions(7))
		if err := r.WaitFor(t.Context(), head); err != nil {
			t.Fatal(err)
		}
		if w := r.World(); w.Position != head {
			t.Fatalf("after waiting for #%d the World is at #%d", head, w.Position)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	same(t, "the runner's World", r.World(), m.log.World())
}

// A start that is given up is not ready, and shows nothing half made.
func TestAStartThatIsGivenUpIsNotReady(t *testing.T) {
	m := newMemory()
	m.commit(submissions(2000))
	ctx, giveUp := context.WithCancel(t.Context())
	m.most = 1
	m.reading = func(from eventstore.Position) {
		if from == 10 {
			giveUp()
		}
	}
	r := projections.NewRunner(m, projections.RunnerConfig{})
	if err := r.Run(ctx); err != nil {
		t.Fatal(err)
	}
	select {
	case <-r.Ready():
		t.Error("it says that it is ready")
	default:
	}
	if at := r.World().Position; at != 0 {
		t.Errorf("it shows the World at #%d of #2000", at)
	}
}

// While the runner is behind, no more than 256 events are applied and not shown,
// however few a read returns.
func TestRunnerPublishesOnItsWay(t *testing.T) {
	const most = 256
	for _, reads := range []int{0, 100} {
		synctest.Test(t, func(t *testing.T) { // so that no time passes
			m := newMemory()
			r, stop := run(t, m)
			<-r.Ready()
			var shown eventstore.Position
			m.mu.Lock()
			m.most = reads
			m.reading = func(from eventstore.Position) {
				before := shown
				if shown = r.World().Position; shown > before+most || from > shown+most {
					t.Errorf("reads of %d: #%d is read, and shown is the World at #%d, after that at #%d", reads, from, shown, before)
				}
			}
			m.mu.Unlock()
			if err := r.WaitFor(t.Context(), m.commit(submissions(3000))); err != nil {
				t.Fatal(err)
			}
			if err := stop(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// While the runner is behind and reads are slow, what was applied a millisecond ago
// is shown; but it is not shown after each read.
func TestRunnerPublishesInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		r, stop := run(t, m)
		<-r.Ready()
		const (
			records = 10
			takes   = 400 * time.Microsecond
			unseen  = 2 * records // what two reads return; after the third it is more than a millisecond
		)
		var most eventstore.Position
		m.mu.Lock()
		m.most = records
		m.reading = func(from eventstore.Position) {
			most = max(most, from-1-r.World().Position)
			time.Sleep(takes) // of the bubble's clock
		}
		m.mu.Unlock()
		if err := r.WaitFor(t.Context(), m.commit(submissions(3000))); err != nil {
			t.Fatal(err)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if most != unseen {
			t.Errorf("up to %d events were applied and not shown when more was read, expected %d", most, unseen)
		}
	})
}

func TestWaiting(t *testing.T) {
	m := newMemory()
	r, stop := run(t, m)
	<-r.Ready()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.WaitFor(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting without patience: %v", err)
	}
	var all sync.WaitGroup
	for p := range eventstore.Position(300) {
		all.Go(func() {
			if err := r.WaitFor(t.Context(), p+1); err != nil || r.World().Position < p+1 {
				t.Errorf("waited for #%d: %v, the World is at #%d", p+1, err, r.World().Position)
			}
		})
	}
	for range 30 {
		m.commit(submissions(10))
	}
	all.Wait()
	gone := make(chan error, 1)
	go func() { gone <- r.WaitFor(t.Context(), 1_000_000) }()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if err := <-gone; fault.KindOf(err) != fault.Unavailable {
		t.Errorf("who waited when the runner stopped was told: %v", err)
	}
}

func TestRunnerSavesAndLoadsSnapshots(t *testing.T) {
	m := newMemory()
	m.saved = make(chan eventstore.Position)
	m.commit(submissions(30_000))
	r, stop := run(t, m)
	<-r.Ready()
	if p := <-m.saved; p != 30_000 {
		t.Errorf("a snapshot was saved at #%d", p)
	}
	m.commit(submissions(3))
	go stop()
	if p := <-m.saved; p > 30_003 || p < 30_000 {
		t.Errorf("at the end a snapshot was saved at #%d", p)
	}
	m.saved = nil
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	m.snapshots = append(m.snapshots, eventstore.Snapshot{Version: projections.Version, Position: 30_003, Data: []byte("nonsense")})
	last := m.log.WorldAt(30_003)
	m.log.Records[0] = nil // the rest suffices
	r, stop = run(t, m)
	<-r.Ready()
	same(t, "the World from a snapshot and its tail", r.World(), last)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

func TestRunnerTellsWhyItCannotGoOn(t *testing.T) {
	m := newMemory()
	r, stop := run(t, m)
	<-r.Ready()
	broken := &eventstore.FailedError{Cause: errors.New("input/output error")}
	gone := make(chan error, 1)
	go func() { gone <- r.WaitFor(t.Context(), 5) }()
	m.close(broken)
	if err := <-gone; fault.KindOf(err) != fault.Unavailable {
		t.Errorf("who waited was told: %v", err)
	}
	var failed *eventstore.FailedError
	if err := stop(); !errors.As(err, &failed) {
		t.Errorf("Run returned %v", err)
	}
}

func TestPoisonedEventsDoNotStopTheStart(t *testing.T) {
	m := newMemory()
	m.commit(func(l *worldtest.Log) {
		for _, typ := range event.Types() {
			l.AddRaw("job-00000007", typ, []byte{0xff})
			l.AddRaw(event.WorkerStream(id.ID(l.Head())), typ, []byte{0xff})
			l.AddRaw(event.NamespaceStream(typ), typ, []byte{0xff})
			l.AddRaw(event.SettingsStream()+typ, typ, []byte{0xff})
			l.AddRaw("job-", typ, nil)
			l.AddRaw(event.TokenStream(id.ID(l.Head())), typ, nil)
		}
		submissions(10)(l)
	})
	r, stop := run(t, m)
	<-r.Ready()
	if w := r.World(); w.Queue.Waiting() != 10 {
		t.Errorf("%d wait, want 10", w.Queue.Waiting())
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	same(t, "the World replayed", r.World(), m.log.World())
}

func TestAdmission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.commit(submissions(projections.MaxLag))
		r := projections.NewRunner(m, projections.RunnerConfig{}) // nobody runs it
		if err := r.Admit(t.Context()); err != nil {
			t.Errorf("at the limit: %v", err)
		}
		m.commit(submissions(1))
		begun := time.Now()
		if err := r.Admit(t.Context()); fault.KindOf(err) != fault.Busy || time.Since(begun) != projections.MaxAdmission {
			t.Errorf("beyond it: %v after %s", err, time.Since(begun))
		}
		ctx, cancel := context.WithCancel(t.Context())
		admitted := make(chan error, 1)
		go func() { admitted <- r.Admit(t.Context()) }()
		synctest.Wait()
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		if err := <-admitted; err != nil {
			t.Errorf("when the World came after: %v", err)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
