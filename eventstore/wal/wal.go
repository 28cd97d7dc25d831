// Package wal is one append-only log on disk, hardened: what was appended is
// there after any crash or power loss, and bytes that are not what was written
// are noticed. It is built on tidwall/wal, of which it uses the entry format and
// the appending, and which by itself does neither.
//
// A log is a folder. In it stand journals, each a folder named by the number of
// its first frame, with one segment file of frames:
//
//	LOCK                  held for the life of the log
//	CLEAN                 the log was closed in order
//	HORIZON               where it begins, once journals were removed
//	00000000000000000001/ 00000000000000000001, SEAL
//	00000000000000004711/ 00000000000000000001
//
// A frame holds records, which the log only counts: each has a position, dense
// from 1. All journals but the newest are sealed and never change. One goroutine
// at a time appends; readers never wait for it and never see what is not durable.
//
// The first failed sync or write ends the log (see [FailedError]): what the
// kernel dropped can't be known. Only a full disk is taken back ([ErrFull]).
package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/hodei-jobs/hodei/eventstore/durable"
)

// DefaultJournalBytes is the size from which on [Log.Full] asks for a new journal.
const DefaultJournalBytes = 16 << 20

// Options of a log. The zero value is usable.
type Options struct {
	JournalBytes int64             // 0 means DefaultJournalBytes
	Check        func(Frame) error // whether a frame's body is one the caller could have written; nil: any is
	Files        Files             // nil means Disk

	// MetaBytes is how much of what each journal was given by Roll stays in memory,
	// as Journal.Meta; [Journal.ReadMeta] reads the rest. 0 means all.
	MetaBytes int

	// Accept is called when all was found sound and before anything is changed on
	// disk; a torn frame is still there. The log can be read, it can't be kept. An
	// error is Open's answer. Nil accepts any.
	Accept func(*Log, Recovery) error
}

// ErrClosed is the answer of a log that was closed.
var ErrClosed = errors.New("log is closed")

// ErrFull says that the disk is full. Nothing was appended and the log can be
// used as before.
var ErrFull = errors.New("disk is full")

// ErrRemoved says that the journal with that position was removed.
var ErrRemoved = errors.New("journal was removed")

// FailedError says that a step on disk failed. The log takes no appends any
// more; whether the last frame is in it is known after it is opened again.
type FailedError struct {
	Step string
	Err  error
}

func (e *FailedError) Error() string { return "cannot " + e.Step + ": " + e.Err.Error() }
func (e *FailedError) Unwrap() error { return e.Err }

// Log is an open log. All methods are safe for concurrent use.
type Log struct {
	dir   string
	files Files
	check func(Frame) error
	limit int64
	meta  int // bytes of each that stay in memory; 0 is all

	accept func(*Log, Recovery) error

	view atomic.Pointer[view] // what is durable

	mu      sync.Mutex // one appender; readers never take it
	lock    *os.File
	segment Segment // of the current journal; nil as long as it is not on disk
	current Journal
	sealed  []*Journal
	clean   bool  // CLEAN is on disk
	err     error // ErrClosed, or why the log failed
}

// view is an unchanging state of the log.
type view struct {
	sealed  []*Journal // ascending
	current Journal
}

// Recovery tells what Open found.
type Recovery struct {
	Clean bool     // the log had been closed in order
	Meta  []byte   // what was then given to Close
	Cut   int64    // bytes of a torn last frame that were cut off
	Notes []string // all that is worth telling, in words

	leftovers []string // what a crash left incomplete; removed once all else was found sound
}

// Open opens the log in dir, which it creates if there is none, for this
// process alone (else *[LockedError]). It looks at all names and seals, reads the
// whole newest journal and cuts off a last frame that a crash has torn. Anything
// else that is not as it was written is a *[DamageError], and nothing is changed.
func Open(dir string, opts Options) (*Log, Recovery, error) {
	l := &Log{dir: dir, files: opts.Files, check: opts.Check, limit: opts.JournalBytes, meta: opts.MetaBytes, accept: opts.Accept}
	if l.files == nil {
		l.files = Disk{}
	}
	if l.check == nil {
		l.check = func(Frame) error { return nil }
	}
	if l.accept == nil {
		l.accept = func(*Log, Recovery) error { return nil }
	}
	if l.limit <= 0 {
		l.limit = DefaultJournalBytes
	}
	if err := durable.MakeDirBy(l.files.Mkdir, l.syncDir, dir); err != nil {
		return nil, Recovery{}, fmt.Errorf("cannot open log: %w", err)
	}
	locked, err := lock(dir)
	if err != nil {
		return nil, Recovery{}, err
	}
	l.lock = locked
	var rec Recovery
	if err := l.recover(&rec); err != nil {
		return nil, rec, errors.Join(err, l.lock.Close())
	}
	l.publish()
	return l, rec, nil
}

