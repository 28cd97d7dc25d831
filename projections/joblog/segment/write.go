package segment

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"

	"github.com/hodei-jobs/hodei/projections/joblog"
)

// Writer writes one segment. It holds one frame and the index, 40 bytes a frame.
// The same pieces make the same bytes.
type Writer struct {
	out   io.Writer
	head  []byte
	start Summary
	at    int64 // bytes written
	next  uint64
	hash  hash.Hash
	lines uint64

	frames uint64
	index  []byte

	notes   []byte // of the frame: what it says of its pieces
	data    []byte // of the frame
	pending entry  // of the frame
	last    int64  // time of its newest piece
	packed  []byte
	err     error
}

// NewWriter begins a segment of the attempt's log that holds its bytes from the
// offset on.
func NewWriter(out io.Writer, k joblog.Key, first uint64) *Writer {
	w := &Writer{out: out, start: Summary{Key: k, First: first, End: first}, next: first, hash: sha256.New()}
	w.head = appendHeader(nil, k, first)
	w.write(w.head)
	return w
}

// Add appends a piece, which must go on where the one before ended, have a tag
// that is not 0 and at most joblog.MaxPiece bytes. Errors: that of the io.Writer,
// after which nothing more can be added, or a fault of the caller.
func (w *Writer) Add(p joblog.Piece) error {
	switch {
	case w.err != nil:
		return w.err
	case p.Offset != w.next || p.Tag == endOfPieces || len(p.Data) > joblog.MaxPiece:
		return fmt.Errorf("segment: cannot add %d bytes with tag %d from %d: it ends at %d, a piece has at most %d bytes",
			len(p.Data), p.Tag, p.Offset, w.next, joblog.MaxPiece)
	case len(p.Data) == 0:
		return nil
	}
	e := &w.pending
	if len(w.notes) == 0 {
		w.last, e.earliest, e.latest = 0, p.Time, p.Time
	}
	e.earliest, e.latest = min(e.earliest, p.Time), max(e.latest, p.Time)
	w.notes = append(w.notes, p.Tag)
	w.notes = binary.AppendVarint(w.notes, p.Time-w.last)
	w.notes = binary.AppendUvarint(w.notes, uint64(len(p.Data)))
	w.data = append(w.data, p.Data...)
	w.last = p.Time
	w.next += uint64(len(p.Data))
	if len(w.notes)+len(w.data) >= frameBytes {
		w.flush()
	}
	return w.err
}

// flush writes the frame there is.
func (w *Writer) flush() {
	e := &w.pending
	e.raw, e.lines = len(w.data), uint64(bytes.Count(w.data, []byte{'\n'}))
	w.hash.Write(w.data)
	frame := append(append(w.notes, endOfPieces), w.data...)
	w.packed = encoder.EncodeAll(frame, w.packed[:0])
	e.stored, e.sum = len(w.packed), sum(w.packed)
	w.index = appendEntry(w.index, *e)
	w.lines += e.lines
	w.frames++
	w.notes, w.data, w.pending = w.notes[:0], w.data[:0], entry{}
	w.write(w.packed)
}

func (w *Writer) write(data []byte) {
	if w.err == nil {
		_, w.err = w.out.Write(data)
		w.at += int64(len(data))
	}
}

// Size is how many bytes were written.
func (w *Writer) Size() int64 { return w.at }

// Close writes what is left, the index and the footer, and returns what is in the
// segment. It does not close the io.Writer.
func (w *Writer) Close() (Summary, error) {
	if len(w.notes) > 0 && w.err == nil {
		w.flush()
	}
	if len(w.index) > maxIndex-maxEntry {
		return Summary{}, fmt.Errorf("segment: cannot write an index of %d bytes", len(w.index))
	}
	s := w.start
	s.End, s.Lines = w.next, w.lines
	w.hash.Sum(s.Digest[:0])
	packed := encoder.EncodeAll(w.index, nil)
	f := footer{
		index: w.at, frames: w.frames, raw: s.End - s.First, lines: s.Lines, digest: s.Digest,
		stored: uint32(len(packed)), sum: sum(packed),
	}
	w.write(packed)
	w.write(f.append(nil, w.head))
	return s, w.err
}
