// Package waltest makes steps of a log on disk fail, for tests of what is built
// on package wal.
package waltest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hodei-jobs/hodei/eventstore/wal"
)

// Faulty is the disk on which one step fails. Steps are counted from 1, in the
// order in which the log does them. It is for one log, and its fields must not
// be changed while a step runs.
type Faulty struct {
	At        int   // the step that fails; 0 for none
	Err       error // what it fails with
	Persisted bool  // it fails after it was done
	Half      bool  // if it writes a frame, half of the bytes are written before it fails

	Steps  int    // done so far
	Failed string // what failed; empty if nothing has

	disk wal.Disk
}

var _ wal.Files = (*Faulty)(nil)

func (f *Faulty) step(name string, do func() error) error {
	f.Steps++
	if f.Steps != f.At {
		return do()
	}
	f.Failed = name
	if f.Persisted {
		if err := do(); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s: %w", name, f.Err)
}

// Segment implements [wal.Files].
func (f *Faulty) Segment(dir string) (s wal.Segment, err error) {
	err = f.step("open segment", func() error {
		s, err = f.disk.Segment(dir)
		return err
	})
	if err == nil {
		return segment{s, f, strings.TrimSuffix(dir, ".new")}, nil
	}
	if s != nil {
		err = errors.Join(err, s.Close())
	}
	return nil, err
}

// Write implements [wal.Files].
func (f *Faulty) Write(path string, data []byte) error {
	return f.step("write "+filepath.Base(path), func() error { return f.disk.Write(path, data) })
}

// Rewrite implements [wal.Files].
func (f *Faulty) Rewrite(path string, at int64, b []byte) error {
	return f.step("rewrite", func() error { return f.disk.Rewrite(path, at, b) })
}

// Truncate implements [wal.Files].
func (f *Faulty) Truncate(path string, size int64) error {
	return f.step("truncate", func() error { return f.disk.Truncate(path, size) })
}

// Mkdir implements [wal.Files].
func (f *Faulty) Mkdir(dir string) error {
	return f.step("mkdir", func() error { return f.disk.Mkdir(dir) })
}

// Rename implements [wal.Files].
func (f *Faulty) Rename(from, to string) error {
	return f.step("rename to "+filepath.Base(to), func() error { return f.disk.Rename(from, to) })
}

// Remove implements [wal.Files].
func (f *Faulty) Remove(path string) error {
	return f.step("remove "+filepath.Base(path), func() error { return f.disk.Remove(path) })
}

// SyncDir implements [wal.Files].
func (f *Faulty) SyncDir(dir string) error {
	return f.step("sync folder", func() error { return f.disk.SyncDir(dir) })
}

type segment struct {
	wal.Segment
	f   *Faulty
	dir string
}

func (s segment) Write(frame []byte) error {
	if s.f.Half && s.f.Steps+1 == s.f.At {
		if err := s.half(frame); err != nil {
			return err
		}
	}
	return s.f.step("write frame", func() error { return s.Segment.Write(frame) })
}

// half appends half of the frame behind tidwall/wal's back, without its prefix.
func (s segment) half(frame []byte) error {
	names, err := filepath.Glob(s.dir + "*/0*") // a new journal has another name at first
	if err != nil || len(names) != 1 {
		return fmt.Errorf("segments in %s: %v, %w", s.dir, names, err)
	}
	f, err := os.OpenFile(names[0], os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(frame[:len(frame)/2])
	return errors.Join(err, f.Close())
}

func (s segment) Sync() error { return s.f.step("sync", s.Segment.Sync) }

func (s segment) Close() error { return s.f.step("close", s.Segment.Close) }
