package wal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// fault fails one step of a log. Steps are counted from 1.
type fault struct {
	at        int   // the step that fails; 0 for none
	persisted bool  // it fails after it was done
	half      bool  // a write leaves half of its bytes
	err       error // what it fails with
	steps     int
	failed    string // what failed
}

func (f *fault) step(name string, do func() error) error {
	f.steps++
	if f.steps != f.at {
		return do()
	}
	f.failed = name
	if f.persisted {
		if err := do(); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s: %w", name, f.err)
}

// faulty is the disk with a fault.
type faulty struct {
	Disk
	*fault
}

func (f faulty) Segment(dir string) (s Segment, err error) {
	err = f.step("open segment", func() error {
		s, err = f.Disk.Segment(dir)
		return err
	})
	if err != nil && s != nil {
		return nil, errors.Join(err, s.Close())
	}
	return faultySegment{s, f.fault, filepath.Join(strings.TrimSuffix(dir, newSuffix), segmentName)}, err
}

func (f faulty) Write(path string, data []byte) error {
	return f.step("write "+filepath.Base(path), func() error { return f.Disk.Write(path, data) })
}

func (f faulty) Rewrite(path string, at int64, b []byte) error {
	return f.step("rewrite", func() error { return f.Disk.Rewrite(path, at, b) })
}

func (f faulty) Truncate(path string, size int64) error {
	return f.step("truncate", func() error { return f.Disk.Truncate(path, size) })
}

func (f faulty) Mkdir(dir string) error {
	return f.step("mkdir", func() error { return f.Disk.Mkdir(dir) })
}

func (f faulty) Rename(from, to string) error {
	return f.step("rename to "+filepath.Base(to), func() error { return f.Disk.Rename(from, to) })
}

func (f faulty) Remove(path string) error {
	return f.step("remove "+filepath.Base(path), func() error { return f.Disk.Remove(path) })
}

func (f faulty) SyncDir(dir string) error {
	return f.step("sync folder", func() error { return f.Disk.SyncDir(dir) })
}

type faultySegment struct {
	Segment
	*fault
	path string
}

func (s faultySegment) Write(frame []byte) error {
	if s.half && s.steps+1 == s.at {
		f, err := os.OpenFile(s.path, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return err
		}
		_, err = f.Write(frame[:len(frame)/2])
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return s.step("write frame", func() error { return s.Segment.Write(frame) })
}

func (s faultySegment) Sync() error { return s.step("sync", s.Segment.Sync) }

func (s faultySegment) Close() error { return s.step("close", s.Segment.Close) }

// run opens a log on a faulty disk, appends frames until something fails, and
// returns how many were acknowledged.
func run(dir string, f *fault, frames int) (acked uint64, err error) {
	opts := small
	opts.Files = faulty{fault: f}
	l, _, err := Open(dir, opts)
	if err != nil {
		return 0, err
	}
	before := l.Current().end().number - 1
	for range frames {
		if err = appendFrames(l, 1); err != nil && !errors.Is(err, ErrFull) {
			break
		}
		if err == nil {
			acked++
		}
		err = nil // a full disk is taken back
	}
	if n, readErr := verify(l); readErr != nil || n != before+acked {
		return acked, fmt.Errorf("readers see %d frames of %d (%w)", n, before+acked, readErr)
	}
	if err != nil {
		if h, frame := frameAt(l.Next()); l.Append(h, frame) == nil {
			return acked, errors.New("a failed log took an append")
		}
	}
	return acked, errors.Join(err, l.Close(nil))
}

// Each step of a run over several journals fails once, in each way. After that
// the log opens with all that was acknowledged, and takes appends.
func TestEachStepFailing(t *testing.T) {
	const frames = 9
	for _, row := range []struct {
		name  string
		fault fault
	}{
		{"fails", fault{err: unix.EIO}},
		{"fails but was done", fault{err: unix.EIO, persisted: true}},
		{"fails half done", fault{err: unix.EIO, half: true}},
		{"finds the disk full", fault{err: unix.ENOSPC}},
		{"finds the disk full half way", fault{err: unix.ENOSPC, half: true}},
	} {
		for at := 1; ; at++ {
			dir := filepath.Join(t.TempDir(), "log")
			if _, err := run(dir, new(fault), 3); err != nil {
				t.Fatal(err)
			}
			f := row.fault
			f.at = at
			acked, err := run(dir, &f, frames)
			if f.failed == "" {
				if err != nil || acked != frames {
					t.Errorf("without a fault: %d frames, %v", acked, err)
				}
				break
			}
			name := fmt.Sprintf("step %d, %s, %s", at, f.failed, row.name)
			if err != nil && !errors.Is(err, f.err) {
				t.Errorf("%s: %v", name, err)
			}
			n, _, err := reopen(dir)
			if err != nil || n < 3+acked || n > 3+acked+1 {
				t.Errorf("%s: %d frames acknowledged, %d found, %v", name, 3+acked, n, err)
			}
		}
	}
}

func TestAFullDiskIsTakenBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	f := &fault{err: unix.ENOSPC, half: true}
	opts := small
	opts.Files = faulty{fault: f}
	l, _ := mustOpen(t, dir, opts)
	if err := appendFrames(l, 2); err != nil {
		t.Fatal(err)
	}
	f.at = f.steps + 1
	if err := appendFrames(l, 1); !errors.Is(err, ErrFull) || f.failed != "write frame" {
		t.Fatalf("%s failed with %v, expected a full disk", f.failed, err)
	}
	if err := appendFrames(l, 2); err != nil {
		t.Fatal(err)
	}
	if n, err := verify(l); n != 4 || err != nil {
		t.Errorf("%d frames, %v; expected 4", n, err)
	}
}
