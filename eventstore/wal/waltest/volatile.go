package waltest

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/hodei-jobs/hodei/eventstore/wal"
)

// ErrPower is the answer to each step after the power was cut.
var ErrPower = errors.New("the power is cut")

// Volatile is a disk of which only what was synced is sure to be there after the
// power was cut: bytes by a sync of their file, names by one of their folder. It
// is for one log, in folder Root.
type Volatile struct {
	Root string
	At   int // the step from which on the power is cut; 0 for never

	Steps int // done so far

	last    int            // identity given last
	now     map[uint64]int // inode to identity: inodes are used again
	bytes   map[int][]byte // what is durable of a file
	entries map[int]names  // what is durable of a folder
}

// names is a folder: names to identities.
type names map[string]int

var _ wal.Files = (*Volatile)(nil)

func (v *Volatile) step(do func() error) error {
	v.Steps++
	if v.At > 0 && v.Steps >= v.At {
		return ErrPower
	}
	return do()
}

// id returns the identity of what is at path now; fresh says that it is new.
func (v *Volatile) id(path string, fresh bool) int {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	if v.now == nil {
		v.now, v.bytes, v.entries = make(map[uint64]int), make(map[int][]byte), make(map[int]names)
	}
	inode := info.Sys().(*syscall.Stat_t).Ino
	if v.now[inode] == 0 || fresh {
		v.last++
		v.now[inode] = v.last
	}
	return v.now[inode]
}

// change does something to a file and makes its bytes durable if they are synced.
func (v *Volatile) change(path string, flag int, synced bool, do func(*os.File) error) error {
	return v.step(func() error {
		_, err := os.Stat(path)
		f, openErr := os.OpenFile(path, flag, 0o600)
		if openErr != nil {
			return openErr
		}
		id := v.id(path, errors.Is(err, fs.ErrNotExist))
		err = errors.Join(do(f), f.Close())
		if err == nil && synced {
			v.bytes[id], err = os.ReadFile(path)
		}
		return err
	})
}

// Segment implements [wal.Files].
func (v *Volatile) Segment(dir string) (wal.Segment, error) {
	path := filepath.Join(dir, "00000000000000000001")
	err := v.change(path, os.O_CREATE|os.O_WRONLY, false, func(*os.File) error { return nil })
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	return &volatileSegment{f, v}, err
}

// Write implements [wal.Files].
func (v *Volatile) Write(path string, data []byte) error {
	return v.change(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, true, func(f *os.File) error {
		_, err := f.Write(data)
		return err
	})
}

// Rewrite implements [wal.Files].
func (v *Volatile) Rewrite(path string, at int64, b []byte) error {
	return v.change(path, os.O_WRONLY, true, func(f *os.File) error {
		_, err := f.WriteAt(b, at)
		return err
	})
}

// Truncate implements [wal.Files].
func (v *Volatile) Truncate(path string, size int64) error {
	return v.change(path, os.O_WRONLY, true, func(f *os.File) error { return f.Truncate(size) })
}

// Mkdir implements [wal.Files].
func (v *Volatile) Mkdir(dir string) error {
	return v.step(func() error {
		err := os.Mkdir(dir, 0o700)
		v.id(dir, true)
		return err
	})
}

// Rename implements [wal.Files].
func (v *Volatile) Rename(from, to string) error {
	return v.step(func() error { return os.Rename(from, to) })
}

// Remove implements [wal.Files].
func (v *Volatile) Remove(path string) error {
	return v.step(func() error { return os.RemoveAll(path) })
}

// SyncDir implements [wal.Files].
func (v *Volatile) SyncDir(dir string) error {
	return v.step(func() (err error) {
		id := v.id(dir, false)
		v.entries[id], err = v.list(dir)
		return err
	})
}

func (v *Volatile) list(dir string) (names, error) {
	all, err := os.ReadDir(dir)
	found := make(names)
	for _, e := range all {
		found[e.Name()] = v.id(filepath.Join(dir, e.Name()), false)
	}
	return found, err
}

type volatileSegment struct {
	*os.File
	v *Volatile
}

func (s *volatileSegment) Write(frame []byte) error {
	return s.v.step(func() error {
		_, err := s.File.Write(append(binary.AppendUvarint(nil, uint64(len(frame))), frame...))
		return err
	})
}

func (s *volatileSegment) Sync() error {
	return s.v.step(func() error {
		info, err := s.Stat()
		if err != nil {
			return err
		}
		// By descriptor: its folder has another name by now.
		data, err := os.ReadFile("/proc/self/fd/" + strconv.Itoa(int(s.Fd())))
		s.v.bytes[s.v.now[info.Sys().(*syscall.Stat_t).Ino]] = data
		return err
	})
}

// After writes to folder to what is on disk after the power was cut. Of what was
// not synced, kept is asked by name whether it is there all the same.
func (v *Volatile) After(to string, kept func(name string) bool) error {
	return v.after(v.id(v.Root, false), v.Root, to, kept)
}

func (v *Volatile) after(id int, from, to string, kept func(name string) bool) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	left, current := make(names), names{}
	for name, id := range v.entries[id] {
		left[name] = id
	}
	if v.id(from, false) == id { // it is still where it was
		current, _ = v.list(from)
	}
	for name, id := range current {
		if left[name] != id && kept(name) {
			left[name] = id
		}
	}
	for name := range v.entries[id] {
		if current[name] == 0 && kept(name) {
			delete(left, name)
		}
	}
	for name, id := range left {
		path := filepath.Join(to, name)
		info, err := os.Stat(filepath.Join(from, name))
		_, folder := v.entries[id]
		if folder || err == nil && info.IsDir() {
			err = v.after(id, filepath.Join(from, name), path, kept)
		} else {
			err = os.WriteFile(path, v.bytes[id], 0o600)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