func (l *Log) publish() {
	l.view.Store(&view{l.sealed, l.current})
}

func (l *Log) fail(step string, err error) error {
	l.err = &FailedError{step, err}
	return l.err
}

// Full reports whether a frame of n bytes should go into a new journal: it is
// time to [Log.Roll].
func (l *Log) Full(n int) bool {
	c := &l.view.Load().current
	return c.Frames > 0 && c.Bytes+int64(n) > l.limit
}

// Roll seals the current journal; the next append begins a new one. after is
// the chain after its last record and meta anything the caller wants to know of
// it later. A journal without frames is left as it is. Errors as for Append.
func (l *Log) Roll(after [32]byte, meta []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	if l.current.Frames == 0 {
		return nil
	}
	if err := l.unclean(); err != nil {
		return err
	}
	j := l.current
	j.ChainAfter, j.Meta, j.Sealed = after, meta, true
	if err := l.writeNote(filepath.Join(j.dir, sealName), sealMagic, j.encodeSeal()); err != nil {
		if full(err) {
			return fmt.Errorf("%w: %w", ErrFull, err)
		}
		return l.fail("seal a journal", err)
	}
	segment := l.segment
	l.segment = nil
	j.Meta = l.kept(meta)
	l.push(j)
	l.publish()
	if err := segment.Close(); err != nil {
		return l.fail("close a journal", err)
	}
	return nil
}

// push moves a sealed journal to the others and sets up the one after it.
func (l *Log) push(j Journal) {
	l.sealed = append(l.sealed, &j)
	l.current = l.journalAt(j.end(), j.ChainAfter)
}

func (l *Log) journalAt(p place, chain [32]byte) Journal {
	return Journal{
		Frame: p.number, First: p.first, Next: p.first, Chain: chain, Bytes: int64(beginBytes),
		dir: filepath.Join(l.dir, fmt.Sprintf("%020d", p.number)),
	}
}

// Remove deletes the sealed journals that hold no record above position through.
// Readers of their records get [ErrRemoved] from now on. Errors as for Append.
func (l *Log) Remove(through uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	n := 0
	for n < len(l.sealed) && l.sealed[n].Next <= through+1 {
		n++
	}
	if n == 0 {
		return nil
	}
	gone := l.sealed[:n]
	first := &l.current
	if n < len(l.sealed) {
		first = l.sealed[n]
	}
	b := binary.AppendUvarint(nil, first.Frame)
	b = binary.AppendUvarint(b, first.First)
	b = append(b, first.Chain[:]...)
	// A crash after this note leaves journals below the horizon; Open removes them.
	if err := l.writeNote(filepath.Join(l.dir, horizonName), horizonMagic, b); err != nil {
		if full(err) {
			return fmt.Errorf("%w: %w", ErrFull, err)
		}
		return l.fail("note where the log begins", err)
	}
	l.sealed = append([]*Journal(nil), l.sealed[n:]...)
	l.publish()
	for _, j := range gone {
		if err := l.files.Remove(j.dir); err != nil {
			return l.fail("remove a journal", err)
		}
	}
	return nil
}

// Close closes the log. Unless it has failed, a note of its end and of meta is
// left, so that the next Open takes no torn frame for the work of a crash.
func (l *Log) Close(meta []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if errors.Is(l.err, ErrClosed) {
		return nil
	}
	failed := l.err
	l.err = ErrClosed
	var err error
	if l.segment != nil {
		err = l.segment.Close()
	}
	if err == nil && failed == nil && !l.clean {
		err = l.writeNote(filepath.Join(l.dir, cleanName), cleanMagic, l.encodeClean(meta))
	}
	if full(err) {
		err = nil // the next Open is slower and more lenient, nothing else
	}
	return errors.Join(err, l.lock.Close())
}

// Abandon closes the log without a word, as the end of the process would.
func (l *Log) Abandon() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if errors.Is(l.err, ErrClosed) {
		return nil
	}
	l.err = ErrClosed
	var err error
	if l.segment != nil {
		err = l.segment.Close()
	}
	return errors.Join(err, l.lock.Close())
}

func (l *Log) encodeClean(meta []byte) []byte {
	var b []byte
	end := l.current.end()
	for _, n := range []uint64{end.number, end.first, uint64(l.current.Bytes)} {
		b = binary.AppendUvarint(b, n)
	}
	return append(b, meta...)
}
