package wal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"sort"
)

// First returns the position of the oldest record that was not removed; that of
// the next record if there is none.
func (l *Log) First() uint64 { return l.view.Load().first() }

// Next returns the position after the last durable record.
func (l *Log) Next() uint64 { return l.view.Load().current.Next }

// LastFrame returns the number of the last durable frame.
func (l *Log) LastFrame() uint64 { return l.view.Load().current.end().number - 1 }

// Journals returns all journals, ascending; the last is the current one.
func (l *Log) Journals() []Journal {
	v := l.view.Load()
	all := make([]Journal, 0, len(v.sealed)+1)
	for _, j := range v.sealed {
		all = append(all, *j)
	}
	return append(all, v.current)
}

// Current returns the journal that is appended to, as far as it is durable.
func (l *Log) Current() Journal { return l.view.Load().current }

func (v *view) first() uint64 {
	if len(v.sealed) > 0 {
		return v.sealed[0].First
	}
	return v.current.First
}

// find returns the journal with the record at position, and the waypoint before it.
func (v *view) find(position uint64) (*Journal, int) {
	j := &v.current
	if position < j.First {
		i := sort.Search(len(v.sealed), func(i int) bool { return v.sealed[i].Next > position })
		j = v.sealed[i]
	}
	return j, sort.Search(len(j.ways), func(i int) bool { return j.ways[i].first > position }) - 1
}

func (v *view) has(position uint64) bool {
	return position >= v.first() && position < v.current.Next
}

// BlockStart returns the position of the first record of the block (see
// [Log.Block]) with the record at position; ok is false if there is none.
func (l *Log) BlockStart(position uint64) (start uint64, ok bool) {
	v := l.view.Load()
	if !v.has(position) {
		return 0, false
	}
	j, i := v.find(position)
	return j.ways[i].first, true
}

// Block reads the frames around the record at position: those from the waypoint
// before to the next one, some 64 KB and at least one frame. It returns none at
// the end of the log. Every checksum is verified, the chain is not. Errors:
// [ErrRemoved], *[DamageError].
func (l *Log) Block(position uint64) ([]Frame, error) {
	v := l.view.Load()
	switch {
	case position < v.first():
		return nil, ErrRemoved
	case position >= v.current.Next:
		return nil, nil
	}
	j, i := v.find(position)
	frames, err := j.read(i)
	if errors.Is(err, fs.ErrNotExist) && position < l.First() {
		return nil, ErrRemoved // while it was being read
	}
	return frames, err
}

// Frames yields the frames from the one with the record at position on, up to
// the end of the log as it is when it gets there. After an error it ends.
func (l *Log) Frames(position uint64) iter.Seq2[Frame, error] {
	return func(yield func(Frame, error) bool) {
		for {
			frames, err := l.Block(position)
			if err != nil {
				yield(Frame{}, err)
				return
			}
			if len(frames) == 0 {
				return
			}
			for _, f := range frames {
				if f.Next() > position && !yield(f, nil) {
					return
				}
			}
			position = frames[len(frames)-1].Next()
		}
	}
}

// read returns the frames of the block that begins at waypoint i.
func (j *Journal) read(i int) ([]Frame, error) {
	begin, end, stop := j.ways[i], j.Bytes, j.end()
	if i+1 < len(j.ways) {
		end, stop = j.ways[i+1].offset, j.ways[i+1].place
	}
	data, err := readRange(j.segment(), begin.offset, end)
	if err != nil {
		return nil, err
	}
	frames := make([]Frame, 0, stop.number-begin.number)
	expect := begin.place
	for at := 0; at < len(data); {
		f, n, err := parse(data[at:])
		if err == nil && !expect.holds(f) {
			err = errOrder
		}
		if err != nil {
			return nil, j.damaged(begin.offset+int64(at), expect, err)
		}
		frames = append(frames, f)
		expect.pass(f)
		at += n
	}
	if expect != stop {
		return nil, j.damaged(end, expect, errOrder)
	}
	return frames, nil
}

func (j *Journal) damaged(offset int64, expect place, err error) error {
	return &DamageError{
		File: j.segment(), Offset: offset, Frame: expect.number - 1, Position: expect.first - 1, Reason: err.Error(),
	}
}

func readRange(path string, from, to int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	data := make([]byte, to-from)
	n, err := f.ReadAt(data, from)
	if n == len(data) {
		err = nil
	} else if errors.Is(err, io.EOF) {
		err = &DamageError{File: path, Offset: from + int64(n), Reason: fmt.Sprintf("it ends before byte %d", to)}
	}
	return data, errors.Join(err, f.Close())
}
