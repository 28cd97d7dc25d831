package snapshot

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/durable"
	"github.com/hodei-jobs/hodei/eventstore/durable/durabletest"
)

// Whichever step of a save fails, and however: after the next start the snapshot
// before or the new one is loaded whole, nothing half-written is left, and the
// next save works.
func TestAFailedStepLeavesOneSnapshotOrTheOther(t *testing.T) {
	ctx := context.Background()
	for _, how := range []durabletest.How{durabletest.Nothing, durabletest.Half, durabletest.All} {
		for at, failed := 1, true; failed; at++ {
			dir := folder(t).dir
			f := &durabletest.Faulty{Err: unix.EIO, How: how}
			save(t, &Store{dir: dir, files: f}, example(1), 9)
			f.Steps, f.At = 0, at
			failed = (&Store{dir: dir, files: f}).Save(ctx, example(2), 1) != nil
			if failed != (f.Steps >= at) {
				t.Fatalf("step %d: the save failed: %v, after %d steps", at, failed, f.Steps)
			}
			again, err := Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			got, ok, skipped, err := again.Load(ctx, "world", "1", 0, nil)
			if err != nil || !ok || len(skipped) > 0 || got.Position != 1 && got.Position != 2 || !failed && got.Position != 2 {
				t.Errorf("step %d, %d: loaded #%d, %v, %v, %v", at, how, got.Position, ok, skipped, err)
			}
			if highest, err := again.Highest(); highest != got.Position || err != nil {
				t.Errorf("step %d, %d: the highest is #%d, %v", at, how, highest, err)
			}
			noStrays(t, dir)
			save(t, again, example(3), 1)
			if all, err := again.List(ctx, "world"); len(all) != 1 || all[0] != 3 || err != nil {
				t.Errorf("step %d, %d: after the next save there are %v, %v", at, how, all, err)
			}
		}
	}
}

func noStrays(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), suffix) {
			t.Errorf("%s is left", e.Name())
		}
	}
}

// A save that was cut off by a crash, at any byte.
func TestACrashAtAnyByteLeavesTheSnapshotBefore(t *testing.T) {
	st := folder(t)
	save(t, st, example(2), 9)
	whole, err := os.ReadFile(st.path("world", 2))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(st.path("world", 2)); err != nil {
		t.Fatal(err)
	}
	save(t, st, example(1), 9)
	for n := range len(whole) + 1 {
		if err := os.WriteFile(st.path("world", 2)+durable.Temporary, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		again, err := Open(st.dir)
		if err != nil {
			t.Fatal(err)
		}
		got, ok, skipped, err := again.Load(context.Background(), "world", "1", 0, nil)
		if !ok || got.Position != 1 || len(skipped) > 0 || err != nil {
			t.Fatalf("cut at byte %d: #%d, %v, %v, %v", n, got.Position, ok, skipped, err)
		}
	}
	noStrays(t, st.dir)
}

func TestWhatCannotBeASnapshotIsRefused(t *testing.T) {
	st := folder(t)
	for name, s := range map[string]eventstore.Snapshot{
		"no name":               {Version: "1"},
		"a name with a slash":   {Name: "../world"},
		"a name with a dot":     {Name: "world.tmp"},
		"too long a name":       {Name: strings.Repeat("a", maxName+1)},
		"too long a version":    {Name: "world", Version: strings.Repeat("1", maxName+1)},
		"a name in upper case":  {Name: "World"},
		"a name with a newline": {Name: "world\n"},
	} {
		if err := st.Save(context.Background(), s, 1); err == nil {
			t.Errorf("%s: saved", name)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := st.Save(ctx, example(1), 1); !errors.Is(err, context.Canceled) {
		t.Errorf("saved though the context has ended: %v", err)
	}
}
