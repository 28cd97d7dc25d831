package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/embedded/index"
)

// badIndex is an index in memory that can be made to fail in each way. Damaged
// is what it is asked before an answer; its file stands for it on disk.
type badIndex struct {
	*memIndex
	scrub   func(context.Context) error
	write   func() error
	origin  func(eventstore.StreamID, eventstore.Position, bool) (eventstore.Position, bool)
	byID    func(eventstore.EventID) (eventstore.Position, bool)
	viewErr atomic.Pointer[error]
}

func (b *badIndex) Scrub(ctx context.Context, progress func(done, total uint64)) error {
	if b.scrub == nil {
		return nil
	}
	return b.scrub(ctx)
}

func (b *badIndex) Write(runs []index.Run, c index.Checkpoint) error {
	if b.write != nil {
		if err := b.write(); err != nil {
			return err
		}
	}
	return b.memIndex.Write(runs, c)
}

func (b *badIndex) View(fn func(index.Reader) error) error {
	if err := b.viewErr.Load(); err != nil {
		return *err
	}
	return b.memIndex.View(func(r index.Reader) error { return fn(badReader{r, b}) })
}

type badReader struct {
	index.Reader
	bad *badIndex
}

func (r badReader) Origin(s eventstore.StreamID) (eventstore.Position, bool) {
	p, ok := r.Reader.Origin(s)
	if r.bad.origin != nil {
		return r.bad.origin(s, p, ok)
	}
	return p, ok
}

func (r badReader) ByID(id eventstore.EventID) (eventstore.Position, bool) {
	if r.bad.byID != nil {
		return r.bad.byID(id)
	}
	return r.Reader.ByID(id)
}

// opener hands out indexes in turn: the first ones given, then good ones. A file
// stands for what would be on disk.
func opener(given ...index.Index) func(string) (index.Index, error) {
	return func(path string) (index.Index, error) {
		if err := os.WriteFile(path, nil, fileMode); err != nil {
			return nil, err
		}
		if len(given) == 0 {
			return newMemIndex(), nil
		}
		ix := given[0]
		given = given[1:]
		return ix, nil
	}
}

// openWith opens a store with indexes given in turn.
func openWith(t *testing.T, cfg Config, given ...index.Index) (*Store, Report) {
	t.Helper()
	s, report, err := open(t.Context(), cfg, opener(given...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, report
}

// forget makes a store forget all that the index has, as it does with time.
func forget(t *testing.T, s *Store) {
	t.Helper()
	if err := s.index.write(1); err != nil {
		t.Fatal(err)
	}
	s.writing.Lock()
	s.heads.reset()
	s.writing.Unlock()
}

// waitFor waits until ok, which the indexer brings about.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatal("never happened:", what)
		}
		<-time.After(time.Millisecond)
	}
}

