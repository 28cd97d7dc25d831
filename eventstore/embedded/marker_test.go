package embedded

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/embedded/index"
)

// swapLog puts the log of another, shorter store in the place of a store's.
func swapLog(t *testing.T, cfg Config) {
	t.Helper()
	shorter := config(newDir(t))
	filledStore(t, shorter, 2)
	if err := os.RemoveAll(filepath.Join(cfg.Dir, logName)); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(shorter.Dir, logName), filepath.Join(cfg.Dir, logName)); err != nil {
		t.Fatal(err)
	}
}

// wantRefused starts a store again and again: each start says that the log lost
// what the index knows of.
func wantRefused(t *testing.T, cfg Config, openDB func(string) (index.Index, error)) {
	t.Helper()
	for start := range 3 {
		s, _, err := open(t.Context(), cfg, openDB)
		var damaged *eventstore.DamageError
		if !errors.As(err, &damaged) || !strings.Contains(err.Error(), "its index goes to #20") {
			t.Errorf("start %d with a log that lost records: %v", start+1, err)
		}
		if err == nil {
			_ = s.Close()
		}
	}
}

func TestNoStartForgetsThatTheLogLostRecords(t *testing.T) {
	cfg := config(newDir(t))
	filledStore(t, cfg, 10)
	swapLog(t, cfg)
	wantRefused(t, cfg, index.Open)
}

// A start that ends while the index is scrubbed may not forget either.
func TestAKilledStartLeavesTheProofOfALoss(t *testing.T) {
	cfg := config(newDir(t))
	filledStore(t, cfg, 10)
	files := indexFiles{dir: filepath.Join(cfg.Dir, indexDir), openDB: index.Open}
	ix, err := files.open() // and the process ends
	if err == nil {
		err = ix.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	swapLog(t, cfg)
	wantRefused(t, cfg, index.Open)
}

// The copy that takes an index's place is held against the log like any other.
func TestTheCopyIsProofOfALossToo(t *testing.T) {
	cfg := config(newDir(t))
	filledStore(t, cfg, 10)
	at := func(name string) string { return filepath.Join(cfg.Dir, indexDir, name) }
	if err := os.Rename(at(indexName), at(copyName)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at(indexName), []byte("not an index"), fileMode); err != nil {
		t.Fatal(err)
	}
	swapLog(t, cfg)
	wantRefused(t, cfg, index.Open)
}

// A store that is closed while its index is scrubbed finds it again.
func TestAnEndDuringTheScrubKeepsTheIndex(t *testing.T) {
	cfg := config(newDir(t))
	filledStore(t, cfg, 10)
	good := newMemIndex()
	s, _ := openWith(t, cfg, good)
	waitReady(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	slow := &badIndex{memIndex: good, scrub: func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}}
	s, _ = openWith(t, cfg, slow)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, report := openWith(t, cfg, good)
	waitReady(t, s)
	if report.Index != "" || s.index.state.Load().index != index.Index(good) {
		t.Errorf("the index is made anew: %q", report.Index)
	}
}

// An index that is being made goes on where it was, also after a kill.
func TestAMakingOfTheIndexGoesOn(t *testing.T) {
	cfg := config(newDir(t))
	filledStore(t, cfg, 10)
	marker := filepath.Join(cfg.Dir, indexDir, markerName)
	fresh := &badIndex{memIndex: newMemIndex()}
	marked := true
	fresh.write = func() error {
		_, err := os.Stat(marker)
		marked = !errors.Is(err, fs.ErrNotExist)
		return nil
	}
	s, _ := openWith(t, cfg, fresh)
	waitReady(t, s)
	if marked {
		t.Error("a kill while it is made would throw it away")
	}
}

// A last frame that looks torn, but which the index knows, was lost: it stays on
// disk for whoever can mend it.
func TestAFrameThatTheIndexKnowsIsNotCut(t *testing.T) {
	cfg := config(newDir(t))
	filledStore(t, cfg, 10)
	if err := os.Remove(filepath.Join(cfg.Dir, logName, "CLEAN")); err != nil {
		t.Fatal(err)
	}
	segments, err := filepath.Glob(filepath.Join(cfg.Dir, logName, "0*", "0*"))
	if err != nil || len(segments) != 1 {
		t.Fatal(segments, err)
	}
	whole, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(segments[0], int64(len(whole)-3)); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, cfg, index.Open)
	if info, err := os.Stat(segments[0]); err != nil || info.Size() != int64(len(whole)-3) {
		t.Error("the frame was cut off")
	}
	if err := os.WriteFile(segments[0], whole, fileMode); err != nil {
		t.Fatal(err)
	}
	s, _ := openStore(t, cfg)
	if n := len(all(t, s)); n != 20 {
		t.Errorf("%d records after it was mended, expected 20", n)
	}
}
