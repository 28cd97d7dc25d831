package snapshot

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/durable"
)

func folder(t *testing.T) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "snapshots"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func example(p eventstore.Position) eventstore.Snapshot {
	return eventstore.Snapshot{Name: "world", Version: "1", Position: p, Chain: eventstore.Hash{1, 2, byte(p)}, Data: []byte{byte(p), 0, 255}}
}

func save(t *testing.T, st *Store, s eventstore.Snapshot, keep int) {
	t.Helper()
	if err := st.Save(context.Background(), s, keep); err != nil {
		t.Fatal(err)
	}
}

func TestTheNewestAtOrBelowIsLoaded(t *testing.T) {
	ctx, st := context.Background(), folder(t)
	for _, p := range []eventstore.Position{10, 20, 30} {
		save(t, st, example(p), 9)
	}
	other := example(25)
	other.Version = "2"
	save(t, st, other, 9)
	for at, want := range map[eventstore.Position]eventstore.Position{0: 30, 30: 30, 29: 20, 20: 20, 19: 10, 9: 0} {
		got, ok, skipped, err := st.Load(ctx, "world", "1", at, nil)
		if err != nil || skipped != nil || ok != (want > 0) || got.Position != want {
			t.Errorf("at %d: #%d, %v, %v, %v; want #%d", at, got.Position, ok, skipped, err, want)
		}
		if ok && !cmp.Equal(got, example(want)) {
			t.Errorf("at %d: %s", at, cmp.Diff(got, example(want)))
		}
	}
}

func TestOnlyTheNewestStay(t *testing.T) {
	ctx, st := context.Background(), folder(t)
	mine := example(5)
	mine.Name = "other"
	save(t, st, mine, 2)
	for p := eventstore.Position(1); p <= 5; p++ {
		save(t, st, example(p), 2)
	}
	got, err := st.List(ctx, "world")
	if err != nil || !slices.Equal(got, []eventstore.Position{4, 5}) {
		t.Errorf("kept %v, %v", got, err)
	}
	if got, _ := st.List(ctx, "other"); len(got) != 1 {
		t.Errorf("of the other name %v stay", got)
	}
}

func TestOneThatIsNotAcceptedIsPassedOver(t *testing.T) {
	st := folder(t)
	save(t, st, example(1), 9)
	save(t, st, example(2), 9)
	got, ok, skipped, err := st.Load(context.Background(), "world", "1", 0, func(s eventstore.Snapshot) error {
		if s.Position == 2 {
			return errors.New("it is of another log")
		}
		return nil
	})
	if err != nil || !ok || got.Position != 1 || len(skipped) != 1 {
		t.Errorf("#%d, %v, %v, %v", got.Position, ok, skipped, err)
	}
}

func TestEveryFlippedBitAndEveryCutIsFound(t *testing.T) {
	st := folder(t)
	save(t, st, example(7), 9)
	path := st.path("world", 7)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := func(name string, b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_, ok, skipped, err := st.Load(context.Background(), "world", "1", 0, nil)
		if ok || err != nil || len(skipped) != 1 {
			t.Fatalf("%s: loaded %v, %v, %v", name, ok, skipped, err)
		}
		if h, err := st.Highest(); h != 0 || err != nil {
			t.Fatalf("%s: highest is #%d, %v", name, h, err)
		}
	}
	for i := range 8 * len(whole) {
		b := slices.Clone(whole)
		b[i/8] ^= 1 << (i % 8)
		damaged("a flipped bit", b)
	}
	for n := range len(whole) {
		damaged("a cut", whole[:n])
	}
}

func TestWhatACrashLeftIsRemoved(t *testing.T) {
	st := folder(t)
	save(t, st, example(1), 9)
	stray := st.path("world", 2) + durable.Temporary
	if err := os.WriteFile(stray, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := Open(st.dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(stray); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the unfinished file is still there: %v", err)
	}
	if h, err := again.Highest(); h != 1 || err != nil {
		t.Errorf("highest is #%d, %v", h, err)
	}
}

func TestAFullOrMissingFolderIsAnErrorAndChangesNothing(t *testing.T) {
	st := folder(t)
	save(t, st, example(1), 9)
	obstacle := filepath.Join(st.path("world", 2)+durable.Temporary, "x") // a folder that isn't empty can't be removed
	if err := os.MkdirAll(obstacle, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := st.Save(context.Background(), example(2), 1); err == nil {
		t.Error("saved over a folder")
	}
	if got, ok, _, err := st.Load(context.Background(), "world", "1", 0, nil); !ok || got.Position != 1 || err != nil {
		t.Errorf("the one before is gone: #%d, %v, %v", got.Position, ok, err)
	}
}
