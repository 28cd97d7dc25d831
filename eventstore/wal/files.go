package wal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	tidwall "github.com/tidwall/wal"
	"golang.org/x/sys/unix"

	"github.com/hodei-jobs/hodei/eventstore/durable"
)

// Files is all that a log does to its folder, so that a test can make any step
// fail. Each step that returns nil has reached the disk, but for Segment.Write,
// Mkdir, Rename and Remove, which SyncDir and Segment.Sync complete.
type Files interface {
	Segment(dir string) (Segment, error)           // opens the one segment of a journal's folder for appending, or creates it
	Write(path string, data []byte) error          // a whole small file, synced
	Rewrite(path string, at int64, b []byte) error // bytes in the middle of a file, synced
	Truncate(path string, size int64) error        // synced
	Mkdir(dir string) error
	Rename(from, to string) error
	Remove(path string) error // a file, or a folder with all in it
	SyncDir(dir string) error
}

// Segment is one file of entries, open for appending.
type Segment interface {
	Write(frame []byte) error
	Sync() error
	Close() error
}

// Disk is the real file system, or what Files is in its place for all but the
// segments.
type Disk struct{ Files durable.Files }

func (d Disk) on() durable.Files {
	if d.Files == nil {
		return durable.OS{}
	}
	return d.Files
}

const (
	dirMode  = 0o700
	fileMode = 0o600

	segmentName = "00000000000000000001" // what tidwall/wal calls a segment that begins with its entry 1

	// neverRoll keeps tidwall/wal from beginning a second segment: rolling,
	// with seal and synced folders, is ours.
	neverRoll = 1 << 40
)

func (Disk) Segment(dir string) (Segment, error) {
	log, err := tidwall.Open(dir, &tidwall.Options{
		NoSync: true, SegmentSize: neverRoll, NoCopy: true,
		DirPerms: dirMode, FilePerms: fileMode,
	})
	if err != nil {
		return nil, err
	}
	last, err := log.LastIndex()
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return &segment{log, last + 1}, nil
}

type segment struct {
	*tidwall.Log
	next uint64 // tidwall's index of the next entry, which is of this segment alone
}

func (s *segment) Write(frame []byte) error {
	err := s.Log.Write(s.next, frame)
	if err == nil {
		s.next++
	}
	return err
}

func (d Disk) Write(path string, data []byte) error { return durable.Write(d.on(), path, data) }

func (d Disk) Rewrite(path string, at int64, b []byte) error {
	return durable.Update(d.on(), path, os.O_WRONLY, func(f durable.File) error {
		_, err := f.WriteAt(b, at)
		return err
	})
}

func (d Disk) Truncate(path string, size int64) error {
	return durable.Update(d.on(), path, os.O_WRONLY, func(f durable.File) error { return f.Truncate(size) })
}

func (d Disk) SyncDir(dir string) error     { return durable.SyncDir(d.on(), dir) }
func (d Disk) Mkdir(dir string) error       { return d.on().Mkdir(dir) }
func (d Disk) Rename(from, to string) error { return d.on().Rename(from, to) }
func (d Disk) Remove(path string) error     { return d.on().RemoveAll(path) }

// finalError marks a failure that ends the log whatever its cause: what it left
// on disk isn't known.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

// full reports whether err says that the disk had no room for something that
// was then not done.
func full(err error) bool {
	var final finalError
	return NoRoom(err) && !errors.As(err, &final)
}

// NoRoom reports whether err says that a disk is full, or what may be used of it.
func NoRoom(err error) bool {
	return errors.Is(err, ErrFull) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}

func (l *Log) syncDir(dir string) error {
	if err := l.files.SyncDir(dir); err != nil {
		return finalError{err}
	}
	return nil
}

// LockedError says that another process has the folder open.
type LockedError struct {
	Dir string
	PID int // 0 if it is not known
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("cannot open %s: process %d has it open", e.Dir, e.PID)
}

// lock takes the folder for this process until the file is closed. The kernel
// frees it when the process ends, however it ends.
func lock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, fileMode)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		text, _ := os.ReadFile(f.Name())
		pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = &LockedError{Dir: dir, PID: pid}
		}
		return nil, errors.Join(err, f.Close())
	}
	// The number only helps people; that it may be lost harms nothing. It has one
	// width: ext4 writes a file that was truncated to disk when it is closed.
	_, _ = f.WriteAt(fmt.Appendf(nil, "%-10d\n", os.Getpid()), 0)
	return f, nil
}
