// Package canonical is the one form in which read models are stored and
// compared: numbers as varints, text with its length before it, all in the order
// of the keys, framed by a magic word and a CRC-32C. Equal states give equal
// bytes, so a digest of the form is a digest of the state.
//
//	magic          as given, at both ends the same
//	body           what the caller wrote
//	4 bytes        CRC-32C of magic and body, big-endian
package canonical

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

const (
	flushBytes = 64 << 10 // how much is gathered before it is written
	sumBytes   = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Writer writes the form. The first error of the writer below stays and makes
// all that follows do nothing. It is not safe for concurrent use.
type Writer struct {
	to  io.Writer
	buf []byte
	sum uint32
	err error
}

// NewWriter begins a form with its magic word.
func NewWriter(to io.Writer, magic string) *Writer {
	return &Writer{to: to, buf: append(make([]byte, 0, flushBytes+flushBytes/8), magic...)}
}

// Uint writes an unsigned number.
func (w *Writer) Uint(n uint64) {
	w.buf = binary.AppendUvarint(w.buf, n)
	w.flushFull()
}

// Int writes a signed number; small ones of either sign are short.
func (w *Writer) Int(n int64) {
	w.buf = binary.AppendVarint(w.buf, n)
	w.flushFull()
}

// Bool writes a truth value.
func (w *Writer) Bool(b bool) {
	n := uint64(0)
	if b {
		n = 1
	}
	w.Uint(n)
}

// Text writes a string with its length.
func (w *Writer) Text(s string) {
	w.buf = binary.AppendUvarint(w.buf, uint64(len(s)))
	w.buf = append(w.buf, s...)
	w.flushFull()
}

// Close writes what is left and the checksum. It returns the first error.
func (w *Writer) Close() error {
	w.flush()
	if w.err == nil {
		_, w.err = w.to.Write(binary.BigEndian.AppendUint32(nil, w.sum))
	}
	return w.err
}

func (w *Writer) flushFull() {
	if len(w.buf) >= flushBytes {
		w.flush()
	}
}

func (w *Writer) flush() {
	w.sum = crc32.Update(w.sum, castagnoli, w.buf)
	if w.err == nil {
		_, w.err = w.to.Write(w.buf)
	}
	w.buf = w.buf[:0]
}

// ErrDamaged says that bytes are not a form that was written whole.
var ErrDamaged = errors.New("the checksum is wrong")

var (
	errMagic = errors.New("it is of another kind or version")
	errShort = errors.New("it ends too early")
	errRest  = errors.New("there is more than was written")
)

// Reader reads the form. The first error stays and makes all that follows
// return zero values. It is not safe for concurrent use.
type Reader struct {
	rest []byte
	err  error
}

// NewReader checks magic and checksum of a whole form.
func NewReader(form []byte, magic string) (*Reader, error) {
	body := len(form) - sumBytes
	switch {
	case body < len(magic) || string(form[:len(magic)]) != magic:
		return nil, errMagic
	case crc32.Checksum(form[:body], castagnoli) != binary.BigEndian.Uint32(form[body:]):
		return nil, ErrDamaged
	}
	return &Reader{rest: form[len(magic):body]}, nil
}

// Uint reads what [Writer.Uint] wrote.
func (r *Reader) Uint() uint64 {
	n, k := binary.Uvarint(r.rest)
	if k <= 0 {
		r.Fail(errShort)
		return 0
	}
	r.rest = r.rest[k:]
	return n
}

// Int reads what [Writer.Int] wrote.
func (r *Reader) Int() int64 {
	n, k := binary.Varint(r.rest)
	if k <= 0 {
		r.Fail(errShort)
		return 0
	}
	r.rest = r.rest[k:]
	return n
}

// Bool reads what [Writer.Bool] wrote.
func (r *Reader) Bool() bool { return r.Uint() != 0 }

// Text reads what [Writer.Text] wrote.
func (r *Reader) Text() string {
	n := r.Uint()
	if n > uint64(len(r.rest)) {
		r.Fail(errShort)
		return ""
	}
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	return s
}

// Count reads a number of rows that follow, each of at least one byte, so that a
// wrong one can't ask for more memory than the form is long.
func (r *Reader) Count() int {
	n := r.Uint()
	if n > uint64(len(r.rest)) {
		r.Fail(fmt.Errorf("it has %d rows in %d bytes", n, len(r.rest)))
		return 0
	}
	return int(n)
}

// Fail makes err the reader's error unless it has one.
func (r *Reader) Fail(err error) {
	if r.err == nil {
		r.err = err
		r.rest = nil
	}
}

// Err returns the first error.
func (r *Reader) Err() error { return r.err }

// Close returns the first error, and one if anything is left.
func (r *Reader) Close() error {
	if len(r.rest) > 0 {
		r.Fail(errRest)
	}
	return r.err
}