func TestAppendsWaitForTheScrub(t *testing.T) {
	cfg := config(newDir(t))
	cfg.JournalBytes = 1 << 10
	filledStore(t, cfg, 30)
	good := newMemIndex()
	s, _ := openWith(t, cfg, good)
	waitReady(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	release := make(chan struct{})
	slow := &badIndex{memIndex: good, scrub: func(ctx context.Context) error {
		<-release
		return nil
	}}
	s, _ = openWith(t, cfg, slow)
	var refused *eventstore.ReadOnlyError
	if _, err := s.Append(t.Context(), one("new", eventstore.NoStream, 1).Batches...); !errors.As(err, &refused) {
		t.Errorf("an append before the scrub: %v", err)
	}
	if p := s.Progress(); p == nil || !strings.Contains(p.Reason, "being checked") {
		t.Errorf("progress: %v", p)
	}
	if n := len(all(t, s)); n != 60 {
		t.Errorf("%d records can be read, expected 60", n)
	}
	if r, err := s.StreamRevision(t.Context(), "nobody"); r != 0 || err != nil {
		t.Errorf("a stream that doesn't exist: %d, %v", r, err)
	}
	close(release)
	waitReady(t, s)
	mustAppend(t, s, one("new", eventstore.NoStream, 1))
	all(t, s)
}

// However the index lies, nothing wrong is written or read, and it is made anew.
func TestADamagedIndexIsMadeAnew(t *testing.T) {
	broken := errors.New("page 7 is damaged")
	for _, row := range []struct {
		name  string
		spoil func(*badIndex)
	}{
		{"its scrub fails", func(b *badIndex) { b.scrub = func(context.Context) error { return broken } }},
		{"its view fails", func(b *badIndex) { b.viewErr.Store(&broken) }},
		{"it takes a stream for another", func(b *badIndex) {
			b.origin = func(s eventstore.StreamID, p eventstore.Position, ok bool) (eventstore.Position, bool) {
				return 1, true
			}
		}},
		{"it knows a beginning without records", func(b *badIndex) {
			b.origin = func(s eventstore.StreamID, p eventstore.Position, ok bool) (eventstore.Position, bool) {
				return 2, true
			}
		}},
		{"it places an id where it is not", func(b *badIndex) {
			b.byID = func(eventstore.EventID) (eventstore.Position, bool) { return 3, true }
		}},
		{"it places an id beyond the end", func(b *badIndex) {
			b.byID = func(eventstore.EventID) (eventstore.Position, bool) { return 1 << 40, true }
		}},
		{"it can't be written", func(b *badIndex) { b.write = func() error { return broken } }},
	} {
		t.Run(row.name, func(t *testing.T) {
			cfg := config(newDir(t))
			cfg.JournalBytes = 1 << 10
			bad := &badIndex{memIndex: newMemIndex()}
			old := one("old", eventstore.NoStream, 1) // its id is older than all others
			s, _ := openWith(t, cfg, bad)
			waitReady(t, s)
			for i := range 30 {
				mustAppend(t, s, one(fmt.Sprintf("s-%d", i%5), eventstore.Any, 2))
			}
			forget(t, s)
			row.spoil(bad)
			if bad.scrub != nil || bad.write != nil {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if bad.write != nil { // there must be something to write
					bad.memIndex = newMemIndex()
				}
				s, _ = openWith(t, cfg, bad)
			}
			for i := range 5 {
				if err := checkStreamRevision(t.Context(), s, fmt.Sprintf("s-%d", i), 12); err != nil {
					t.Error(err)
				}
			}
			var refused *eventstore.ReadOnlyError
			waitFor(t, "the append is taken", func() bool {
				r, err := s.Append(t.Context(), old.Batches...)
				if err != nil && !errors.As(err, &refused) {
					t.Fatal(err)
				}
				return err == nil && r.Position == 61
			})
			if ix := s.index.state.Load().index; ix == index.Index(bad) && row.name != "its view fails" {
				t.Error("the damaged index is still used")
			}
			if n := len(all(t, s)); n != 61 {
				t.Errorf("%d records, expected 61", n)
			}
		})
	}
}

func checkStreamRevision(ctx context.Context, s *Store, stream string, want eventstore.Revision) error {
	r, err := s.StreamRevision(ctx, eventstore.StreamID(stream))
	if err != nil || r != want {
		return fmt.Errorf("%s is at revision %d, %w; expected %d", stream, r, err, want)
	}
	return nil
}

func TestAnIndexThatKnowsMoreThanTheLog(t *testing.T) {
	cfg := config(newDir(t))
	filledStore(t, cfg, 3)
	ahead := newMemIndex()
	if err := ahead.Write(nil, index.Checkpoint{Position: 7}); err != nil {
		t.Fatal(err)
	}
	other := newMemIndex()
	if err := other.Write(nil, index.Checkpoint{Position: 4, Chain: eventstore.Hash{1}}); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		ix   *memIndex
		want string
	}{
		{"goes further", ahead, "its index goes to #7"},
		{"is of another log", other, "not the one that the index has"},
	} {
		var damaged *eventstore.DamageError
		if _, _, err := open(t.Context(), cfg, opener(row.ix)); !errors.As(err, &damaged) || !strings.Contains(err.Error(), row.want) {
			t.Errorf("a whole index that %s: %v", row.name, err)
		}
		bad := &badIndex{memIndex: row.ix, scrub: func(context.Context) error { return errors.New("damaged") }}
		s, report := openWith(t, cfg, bad)
		if report.Index == "" || s.index.state.Load().index == index.Index(bad) {
			t.Errorf("a damaged index that %s: report %+v", row.name, report)
		}
		waitReady(t, s)
		all(t, s)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestAnIndexThatKilledTheProcess(t *testing.T) {
	cfg := config(newDir(t))
	filledStore(t, cfg, 3)
	marker := filepath.Join(cfg.Dir, indexDir, markerName)
	if _, err := os.Stat(marker); err == nil {
		t.Error("the marker is left after a clean end")
	}
	if err := os.WriteFile(marker, nil, fileMode); err != nil {
		t.Fatal(err)
	}
	s, report := openStore(t, cfg)
	if !strings.Contains(report.Index, "ended while it was being opened") {
		t.Errorf("report %+v", report)
	}
	all(t, s)
}

func TestAppendsWaitWhileTheIndexIsFarBehind(t *testing.T) {
	release := make(chan struct{})
	slow := &badIndex{memIndex: newMemIndex(), write: func() error {
		<-release
		return nil
	}}
	s, _ := openWith(t, config(newDir(t)), slow)
	waitReady(t, s)
	events := 0
	for ; events <= maxUnindexed; events += eventstore.MaxEventsAppend {
		mustAppend(t, s, one(fmt.Sprintf("s-%d", events), eventstore.NoStream, eventstore.MaxEventsAppend))
	}
	answered := make(chan error)
	go func() {
		_, err := s.Append(context.Background(), one("last", eventstore.NoStream, 1).Batches...)
		answered <- err
	}()
	waitFor(t, "the append is taken", func() bool { return len(s.writer.turn) == 1 })
	select {
	case <-answered:
		t.Error("an append was written though the index is far behind")
	default:
	}
	close(release)
	if err := <-answered; err != nil {
		t.Error(err)
	}
	if records, err := s.ReadStream(t.Context(), nil, "s-0", 1000, 100, eventstore.Forwards); err != nil || len(records) != 25 {
		t.Errorf("%d records, %v", len(records), err)
	}
}

func TestTheIndexFindsTheDiskFull(t *testing.T) {
	var full atomic.Bool
	full.Store(true)
	bad := &badIndex{memIndex: newMemIndex(), write: func() error {
		if full.Load() {
			return fmt.Errorf("grow: %w", unix.ENOSPC)
		}
		return nil
	}}
	s, _ := openWith(t, config(newDir(t)), bad)
	waitReady(t, s)
	for i := range indexBatch/eventstore.MaxEventsAppend + 1 {
		mustAppend(t, s, one(fmt.Sprintf("s-%d", i), eventstore.NoStream, eventstore.MaxEventsAppend))
	}
	waitFor(t, "the store is read-only", func() bool { return s.Progress() != nil || s.index.indexed() > 0 || s.index.low.Load() })
	full.Store(false)
	mustAppendSoon(t, s, one("more", eventstore.NoStream, eventstore.MaxEventsAppend))
	waitFor(t, "the index is written", func() bool { return s.index.indexed() > 0 })
	if s.index.state.Load().index != index.Index(bad) {
		t.Error("an index was made anew because the disk was full")
	}
}

// mustAppendSoon appends as soon as appends are taken.
func mustAppendSoon(t *testing.T, s *Store, a eventstore.Append) {
	t.Helper()
	waitFor(t, "the append is taken", func() bool {
		_, err := s.Append(t.Context(), a.Batches...)
		var refused *eventstore.ReadOnlyError
		if err != nil && !errors.As(err, &refused) {
			t.Fatal(err)
		}
		return err == nil
	})
}

func TestACopyTakesTheDamagedIndexsPlace(t *testing.T) {
	cfg := config(newDir(t))
	filledStore(t, cfg, 10)
	at := func(name string) string { return filepath.Join(cfg.Dir, indexDir, name) }
	ix, err := index.Open(at(indexName))
	if err != nil {
		t.Fatal(err)
	}
	files := indexFiles{dir: filepath.Join(cfg.Dir, indexDir), openDB: index.Open}
	if err := errors.Join(files.copy(t.Context(), ix), ix.Close()); err != nil {
		t.Fatal(err)
	}
	filledStore(t, cfg, 10) // the copy is old by now
	for _, row := range []struct {
		name string
		copy bool
	}{{"with a copy", true}, {"without one", false}} {
		if err := os.WriteFile(at(indexName), []byte("not an index"), fileMode); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(at(copyName)); (err == nil) != row.copy {
			t.Errorf("%s: %v", row.name, err)
		}
		s, report := openStore(t, cfg)
		if report.Index == "" || len(report.Notes) != 1 {
			t.Errorf("%s: report %+v", row.name, report)
		}
		forget(t, s)
		if n := len(all(t, s)); n != 40 {
			t.Errorf("%s: %d records, expected 40", row.name, n)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
