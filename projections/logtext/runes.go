package logtext

import (
	"bytes"
	"context"
	"io"
	"iter"
	"unicode/utf8"

	"github.com/hodei-jobs/hodei/projections/joblog"
)

// runes reads the characters of one line, however long it is.
type runes struct {
	ctx  context.Context
	text *Text
	to   uint64
	next func() (joblog.Piece, error, bool)
	stop func()

	strip *Stripper // nil leaves escape sequences in
	buf   []byte
	left  []byte // of buf: read, and not taken
	read  uint64 // offset after what was read
	ended bool   // the line has ended there, or reading failed
	err   error
}

func newRunes(ctx context.Context, t *Text, from, to uint64, strip bool) *runes {
	r := &runes{ctx: ctx, text: t, to: to, read: from}
	if strip {
		r.strip = &Stripper{}
	}
	r.next, r.stop = iter.Pull2(t.pieces(ctx, from, to))
	return r
}

// ReadRune returns the next character; bytes that are none are U+FFFD.
func (r *runes) ReadRune() (c rune, size int, err error) {
	for !r.ended && !utf8.FullRune(r.left) {
		r.fill()
	}
	if len(r.left) == 0 {
		return 0, 0, io.EOF
	}
	c, size = utf8.DecodeRune(r.left)
	r.left = r.left[size:]
	return c, size, nil
}

func (r *runes) fill() {
	p, err, ok := r.next()
	if !ok || err != nil {
		r.ended, r.err = true, err
		return
	}
	data := p.Data
	r.read = p.Offset + uint64(len(data))
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		r.read, r.ended = p.Offset+uint64(i)+1, true
		data = data[:i]
	}
	r.buf = append(r.buf[:0], r.left...) // at most the beginning of a character
	if r.strip != nil {
		r.buf = r.strip.Strip(r.buf, data)
	} else {
		r.buf = append(r.buf, data...)
	}
	r.left = r.buf
}

// end returns where the line ends.
func (r *runes) end() (uint64, error) {
	for !r.ended {
		r.fill()
		r.left = nil
	}
	if r.err != nil {
		return r.read, r.err
	}
	if r.read > r.to {
		return r.to, nil
	}
	return r.read, nil
}
