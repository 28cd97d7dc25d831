package watch_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/api/watch"
	"github.com/hodei-jobs/hodei/eventstore"
)

// log is a store as the hub sees it: records, and how far readers see them.
type log struct {
	eventstore.Store

	mu      sync.Mutex
	records []*eventstore.Record
	next    chan struct{}
	reads   int
	broken  error
}

func newLog() *log { return &log{next: make(chan struct{})} }

func (l *log) source() (eventstore.Position, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return eventstore.Position(len(l.records)), l.next
}

// record adds records of the streams and shows them at once.
func (l *log) record(streams ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range streams {
		l.records = append(l.records, &eventstore.Record{Position: eventstore.Position(len(l.records) + 1), Stream: eventstore.StreamID(s)})
	}
	close(l.next)
	l.next = make(chan struct{})
}

func (l *log) ReadAll(_ context.Context, buf []*eventstore.Record, from eventstore.Position, limit int, _ eventstore.Filter) ([]*eventstore.Record, eventstore.Position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads++
	if l.broken != nil {
		return buf, from, l.broken
	}
	to := min(len(l.records), int(from)-1+min(limit, 7)) // fewer than asked for, as a store may
	return append(buf, l.records[from-1:to]...), eventstore.Position(to + 1), nil
}

// running is a hub that runs until the test's end.
func running(t *testing.T, l *log) *watch.Hub {
	t.Helper()
	h := watch.New(l, l.source)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("it ended with %v", err)
		}
	})
	return h
}

const patience = 10 * time.Second

func woken(t *testing.T, name string, changed <-chan struct{}) {
	t.Helper()
	select {
	case <-changed:
	case <-time.After(patience):
		t.Fatalf("%s was not woken", name)
	}
}

func asleep(t *testing.T, name string, changed <-chan struct{}) {
	t.Helper()
	select {
	case <-changed:
		t.Errorf("%s was woken", name)
	default:
	}
}

func TestWhoWaitsForAStreamIsWoken(t *testing.T) {
	l := newLog()
	h := running(t, l)
	a, releaseA := h.On("a")
	b, releaseB := h.On("b")
	twin, releaseTwin := h.On("a")
	defer releaseB()
	l.record("x", "x", "x", "x", "x", "x", "x", "x", "a")
	woken(t, "a", a)
	woken(t, "a's twin", twin)
	asleep(t, "b", b)
	releaseA()
	releaseTwin()

	again, release := h.On("a")
	asleep(t, "who came after the event", again)
	l.record("a")
	woken(t, "who asked again", again)
	release()
}

// Releasing one of two that wait for the same stream leaves the other waiting.
func TestReleasing(t *testing.T) {
	l := newLog()
	h := running(t, l)
	_, leave := h.On("a")
	stays, release := h.On("a")
	defer release()
	leave()
	l.record("a")
	woken(t, "the one that stays", stays)
}

// While nobody waits the hub reads nothing, and goes on from where it is then.
func TestAnIdleHubReadsNothing(t *testing.T) {
	l := newLog()
	for range 50 {
		l.record("old")
	}
	h := running(t, l)
	changed, release := h.On("old")
	defer release()
	l.record("new")
	other, releaseOther := h.On("new")
	defer releaseOther()
	l.record("new")
	woken(t, "new", other)
	asleep(t, "old", changed)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reads > 3 {
		t.Errorf("it read %d times", l.reads)
	}
}

func TestAHubThatCannotRead(t *testing.T) {
	l := newLog()
	l.broken = errors.New("broken")
	h := watch.New(l, l.source)
	_, release := h.On("a")
	defer release()
	ended := make(chan error, 1)
	go func() { ended <- h.Run(context.Background()) }()
	for {
		l.record("a")
		select {
		case err := <-ended:
			if !errors.Is(err, l.broken) {
				t.Errorf("it ended with %v", err)
			}
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// Whoever asks before reading misses no change, however all of it interleaves.
func TestNoChangeIsMissed(t *testing.T) {
	const watchers, changes = 16, 300
	l := newLog()
	h := running(t, l)
	count := func(stream string) (n int) {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, r := range l.records {
			if string(r.Stream) == stream {
				n++
			}
		}
		return n
	}
	var group sync.WaitGroup
	for i := range watchers {
		stream := fmt.Sprintf("s%d", i/2) // two a stream
		group.Go(func() {
			for {
				changed, release := h.On(eventstore.StreamID(stream))
				if count(stream) == changes {
					release()
					return
				}
				select {
				case <-changed:
				case <-time.After(patience):
					t.Errorf("%s: a change was missed", stream)
					release()
					return
				}
				release()
			}
		})
	}
	for i := range watchers / 2 {
		group.Go(func() {
			for range changes {
				l.record(fmt.Sprintf("s%d", i))
			}
		})
	}
	group.Wait()
}
