// Package durabletest makes steps on a disk fail and cuts its power, for tests of
// what must be there after that.
package durabletest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/hodei-jobs/hodei/eventstore/durable"
)

// ErrSync is the answer to a sync that fails.
var ErrSync = errors.New("the sync failed")

// Volatile is a disk of which only what was synced is sure to be there after the
// power was cut: bytes by a sync of their file, names by one of their folder. It
// is for what lies in folder Root, which itself is there. Methods are safe for
// concurrent use; fields must not be changed while a step runs.
type Volatile struct {
	Root   string
	Before func() // is called before each step, to see what a power cut would leave
	Forget string // one of Sites: its syncs do nothing

	// FailSync is the sync that fails, counted from 1; 0 for none. The bytes that it
	// should have written are then taken for written, as Linux does: no later sync
	// writes them, unless they are written again.
	FailSync int

	Known uint64 // what whoever uses the disk may rely on; its own measure

	Syncs int            // so far
	Sites map[string]int // syncs by what they are of and who asked for them

	mu      sync.Mutex
	last    int            // identity given last
	now     map[uint64]int // inode to identity: inodes are used again
	bytes   map[int][]byte // what is durable of a file
	lost    map[int][]bool // by byte of a file: a failed sync has left it behind
	entries map[int]names  // what is durable of a folder
}

// names is a folder: names to identities.
type names map[string]int

var _ durable.Files = (*Volatile)(nil)

// step is every change of the disk, and every opening.
func (v *Volatile) step(do func() error) error {
	if v.Before != nil {
		v.Before()
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.begin()
	return do()
}

func (v *Volatile) begin() {
	if v.now == nil {
		v.now, v.bytes, v.lost = make(map[uint64]int), make(map[int][]byte), make(map[int][]bool)
		v.entries, v.Sites = make(map[int]names), make(map[string]int)
	}
}

// id returns the identity of what is at path now; fresh says that it is new.
func (v *Volatile) id(path string, fresh bool) int {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	inode := info.Sys().(*syscall.Stat_t).Ino
	if v.now[inode] == 0 || fresh {
		v.last++
		v.now[inode] = v.last
	}
	return v.now[inode]
}

// Open implements [durable.Files].
func (v *Volatile) Open(path string, flag int) (durable.File, error) {
	opened := &volatileFile{v: v, append: flag&os.O_APPEND != 0}
	err := v.step(func() (err error) {
		_, missing := os.Stat(path)
		if opened.File, err = os.OpenFile(path, flag, 0o600); err == nil {
			opened.id = v.id(path, errors.Is(missing, fs.ErrNotExist))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return opened, nil
}

// Mkdir implements [durable.Files].
func (v *Volatile) Mkdir(path string) error {
	return v.step(func() error {
		err := os.Mkdir(path, 0o700)
		if err == nil {
			v.id(path, true)
		}
		return err
	})
}

// Rename implements [durable.Files].
func (v *Volatile) Rename(from, to string) error {
	return v.step(func() error { return os.Rename(from, to) })
}

// Remove implements [durable.Files].
func (v *Volatile) Remove(path string) error {
	return v.step(func() error { return os.Remove(path) })
}

// RemoveAll implements [durable.Files].
func (v *Volatile) RemoveAll(path string) error {
	return v.step(func() error { return os.RemoveAll(path) })
}

type volatileFile struct {
	*os.File
	v      *Volatile
	id     int
	append bool
}

// place is the file whatever its name is by now.
func (f *volatileFile) place() string { return "/proc/self/fd/" + strconv.Itoa(int(f.Fd())) }

func (f *volatileFile) Write(b []byte) (n int, err error) {
	err = f.v.step(func() error {
		if n, err = f.File.Write(b); err != nil {
			return err
		}
		at, err := f.Seek(0, 1)
		f.written(at-int64(n), n)
		return err
	})
	return n, err
}

func (f *volatileFile) WriteAt(b []byte, at int64) (n int, err error) {
	err = f.v.step(func() error {
		n, err = f.File.WriteAt(b, at)
		f.written(at, n)
		return err
	})
	return n, err
}

// written notes that bytes wait for the next sync again.
func (f *volatileFile) written(at int64, n int) {
	lost := f.v.lost[f.id]
	for i := at; i < min(at+int64(n), int64(len(lost))); i++ {
		lost[i] = false
	}
}

func (f *volatileFile) Truncate(size int64) error {
	return f.v.step(func() error {
		lost := f.v.lost[f.id]
		f.v.lost[f.id] = lost[:min(int64(len(lost)), size)]
		return f.File.Truncate(size)
	})
}

func (f *volatileFile) Sync() error {
	return f.v.step(func() error {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		what := "file "
		if info.IsDir() {
			what = "folder "
		}
		site := what + caller()
		f.v.Syncs++
		f.v.Sites[site]++
		switch {
		case f.v.Syncs == f.v.FailSync && info.IsDir():
			return ErrSync
		case f.v.Syncs == f.v.FailSync:
			return errors.Join(ErrSync, f.fail())
		case site == f.v.Forget:
			return nil
		case info.IsDir():
			f.v.entries[f.id], err = f.v.list(f.place())
			return err
		}
		return f.keep()
	})
}

// keep makes the bytes durable, but for those that a failed sync has left behind.
func (f *volatileFile) keep() error {
	data, err := os.ReadFile(f.place())
	before := f.v.bytes[f.id]
	for i, lost := range f.v.lost[f.id] {
		if lost && i < len(data) {
			data[i] = 0
			if i < len(before) {
				data[i] = before[i]
			}
		}
	}
	f.v.bytes[f.id] = data
	return err
}

func (f *volatileFile) fail() error {
	data, err := os.ReadFile(f.place())
	lost := make([]bool, len(data))
	copy(lost, f.v.lost[f.id])
	before := f.v.bytes[f.id]
	for i := range data {
		lost[i] = lost[i] || i >= len(before) || before[i] != data[i]
	}
	f.v.lost[f.id] = lost
	return err
}

// caller names the function that asked for a sync: the first one that is not there
// to sync.
func caller() string {
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		f, more := frames.Next()
		name := f.Function[strings.LastIndexByte(f.Function, '/')+1:]
		helps := strings.HasPrefix(name, "durable.") || strings.HasPrefix(name, "durabletest.") ||
			strings.HasPrefix(name, "waltest.") ||
			strings.Contains(name, ".Disk.") || strings.HasSuffix(name, ".syncDir")
		if !helps || !more {
			return name
		}
	}
}

func (v *Volatile) list(dir string) (names, error) {
	all, err := os.ReadDir(dir)
	found := make(names)
	for _, e := range all {
		found[e.Name()] = v.id(filepath.Join(dir, e.Name()), false)
	}
	return found, err
}
