package embedded

import (
	"encoding/binary"
	"hash/fnv"

	"github.com/hodei-jobs/hodei/eventstore"
)

// bloom is a set of streams that may hold more than was put into it, never less.
// An empty one holds everything: nothing is known.
type bloom []byte

const (
	bloomBits   = 10 // a stream: 1 in 100 strangers is taken for a member
	bloomProbes = 7
)

func newBloom(streams []eventstore.StreamID) bloom {
	b := make(bloom, max(8, (len(streams)*bloomBits+7)/8))
	for _, s := range streams {
		b.each(s, func(i, mask int) bool {
			b[i] |= byte(mask)
			return true
		})
	}
	return b
}

func (b bloom) mayHave(s eventstore.StreamID) bool {
	if len(b) == 0 {
		return true
	}
	return b.each(s, func(i, mask int) bool { return b[i]&byte(mask) != 0 })
}

// each calls fn for the bits of s until it says no, and returns what it said.
func (b bloom) each(s eventstore.StreamID, fn func(i, mask int) bool) bool {
	h := fnv.New128a()
	_, _ = h.Write([]byte(s)) // a hash takes anything
	sum := h.Sum(nil)
	first, step := binary.BigEndian.Uint64(sum), binary.BigEndian.Uint64(sum[8:])|1
	bits := uint64(len(b)) * 8
	for probe := range uint64(bloomProbes) {
		bit := (first + probe*step) % bits
		if !fn(int(bit/8), 1<<(bit%8)) {
			return false
		}
	}
	return true
}
