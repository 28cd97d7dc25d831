// Package logtext reads what a job printed as text: by line, by time, from its
// end, without escape sequences, searched by regular expression. It stands on
// [joblog.Log.Read] and holds a few chunks at a time, however long the log or one
// of its lines is.
//
//	joblog ─▶ Text: pieces of one stream in [from, to) ─▶ Printer ─▶ writer
//	            │  Time, Line, Tail, Number: places, as offsets    (prefixes, no escapes)
//	            └▶ Search: lines that match, with those around them
//
// Places are offsets into the attempt's log, so that what is chosen by line or
// time can be read as bytes. A line ends after its '\n'; it has the time of its
// first byte, by the worker's clock; lines are counted from 1. Where only one
// stream of a job without a terminal is read, the other is as if it were not
// there, lines and their numbers included.
package logtext

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/hodei-jobs/hodei/projections/joblog"
)

const (
	forwards  = 256 << 10 // bytes read at once towards the end
	backwards = 64 << 10  // bytes read at once towards the beginning
)

// ErrMissing says that the log has less than was said of it.
var ErrMissing = errors.New("logtext: bytes of the log are missing")

// Source is where logs are read; *joblog.Log is one.
type Source interface {
	Read(ctx context.Context, k joblog.Key, from uint64, limit int) (pieces []joblog.Piece, next uint64, err error)
}

// Mark says that the line with this number begins at Offset.
type Mark struct {
	Offset uint64
	Number uint64
}

// Index knows where some lines begin, counted over both streams, so that what
// lies before them need not be read. Both methods return the last place they know
// that is not after what is asked for, or false. Safe for concurrent use.
type Index interface {
	// Line looks for the line with a number.
	Line(k joblog.Key, number uint64) (Mark, bool)
	// Offset looks for the line that holds an offset.
	Offset(k joblog.Key, offset uint64) (Mark, bool)
}

// Text is one attempt's log, or what one of its streams wrote. It is a value; its
// methods may be called by many. Their errors are those of the source, ctx's, or
// ErrMissing.
type Text struct {
	Source Source
	Key    joblog.Key
	Tag    uint8  // of the stream that is read; 0 is both
	End    uint64 // offset after the last byte that is read; at most the log's head
	Index  Index  // nil: lines are counted from the beginning
}

// pieces yields the pieces in [from, to), which must be there.
func (t *Text) pieces(ctx context.Context, from, to uint64) iter.Seq2[joblog.Piece, error] {
	return func(yield func(joblog.Piece, error) bool) {
		for from < to {
			found, next, err := t.Source.Read(ctx, t.Key, from, int(min(forwards, to-from)))
			switch {
			case err != nil:
			case ctx.Err() != nil:
				err = ctx.Err()
			case next == from:
				err = ErrMissing
			}
			if err != nil {
				yield(joblog.Piece{}, err)
				return
			}
			from = next
			for _, p := range found {
				if t.has(p.Tag) && !yield(p, nil) {
					return
				}
			}
		}
	}
}

func (t *Text) has(tag uint8) bool { return t.Tag == 0 || t.Tag == tag }

// behind yields the pieces in [from, to) from the last to the first.
func (t *Text) behind(ctx context.Context, from, to uint64) iter.Seq2[joblog.Piece, error] {
	return func(yield func(joblog.Piece, error) bool) {
		for to > from {
			begin := max(from, to-min(to, backwards))
			var found []joblog.Piece
			for p, err := range t.pieces(ctx, begin, to) {
				if err != nil {
					yield(p, err)
					return
				}
				found = append(found, p)
			}
			for _, p := range slices.Backward(found) {
				if !yield(p, nil) {
					return
				}
			}
			to = begin
		}
	}
}

