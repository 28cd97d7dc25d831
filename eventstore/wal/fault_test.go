package wal_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hodei-jobs/hodei/eventstore/wal"
	"github.com/hodei-jobs/hodei/eventstore/wal/waltest"
)

// run opens a log on a faulty disk, appends frames until something fails, and
// returns how many were acknowledged.
func run(dir string, f *waltest.Faulty, frames int) (acked uint64, err error) {
	opts := wal.Small
	opts.Files = f
	l, _, err := wal.Open(dir, opts)
	if err != nil {
		return 0, err
	}
	before := l.LastFrame()
	for range frames {
		if err = wal.AppendFrames(l, 1); err != nil && !errors.Is(err, wal.ErrFull) {
			break
		}
		if err == nil {
			acked++
		}
		err = nil // a full disk is taken back
	}
	if err == nil {
		if err = removeOldest(l); errors.Is(err, wal.ErrFull) {
			if err = wal.AppendFrames(l, 1); err == nil { // the log goes on
				acked++
			}
		}
	}
	if n, readErr := wal.Verify(l); readErr != nil || n != before+acked {
		return acked, fmt.Errorf("readers see %d frames of %d (%w)", n, before+acked, readErr)
	}
	if err != nil {
		if h, frame := wal.FrameAt(l.Next()); l.Append(h, frame) == nil {
			return acked, errors.New("a failed log took an append")
		}
	}
	return acked, errors.Join(err, l.Close(nil))
}

// removeOldest removes the oldest journal unless it is the only one.
func removeOldest(l *wal.Log) error {
	oldest := l.Journals()[0]
	if !oldest.Sealed {
		return nil
	}
	return l.Remove(oldest.Next - 1)
}

// Each step of a run over several journals fails once, in each way. After that
// the log opens with all that was acknowledged, and takes appends.
func TestEachStepFailing(t *testing.T) {
	const before, frames = 3, 9
	base := filepath.Join(t.TempDir(), "log")
	if _, err := run(base, new(waltest.Faulty), before); err != nil {
		t.Fatal(err)
	}
	stride := 1
	if testing.Short() {
		stride = 4
	}
	for i, row := range []struct {
		name  string
		fault waltest.Faulty
	}{
		{"fails", waltest.Faulty{Err: unix.EIO}},
		{"fails but was done", waltest.Faulty{Err: unix.EIO, Persisted: true}},
		{"fails half done", waltest.Faulty{Err: unix.EIO, Half: true}},
		{"finds the disk full", waltest.Faulty{Err: unix.ENOSPC}},
		{"finds the disk full half way", waltest.Faulty{Err: unix.ENOSPC, Half: true}},
	} {
		for at := 1 + i%stride; ; at += stride {
			dir := filepath.Join(t.TempDir(), "log")
			if err := os.CopyFS(dir, os.DirFS(base)); err != nil {
				t.Fatal(err)
			}
			f := row.fault
			f.At = at
			acked, err := run(dir, &f, frames)
			if f.Failed == "" {
				if err != nil || acked != frames {
					t.Errorf("without a fault: %d frames, %v", acked, err)
				}
				break
			}
			name := fmt.Sprintf("step %d, %s, %s", at, f.Failed, row.name)
			if err != nil && !errors.Is(err, f.Err) {
				t.Errorf("%s: %v", name, err)
			}
			n, _, err := wal.Reopen(dir)
			if err != nil || n < before+acked || n > before+acked+1 {
				t.Errorf("%s: %d frames acknowledged, %d found, %v", name, before+acked, n, err)
			}
		}
	}
}

func TestAFullDiskIsTakenBack(t *testing.T) {
	f := &waltest.Faulty{Err: unix.ENOSPC, Half: true}
	opts := wal.Small
	opts.Files = f
	l, _, err := wal.Open(filepath.Join(t.TempDir(), "log"), opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := wal.AppendFrames(l, 2); err != nil {
		t.Fatal(err)
	}
	f.At = f.Steps + 1
	if err := wal.AppendFrames(l, 1); !errors.Is(err, wal.ErrFull) || f.Failed != "write frame" {
		t.Fatalf("%s failed with %v, expected a full disk", f.Failed, err)
	}
	if err := wal.AppendFrames(l, 2); err != nil {
		t.Fatal(err)
	}
	if n, err := wal.Verify(l); n != 4 || err != nil {
		t.Errorf("%d frames, %v; expected 4", n, err)
	}
	if err := l.Close(nil); err != nil {
		t.Error(err)
	}
}

func TestAFullDiskDuringRemoveIsTakenBack(t *testing.T) {
	f := &waltest.Faulty{Err: unix.ENOSPC}
	opts := wal.Small
	opts.Files = f
	l, _, err := wal.Open(filepath.Join(t.TempDir(), "log"), opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := wal.AppendFrames(l, 9); err != nil {
		t.Fatal(err)
	}
	f.At = f.Steps + 1
	if err := removeOldest(l); !errors.Is(err, wal.ErrFull) || f.Failed != "write HORIZON.tmp" {
		t.Fatalf("%s failed with %v, expected a full disk", f.Failed, err)
	}
	if err := errors.Join(wal.AppendFrames(l, 1), removeOldest(l)); err != nil {
		t.Error(err)
	}
	if n, err := wal.Verify(l); n != 10 || err != nil || l.First() == 1 {
		t.Errorf("%d frames from %d, %v", n, l.First(), err)
	}
	if err := l.Close(nil); err != nil {
		t.Error(err)
	}
}
