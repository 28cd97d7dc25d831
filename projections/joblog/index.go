package joblog

import "sort"

// Bounds of an attempt's index.
const (
	maxSpans        = 4096 // of an attempt whose log grows: 64 KiB
	maxSpansRetired = 256  // of one whose log has ended
	readAhead       = 16   // spans looked up for one read
)

// span says that the attempt's byte at offset lies in the frame of the journal
// that begins with this entry, and the bytes up to the next span's offset in
// that frame or in later ones.
type span struct {
	offset uint64
	entry  uint64
}

// spans is where one attempt's bytes lie in the journal, in order of offset. It
// is exact until it would hold more than its bound; then every second span is
// dropped, and a reader passes over a few frames that have nothing for it.
type spans []span

// add notes where the log goes on.
func (s spans) add(next span) spans {
	if len(s) >= maxSpans {
		s = s.thin(maxSpans / 2)
	}
	return append(s, next)
}

// thin returns at most bound spans, the first one always, in the place of s.
func (s spans) thin(bound int) spans {
	for len(s) > bound {
		kept := s[:0]
		for i := 0; i < len(s); i += 2 {
			kept = append(kept, s[i])
		}
		s = kept
	}
	return s
}

// find returns the span to look in for the byte at the offset, and a few that
// follow it. The first may begin before the offset.
func (s spans) find(offset uint64) spans {
	i := max(0, sort.Search(len(s), func(i int) bool { return s[i].offset > offset })-1)
	return append(spans(nil), s[i:min(len(s), i+readAhead)]...)
}