// Time returns where the first line begins that was read at that time or later,
// ns since 1970; End if there is none. It looks at a few places only, and takes
// for granted that the worker's clock did not go back.
func (t *Text) Time(ctx context.Context, at int64) (offset uint64, err error) {
	low, high := uint64(0), t.End
	for low < high && err == nil {
		middle := low + (high-low)/2
		var p joblog.Piece
		if p, err = t.at(ctx, middle); p.Time >= at {
			high = middle
		} else {
			low = middle + 1
		}
	}
	if err != nil {
		return 0, err
	}
	return t.nextLine(ctx, low)
}

// at returns the piece with the byte at the offset, of whichever stream.
func (t *Text) at(ctx context.Context, offset uint64) (joblog.Piece, error) {
	found, _, err := t.Source.Read(ctx, t.Key, offset, 1)
	if err == nil && len(found) == 0 {
		err = ErrMissing
	}
	if err != nil {
		return joblog.Piece{}, err
	}
	return found[0], nil
}

// nextLine returns where the first line begins at or after the offset.
func (t *Text) nextLine(ctx context.Context, offset uint64) (uint64, error) {
	for p, err := range t.behind(ctx, 0, offset) {
		switch {
		case err != nil:
			return 0, err
		case p.Data[len(p.Data)-1] != '\n':
			return t.skip(ctx, offset, 1)
		}
		break
	}
	return offset, nil
}

// skip returns the offset after the n-th line end at or after the offset.
func (t *Text) skip(ctx context.Context, offset, n uint64) (uint64, error) {
	if n == 0 {
		return offset, nil
	}
	for p, err := range t.pieces(ctx, offset, t.End) {
		if err != nil {
			return 0, err
		}
		if ends := uint64(bytes.Count(p.Data, newline)); ends < n {
			n -= ends
			continue
		}
		for i := 0; ; i++ {
			i += bytes.IndexByte(p.Data[i:], '\n')
			if n--; n == 0 {
				return p.Offset + uint64(i) + 1, nil
			}
		}
	}
	return t.End, nil
}

var newline = []byte("\n")

// Line returns where the line with a number, from 1, begins; End if there are
// fewer.
func (t *Text) Line(ctx context.Context, number uint64) (uint64, error) {
	from := Mark{0, 1}
	if t.Index != nil && t.Tag == 0 {
		if m, ok := t.Index.Line(t.Key, number); ok && m.Offset <= t.End {
			from = m
		}
	}
	return t.skip(ctx, from.Offset, max(number, from.Number)-from.Number)
}

// Number returns the number of the line that begins at the offset, or holds it.
func (t *Text) Number(ctx context.Context, offset uint64) (uint64, error) {
	from := Mark{0, 1}
	if t.Index != nil && t.Tag == 0 {
		if m, ok := t.Index.Offset(t.Key, offset); ok {
			from = m
		}
	}
	number := from.Number
	for p, err := range t.pieces(ctx, from.Offset, min(offset, t.End)) {
		if err != nil {
			return 0, err
		}
		number += uint64(bytes.Count(p.Data, newline))
	}
	return number, nil
}

// Tail returns where the last n lines begin, but no place before from. It reads
// only these.
func (t *Text) Tail(ctx context.Context, from, n uint64) (uint64, error) {
	if n == 0 {
		return t.End, nil
	}
	last := true
	for p, err := range t.behind(ctx, from, t.End) {
		if err != nil {
			return 0, err
		}
		data := p.Data
		if last && data[len(data)-1] == '\n' {
			data = data[:len(data)-1] // it ends the last line and begins none
		}
		last = false
		if ends := uint64(bytes.Count(data, newline)); ends < n {
			n -= ends
			continue
		}
		for ; n > 1; n-- {
			data = data[:bytes.LastIndexByte(data, '\n')]
		}
		return p.Offset + uint64(bytes.LastIndexByte(data, '\n')) + 1, nil
	}
	return from, nil
}

// Copy prints [from, to).
func (t *Text) Copy(ctx context.Context, p *Printer, from, to uint64) error {
	for piece, err := range t.pieces(ctx, from, to) {
		if err == nil {
			err = p.Print(&piece)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
