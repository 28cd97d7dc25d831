package wal

import (
	"errors"
	"fmt"
	"path/filepath"
)

// Append writes one frame and returns when it is durable. Its body stands in
// frame behind HeaderSize bytes that Append fills in; h.First must be the
// position after the last record. Errors: [ErrClosed], [ErrFull], *[FailedError].
func (l *Log) Append(h Header, frame []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	if h.First != l.current.Next || h.Count == 0 || len(frame) < HeaderSize || len(frame) > MaxFrame {
		return fmt.Errorf("cannot append frame of %d bytes with %d records from %d: the log ends before %d, a frame may have %d bytes",
			len(frame), h.Count, h.First, l.current.Next, MaxFrame)
	}
	if err := l.begin(); err != nil {
		return err
	}
	number := l.current.end().number
	h.seal(frame, l.current.mark, number)
	if err := l.segment.Write(frame); err != nil {
		return l.takeBack(err)
	}
	// From here to the end of Sync a crash leaves the frame whole, torn or absent.
	if err := l.segment.Sync(); err != nil {
		return l.fail("sync the log", err)
	}
	l.current.add(Frame{Header: h, Number: number}, prefixLen(uint64(len(frame)))+len(frame))
	l.publish()
	return nil
}

// begin does what must be on disk before a frame is: CLEAN gone, a journal there.
func (l *Log) begin() error {
	if err := l.unclean(); err != nil {
		return err
	}
	if l.segment != nil {
		return nil
	}
	if err := l.create(); err != nil {
		if !full(err) {
			return l.fail("begin a journal", err)
		}
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	if err := l.syncDir(l.dir); err != nil {
		return l.fail("sync the log's folder", err)
	}
	return nil
}

// unclean removes CLEAN before the log's end changes.
func (l *Log) unclean() error {
	if !l.clean {
		return nil
	}
	if err := l.files.Remove(filepath.Join(l.dir, cleanName)); err != nil {
		return l.fail("remove "+cleanName, err)
	}
	if err := l.syncDir(l.dir); err != nil {
		return l.fail("sync the log's folder", err)
	}
	l.clean = false
	return nil
}

// create puts the current journal on disk. It is complete, and durable, before
// it gets its name, so that a journal without a segment is one that was lost.
func (l *Log) create() error {
	temp := l.current.dir + newSuffix
	if err := l.files.Remove(temp); err != nil { // of a try that found the disk full
		return err
	}
	if err := l.files.Mkdir(temp); err != nil {
		return err
	}
	segment, err := l.files.Segment(temp)
	if err != nil {
		return err
	}
	l.current.mark = newMark()
	if err := l.complete(segment, temp); err != nil {
		return errors.Join(err, segment.Close())
	}
	l.segment = segment
	return nil
}

// complete writes the beginning of the current journal, which is in folder temp,
// and gives it its name.
func (l *Log) complete(segment Segment, temp string) error {
	if err := segment.Write(l.current.mark.begin()); err != nil {
		return err
	}
	if err := segment.Sync(); err != nil {
		return finalError{err}
	}
	if err := l.syncDir(temp); err != nil {
		return err
	}
	return l.files.Rename(temp, l.current.dir)
}

// takeBack ends a failed write. On a full disk the segment is cut to what is
// durable and opened again, the same way as after a crash.
func (l *Log) takeBack(cause error) error {
	if !full(cause) {
		return l.fail("write to the log", cause)
	}
	err := l.segment.Close()
	l.segment = nil
	if err == nil {
		err = l.files.Truncate(l.current.segment(), l.current.Bytes)
	}
	if err == nil {
		l.segment, err = l.files.Segment(l.current.dir)
	}
	if err != nil {
		return l.fail("take back what did not fit on the disk", err)
	}
	return fmt.Errorf("%w: %w", ErrFull, cause)
}
