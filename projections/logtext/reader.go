package logtext

import (
	"context"
	"errors"
	"io"

	"github.com/hodei-jobs/hodei/projections/joblog"
)

// Reader reads [from, to) of a text as bytes, and can go to any place in it. It
// is not safe for concurrent use.
type Reader struct {
	text     *Text
	ctx      context.Context
	from, to uint64
	at       uint64
	held     []joblog.Piece // from at on
	err      error          // of the source; final
}

// NewReader returns a reader of [from, to) of both streams. It reads until ctx
// ends.
func (t *Text) NewReader(ctx context.Context, from, to uint64) *Reader {
	return &Reader{text: t, ctx: ctx, from: from, to: to, at: from}
}

// Err is why reading failed, but for the end.
func (r *Reader) Err() error { return r.err }

// Read reads what comes next. Its errors are io.EOF, or those of a Text.
func (r *Reader) Read(b []byte) (int, error) {
	switch {
	case r.err != nil:
		return 0, r.err
	case r.at >= r.to:
		return 0, io.EOF
	case len(r.held) == 0:
		found, next, err := r.text.Source.Read(r.ctx, r.text.Key, r.at, int(min(forwards, r.to-r.at)))
		if err == nil && next == r.at {
			err = ErrMissing
		}
		if err != nil {
			r.err = err
			return 0, err
		}
		r.held = found
	}
	n := copy(b, r.held[0].Data)
	if r.held[0].Data = r.held[0].Data[n:]; len(r.held[0].Data) == 0 {
		r.held = r.held[1:]
	}
	r.at += uint64(n)
	return n, nil
}

// Seek goes to a place counted from the reader's own beginning.
func (r *Reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += int64(r.at - r.from)
	case io.SeekEnd:
		offset += int64(r.to - r.from)
	}
	if offset < 0 {
		return 0, errors.New("logtext: cannot go to before the beginning")
	}
	r.at, r.held = r.from+uint64(offset), nil
	return offset, nil
}
