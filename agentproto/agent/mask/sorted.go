package mask

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
)

// sorted is a set of forms in the order of their bytes, each once.
type sorted [][]byte

// with is a set that has more forms. The set itself isn't changed.
func (s sorted) with(more [][]byte) sorted {
	all := slices.Concat(s, more)
	slices.SortFunc(all, bytes.Compare)
	return slices.Clip(slices.CompactFunc(all, bytes.Equal))
}

// walk appends the lengths of the forms that text begins with, shortest first,
// and reports whether text ends within a longer one. It goes down the tree that
// sorted forms are: what all that are left have in common, then those that go on
// with the next byte.
func (s sorted) walk(text []byte, lengths []int) (_ []int, open bool) {
	at := 0 // text[:at] is what all of s begin with
	for len(s) > 0 {
		first, to := s[0], len(s[0])
		if last := s[len(s)-1]; len(s) > 1 {
			to = at + common(first[at:], last[at:])
		}
		at += common(first[at:to], text[at:])
		if at < to {
			return lengths, at == len(text)
		}
		if len(first) == to {
			lengths = append(lengths, to)
			s = s[1:]
		}
		if at == len(text) {
			return lengths, len(s) > 0
		}
		s = s[s.from(at, int(text[at])):s.from(at, int(text[at])+1)]
	}
	return lengths, false
}

// from is the first of the forms whose byte at a place is not below b.
func (s sorted) from(at, b int) int {
	i, _ := slices.BinarySearchFunc(s, b, func(form []byte, b int) int { return int(form[at]) - b })
	return i
}

// common is how many bytes a and b begin with alike.
func common(a, b []byte) int {
	limit := min(len(a), len(b))
	at := 0
	for ; at+8 <= limit; at += 8 {
		if x := binary.LittleEndian.Uint64(a[at:]) ^ binary.LittleEndian.Uint64(b[at:]); x != 0 {
			return at + bits.TrailingZeros64(x)/8
		}
	}
	for at < limit && a[at] == b[at] {
		at++
	}
	return at
}
