// Package fields reads stored forms that are one number or run of bytes after the
// other. What they mean, and how they are written, is told where they are used.
package fields

import "encoding/binary"

// Reader reads from the beginning of Rest, which it never changes. Once something
// was not there Bad is set, nothing is left, and zero values come. It is not safe
// for concurrent use.
type Reader struct {
	Rest []byte
	Bad  bool // may be set by who finds that what was read can't be
}

// Uvarint reads a number as [binary.AppendUvarint] writes it.
func (r *Reader) Uvarint() uint64 {
	if len(r.Rest) > 0 && r.Rest[0] < 0x80 { // nearly always
		n := r.Rest[0]
		r.Rest = r.Rest[1:]
		return uint64(n)
	}
	n, k := binary.Uvarint(r.Rest)
	if k <= 0 {
		r.Bad, r.Rest = true, nil
		return 0
	}
	r.Rest = r.Rest[k:]
	return n
}

// Varint reads a number as [binary.AppendVarint] writes it.
func (r *Reader) Varint() int64 {
	u := r.Uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// Bytes returns the next n bytes, which it shares with Rest.
func (r *Reader) Bytes(n uint64) []byte {
	if n > uint64(len(r.Rest)) {
		r.Bad, r.Rest = true, nil
		return nil
	}
	b := r.Rest[:n:n]
	r.Rest = r.Rest[n:]
	return b
}

// Whole reports whether everything was there and nothing is left.
func (r *Reader) Whole() bool { return !r.Bad && len(r.Rest) == 0 }
