package joblog_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hodei-jobs/hodei/eventstore/wal"
	"github.com/hodei-jobs/hodei/projections/joblog"
)

// newest returns the file that a folder's journal is in.
func newest(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "0*", "0*"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	return names[0]
}

// frames returns true frames of another journal, as a job could print them.
func frames(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	other, _, err := wal.Open(dir, wal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for p := uint64(1); p <= 20; p++ {
		if err := other.Append(wal.Header{First: p, Count: 1}, make([]byte, wal.HeaderSize)); err != nil {
			t.Fatal(err)
		}
	}
	if err := other.Close(nil); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(newest(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What a job prints can't make a frame that a crash has torn look like damage.
func TestOutputThatLooksLikeAJournal(t *testing.T) {
	dir, k := t.TempDir(), numbered(1)
	log := open(t, dir, joblog.Options{})
	take(t, log, k, 1)
	if err := log.Append(k, 1, out(0, "first")); err != nil {
		t.Fatal(err)
	}
	if err := log.WaitDurable(t.Context(), k, 5); err != nil {
		t.Fatal(err)
	}
	forged := frames(t)
	if err := log.Append(k, 1, out(5, forged)); err != nil {
		t.Fatal(err)
	}
	if err := log.WaitDurable(t.Context(), k, 5+uint64(len(forged))); err != nil {
		t.Fatal(err)
	}
	// The folder as a crash leaves it that tears the last frame.
	torn := t.TempDir()
	if err := os.CopyFS(torn, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(newest(t, torn))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(newest(t, torn), info.Size()-3); err != nil {
		t.Fatal(err)
	}
	again := open(t, torn, joblog.Options{})
	if got := readAll(t, again, k, 0, 100); got != "first" {
		t.Errorf("the log reads %q, want what was whole", got)
	}
}
