package durabletest

import (
	"github.com/hodei-jobs/hodei/eventstore/durable"
)

// How a step fails.
type How int

// What was done of a step that failed.
const (
	Nothing How = iota
	Half        // of a write the first half, of any other step nothing
	All
)

// Faulty is a disk on which one step fails. Steps are counted from 1, in the
// order in which they are done; closing a file is none. A sync is a step, and does
// nothing: tests have no time for it. It is for one goroutine.
type Faulty struct {
	durable.OS
	At  int   // the step that fails; 0 for none
	Err error // what it fails with
	How How

	Steps int // done so far
}

var _ durable.Files = (*Faulty)(nil)

func (f *Faulty) step(do func() error) error {
	if f.Steps++; f.Steps != f.At {
		return do()
	}
	if f.How == All {
		if err := do(); err != nil {
			return err
		}
	}
	return f.Err
}

// Open implements [durable.Files].
func (f *Faulty) Open(path string, flag int) (opened durable.File, err error) {
	err = f.step(func() error {
		opened, err = f.OS.Open(path, flag)
		return err
	})
	if err == nil {
		return faultyFile{opened, f}, nil
	}
	if opened != nil {
		_ = opened.Close()
	}
	return nil, err
}

// Mkdir implements [durable.Files].
func (f *Faulty) Mkdir(path string) error {
	return f.step(func() error { return f.OS.Mkdir(path) })
}

// Rename implements [durable.Files].
func (f *Faulty) Rename(from, to string) error {
	return f.step(func() error { return f.OS.Rename(from, to) })
}

// Remove implements [durable.Files].
func (f *Faulty) Remove(path string) error {
	return f.step(func() error { return f.OS.Remove(path) })
}

// RemoveAll implements [durable.Files].
func (f *Faulty) RemoveAll(path string) error {
	return f.step(func() error { return f.OS.RemoveAll(path) })
}

type faultyFile struct {
	durable.File
	f *Faulty
}

func (o faultyFile) Write(b []byte) (n int, err error) {
	if o.f.How == Half && o.f.Steps+1 == o.f.At {
		if n, err = o.File.Write(b[:len(b)/2]); err != nil {
			return n, err
		}
	}
	err = o.f.step(func() error {
		n, err = o.File.Write(b)
		return err
	})
	return n, err
}

func (o faultyFile) WriteAt(b []byte, at int64) (n int, err error) {
	err = o.f.step(func() error {
		n, err = o.File.WriteAt(b, at)
		return err
	})
	return n, err
}

func (o faultyFile) Truncate(size int64) error {
	return o.f.step(func() error { return o.File.Truncate(size) })
}

func (o faultyFile) Sync() error { return o.f.step(func() error { return nil }) }
