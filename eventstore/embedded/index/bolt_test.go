package index

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/hodei-jobs/hodei/eventstore"
)

func open(t testing.TB, path string) Index {
	t.Helper()
	ix, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return ix
}

// model is the index as plain maps.
type model struct {
	runs   []Run
	length map[eventstore.StreamID]eventstore.Revision
	origin map[eventstore.StreamID]eventstore.Position
	head   eventstore.Position
}

func newModel() *model {
	return &model{length: map[eventstore.StreamID]eventstore.Revision{}, origin: map[eventstore.StreamID]eventstore.Position{}}
}

func (m *model) clone() *model {
	return &model{runs: slices.Clone(m.runs), length: maps.Clone(m.length), origin: maps.Clone(m.origin), head: m.head}
}

// add makes a run of count records in a stream.
func (m *model) add(stream eventstore.StreamID, count uint32, first bool) Run {
	if m.length[stream] == 0 {
		m.origin[stream] = m.head + 1
	}
	r := Run{Stream: stream, Origin: m.origin[stream], Revision: m.length[stream] + 1, Position: m.head + 1, Count: count, AppendID: first}
	r.ID[0], r.ID[8] = 1, byte(r.Position)
	r.ID[9], r.ID[10] = byte(r.Position>>8), byte(r.Position>>16)
	m.length[stream] += eventstore.Revision(count)
	m.head += eventstore.Position(count)
	m.runs = append(m.runs, r)
	return r
}

// check compares every answer of the index with the model's.
func (m *model) check(ix Index) error {
	return ix.View(func(r Reader) error {
		for stream, n := range m.length {
			origin, ok := r.Origin(stream)
			if !ok || origin != m.origin[stream] {
				return fmt.Errorf("stream %s begins at #%d, %v, not #%d", stream, origin, ok, m.origin[stream])
			}
			for rev := eventstore.Revision(1); rev <= n+1; rev++ {
				want, _ := m.runAt(stream, rev)
				got, ok := r.RunAt(origin, rev)
				if !ok || got.Position != want.Position || got.Revision != want.Revision || got.Count != want.Count {
					return fmt.Errorf("stream %s revision %d: %+v, %v, not %+v", stream, rev, got, ok, want)
				}
			}
		}
		for _, run := range m.runs {
			if at, ok := r.ByID(run.ID); ok != run.AppendID || ok && at != run.Position {
				return fmt.Errorf("id of #%d: #%d, %v", run.Position, at, ok)
			}
		}
		if _, ok := r.Origin("no-such"); ok {
			return errors.New("a stream that was never written is found")
		}
		if _, ok := r.RunAt(m.head+1, 1); ok {
			return errors.New("a run of no stream is found")
		}
		return nil
	})
}

func (m *model) runAt(stream eventstore.StreamID, rev eventstore.Revision) (Run, bool) {
	for _, r := range slices.Backward(m.runs) {
		if r.Stream == stream && r.Revision <= rev {
			return r, true
		}
	}
	return Run{}, false
}

func TestItAnswersLikeMaps(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		path := filepath.Join(dir, fmt.Sprint(rand.Uint64()))
		ix, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		m := newModel()
		for range rapid.IntRange(1, 8).Draw(t, "writes") {
			var runs []Run
			for range rapid.IntRange(0, 20).Draw(t, "runs") {
				stream := eventstore.StreamID(fmt.Sprintf("job-%d", rapid.IntRange(0, 9).Draw(t, "stream")))
				runs = append(runs, m.add(stream, uint32(rapid.IntRange(1, 4).Draw(t, "count")), rapid.Bool().Draw(t, "first")))
			}
			c := Checkpoint{Position: m.head, Chain: eventstore.Hash{byte(m.head)}, Frame: uint64(m.head)}
			if err := ix.Write(runs, c); err != nil {
				t.Fatal(err)
			}
			if rapid.Bool().Draw(t, "reopen") {
				if err := ix.Close(); err != nil {
					t.Fatal(err)
				}
				if ix, err = Open(path); err != nil {
					t.Fatal(err)
				}
			}
			if ix.Checkpoint() != c {
				t.Fatalf("checkpoint %+v, want %+v", ix.Checkpoint(), c)
			}
			if err := errors.Join(m.check(ix), ix.Scrub(context.Background(), nil)); err != nil {
				t.Fatal(err)
			}
		}
		if err := ix.Close(); err != nil {
			t.Fatal(err)
		}
		_ = os.Remove(path)
	})
}

func TestWhatItHasIsNotTakenTwice(t *testing.T) {
	ix, m := open(t, filepath.Join(t.TempDir(), "index.db")), newModel()
	run := m.add("job-1", 2, true)
	for range 2 {
		if err := ix.Write([]Run{run}, Checkpoint{Position: m.head}); err != nil {
			t.Fatal(err)
		}
	}
	if err := ix.Scrub(context.Background(), nil); err != nil {
		t.Error(err)
	}
}

func TestACopyIsAnIndex(t *testing.T) {
	path, m := filled(t, 50, os.Getpagesize())
	ix := open(t, path)
	copied := path + ".copy"
	if err := errors.Join(ix.Copy(context.Background(), copied), ix.Close()); err != nil {
		t.Fatal(err)
	}
	again := open(t, copied)
	if err := errors.Join(again.Scrub(context.Background(), nil), m.check(again), again.Close()); err != nil {
		t.Error(err)
	}
}

func TestACopyEndsWithItsContext(t *testing.T) {
	path, _ := filled(t, 50, os.Getpagesize())
	ix := open(t, path)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := ix.Copy(ctx, path+".copy"); !errors.Is(err, context.Canceled) {
		t.Errorf("a copy that nobody wants any more: %v", err)
	}
	if err := ix.Close(); err != nil {
		t.Error(err)
	}
}

func TestWhatIsNoIndexIsAnError(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "text"), []byte("this is no index, but long enough to be looked at"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "text"), dir, filepath.Join(dir, "missing", "index.db")} {
		if ix, err := Open(path); err == nil {
			_ = ix.Close()
			t.Errorf("%s was opened", path)
		}
	}
}
