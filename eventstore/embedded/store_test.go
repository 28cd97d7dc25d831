package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/eventstore"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func config(dir string) Config {
	return Config{Dir: dir, Logger: quiet, ReserveBytes: -1}
}

// newDir returns where a new store can be.
func newDir(t testing.TB) string { return filepath.Join(t.TempDir(), "store") }

// openStore opens a store that takes appends, and closes it at the test's end.
func openStore(t testing.TB, cfg Config) (*Store, Report) {
	t.Helper()
	s, report, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	waitReady(t, s)
	return s, report
}

func waitReady(t testing.TB, s *Store) {
	t.Helper()
	select {
	case <-s.Ready():
	case <-s.Failed():
		t.Fatal(s.Err())
	case <-time.After(30 * time.Second):
		t.Fatal("the store is not ready:", s.Progress())
	}
}

// event makes an event whose data is fit to be recognised.
func event(id eventstore.EventID, text string) eventstore.Event {
	return eventstore.Event{ID: id, Type: "Noted", Metadata: []byte("m"), Data: []byte(text)}
}

// one makes an append of n events to one stream.
func one(stream string, expect eventstore.Expectation, n int) eventstore.Append {
	id := eventstore.NewEventID()
	b := eventstore.Batch{Stream: eventstore.StreamID(stream), Expect: expect}
	for i := range n {
		b.Events = append(b.Events, event(id.Add(i), fmt.Sprintf("%s %d", stream, i)))
	}
	return eventstore.Append{Batches: []eventstore.Batch{b}}
}

func mustAppend(t testing.TB, s *Store, appends ...eventstore.Append) []eventstore.Result {
	t.Helper()
	results, err := s.AppendEach(t.Context(), appends)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	return results
}

// all reads the whole log and verifies what every reader may rely on.
func all(t testing.TB, s *Store) []*eventstore.Record {
	t.Helper()
	records, err := checkAll(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// checkAll is the one checker: positions and revisions are dense, time never
// goes back, each stream read by itself is the same records in both directions,
// and the chain holds.
func checkAll(ctx context.Context, s *Store) ([]*eventstore.Record, error) {
	head, _ := s.Wait()
	var records []*eventstore.Record
	for from := eventstore.Position(1); from <= head; {
		var err error
		if records, from, err = s.ReadAll(ctx, records, from, 1000, eventstore.Filter{}); err != nil {
			return nil, err
		}
	}
	streams := make(map[eventstore.StreamID][]*eventstore.Record)
	var last int64
	for i, r := range records {
		if r.Position != eventstore.Position(i+1) || r.Time < last {
			return nil, fmt.Errorf("record %d has position %d and time %d after %d", i, r.Position, r.Time, last)
		}
		if want := eventstore.Revision(len(streams[r.Stream]) + 1); r.Revision != want {
			return nil, fmt.Errorf("#%d of %s has revision %d, expected %d", r.Position, r.Stream, r.Revision, want)
		}
		last = r.Time
		streams[r.Stream] = append(streams[r.Stream], r)
	}
	for name, want := range streams {
		if err := checkStream(ctx, s, name, want); err != nil {
			return nil, err
		}
	}
	return records, s.VerifyAll(ctx, nil)
}

func checkStream(ctx context.Context, s *Store, name eventstore.StreamID, want []*eventstore.Record) error {
	forwards, err := s.ReadStream(ctx, nil, name, 1, len(want)+1, eventstore.Forwards)
	if err != nil {
		return err
	}
	backwards, err := s.ReadStream(ctx, nil, name, 0, len(want)+1, eventstore.Backwards)
	if err != nil {
		return err
	}
	revision, err := s.StreamRevision(ctx, name)
	if err != nil || len(forwards) != len(want) || len(backwards) != len(want) || revision != eventstore.Revision(len(want)) {
		return fmt.Errorf("%s has %d records forwards, %d backwards, revision %d; expected %d (%w)",
			name, len(forwards), len(backwards), revision, len(want), err)
	}
	for i, w := range want {
		if forwards[i].Position != w.Position || backwards[len(want)-1-i].Position != w.Position {
			return fmt.Errorf("revision %d of %s is at #%d forwards and #%d backwards, expected #%d",
				i+1, name, forwards[i].Position, backwards[len(want)-1-i].Position, w.Position)
		}
	}
	return nil
}

func TestWhatWasAppendedIsThereAgain(t *testing.T) {
	cfg := config(newDir(t))
	cfg.JournalBytes = 4 << 10
	total := 0
	for round := range 3 {
		s, report, err := Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		waitReady(t, s)
		if report.Head != eventstore.Position(total) || report.Clean != (round > 0) {
			t.Errorf("round %d: report %+v, expected head %d", round, report, total)
		}
		for i := range 20 {
			results := mustAppend(t, s,
				one(fmt.Sprintf("long-%d", i%3), eventstore.Any, 1+i%2), one(fmt.Sprintf("new-%d-%d", round, i), eventstore.NoStream, 2))
			total += 3 + i%2
			if results[1].Position != eventstore.Position(total) || results[1].First != results[1].Position-1 {
				t.Fatalf("append at %d: %+v", total, results[1])
			}
		}
		if got := len(all(t, s)); got != total {
			t.Errorf("round %d: %d records, expected %d", round, got, total)
		}
		if err := errors.Join(s.Close(), s.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Append(t.Context(), one("x", eventstore.Any, 1).Batches...); !errors.Is(err, eventstore.ErrClosed) {
			t.Errorf("a closed store answers %v", err)
		}
	}
}

func TestManyWritersAtOnce(t *testing.T) {
	cfg := config(newDir(t))
	cfg.JournalBytes = 64 << 10
	s, _ := openStore(t, cfg)
	const writers, each = 32, 40
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			own := fmt.Sprintf("own-%d", w)
			for i := range each {
				a := one(own, eventstore.Exactly(eventstore.Revision(i)), 1)
				a.Batches = append(a.Batches, eventstore.Batch{
					Stream: "shared", Expect: eventstore.Any, Events: []eventstore.Event{event(a.FirstID().Next(), own)},
				})
				r, err := s.Append(t.Context(), a.Batches...)
				if err != nil {
					t.Error(err)
					return
				}
				if head, _ := s.Wait(); head < r.Position {
					t.Errorf("answered #%d, but the head is #%d", r.Position, head)
				}
			}
		})
	}
	wg.Wait()
	if got := len(all(t, s)); got != 2*writers*each {
		t.Errorf("%d records, expected %d", got, 2*writers*each)
	}
}

// What is queued at once may be more than a frame can have: it becomes several.
func TestALargeCallBecomesSeveralFrames(t *testing.T) {
	cfg := config(newDir(t))
	s, _ := openStore(t, cfg)
	const large = 12 // more than wal.MaxFrame together
	var appends []eventstore.Append
	for i := range large {
		id := eventstore.NewEventID()
		data := make([]byte, eventstore.MaxAppendBytes*9/10)
		appends = append(appends, eventstore.Append{Batches: []eventstore.Batch{{
			Stream: eventstore.StreamID(fmt.Sprint("large-", i)), Expect: eventstore.NoStream,
			Events: []eventstore.Event{{ID: id, Type: "Noted", Data: data}},
		}}})
	}
	for i := range 2 * maxFrameEvents {
		appends = append(appends, one(fmt.Sprint("small-", i), eventstore.NoStream, 1))
	}
	for i, r := range mustAppend(t, s, appends...) {
		if r.Position != eventstore.Position(i+1) {
			t.Fatalf("append %d is at #%d", i, r.Position)
		}
	}
	if frames := s.log.LastFrame(); frames < large+2 {
		t.Errorf("they became %d frames", frames)
	}
	for _, f := range s.tail.Load().frames {
		if len(f.records) > maxFrameEvents {
			t.Errorf("a frame has %d events", len(f.records))
		}
	}
}
