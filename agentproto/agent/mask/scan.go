package mask

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"unicode/utf8"
)

const (
	// maxForm is how many bytes a form has at most; of longer ones the pieces are
	// sought. With maxSkipped it bounds what is held back, and it bounds the work
	// for text that all but matches everywhere.
	maxForm = 256
	// maxSkipped is how many bytes a match skips at most: white space, and control
	// sequences of terminals.
	maxSkipped = 4096
	// maxHits is how many suspicious places are decided on together at most.
	maxHits = 256
	// hitGap is how far apart they lie at most.
	hitGap = 16
)

// white is what counts as white space.
const white = " \t\n\v\f\r"

func isWhite(b byte) bool { return b == ' ' || b >= '\t' && b <= '\r' }

func isWhiteRune(r rune) bool { return r < utf8.RuneSelf && isWhite(byte(r)) }

// view is data with some of it left out.
type view struct {
	text      []byte
	positions []int32 // where in data each byte of text stands; nil if it is data
}

func (v *view) position(at int) int {
	if v.positions == nil {
		return at
	}
	return int(v.positions[at])
}

// cover is a part of data that is not to be shown.
type cover struct{ start, end int32 }

// scratch is the memory of a scan. It holds secrets, so it is wiped after use.
type scratch struct {
	data []byte // what is scanned
	out  []byte // what is shown of it

	covers []cover
	hold   int // where the first match begins that data may cut off; len(data) without any

	plain    view
	unspaced view
	hits     []int
	lengths  []int
}

// find sets covers, sorted and apart, and hold. begin is the state of control
// sequences at the first byte.
func (s *scratch) find(t *table, begin sequence) {
	s.covers, s.hold = s.covers[:0], len(s.data)
	if t.filter == nil {
		return
	}
	raw := view{text: s.data}
	if begin.state == ground && bytes.IndexByte(s.data, escape) < 0 {
		s.scan(t, &raw, true)
	} else {
		s.plain.text, s.plain.positions = begin.plain(s.data, s.plain.text[:0], s.plain.positions[:0])
		s.scan(t, &raw, false)
		s.scan(t, &s.plain, true)
	}
	s.unite()
}

// scan finds exact forms in a view, and loose ones in what white space leaves of
// it.
func (s *scratch) scan(t *table, v *view, loose bool) {
	s.unspaced.text = s.unspaced.text[:0]
	for at := t.filter.next(v.text, 0); at < len(v.text); {
		begin := at
		s.hits = s.hits[:0]
		for at < len(v.text) && len(s.hits) < maxHits && (at == begin || at-s.hits[len(s.hits)-1] <= hitGap) {
			s.hits = append(s.hits, at)
			at = t.filter.next(v.text, at+1)
		}
		if !t.occurs(v.text[begin : s.hits[len(s.hits)-1]+anchorBytes]) {
			continue
		}
		for _, hit := range s.hits {
			s.compare(t, v, hit, loose)
		}
	}
	for n := min(anchorBytes-1, len(v.text)); n > 0; n-- {
		at := len(v.text) - n
		if k := t.starts[start(v.text[at:])]; k.exact || k.loose && loose {
			s.holdBack(v, at)
		}
	}
}

// compare finds out which forms begin at a place.
func (s *scratch) compare(t *table, v *view, at int, loose bool) {
	a := t.anchors[binary.LittleEndian.Uint32(v.text[at:])]
	s.walk(a.exact, v, at)
	if len(a.loose) == 0 || !loose {
		return
	}
	if len(s.unspaced.text) == 0 {
		s.unspace(v, at)
	}
	place, _ := slices.BinarySearch(s.unspaced.positions, int32(v.position(at)))
	s.walk(a.loose, &s.unspaced, place)
}

// unspace makes the view without white space, of what is not before a place.
func (s *scratch) unspace(v *view, from int) {
	u := &s.unspaced
	u.text, u.positions = u.text[:0], u.positions[:0]
	for at := from; at < len(v.text); at++ {
		if !isWhite(v.text[at]) {
			u.text = append(u.text, v.text[at])
			u.positions = append(u.positions, int32(v.position(at)))
		}
	}
}

// walk notes the longest form that begins at a place and doesn't skip too much,
// and whether one may begin there that data cuts off.
func (s *scratch) walk(forms sorted, v *view, at int) {
	lengths, open := forms.walk(v.text[at:], s.lengths[:0])
	s.lengths = lengths
	start := v.position(at)
	for _, length := range slices.Backward(lengths) {
		end := v.position(at+length-1) + 1
		if end-start-length <= maxSkipped {
			s.cover(cover{int32(start), int32(end)})
			break
		}
	}
	if open {
		s.holdBack(v, at)
	}
}

// holdBack notes that a form may begin at a place which the view cuts off. What
// has skipped too much already will not be one.
func (s *scratch) holdBack(v *view, at int) {
	start := v.position(at)
	if len(s.data)-start-(len(v.text)-at) <= maxSkipped {
		s.hold = min(s.hold, start)
	}
}

// cover adds one, or widens the last, so that a flood of matches stays small.
func (s *scratch) cover(c cover) {
	if n := len(s.covers); n > 0 && s.covers[n-1].start <= c.start && c.start < s.covers[n-1].end {
		s.covers[n-1].end = max(s.covers[n-1].end, c.end)
		return
	}
	s.covers = append(s.covers, c)
}

// unite sorts the covers and makes one of those that overlap.
func (s *scratch) unite() {
	slices.SortFunc(s.covers, func(a, b cover) int { return cmp.Compare(a.start, b.start) })
	all := s.covers
	s.covers = s.covers[:0]
	for _, c := range all {
		s.cover(c)
	}
}

// wipe overwrites what a scan has seen.
func (s *scratch) wipe() {
	clear(s.data)
	clear(s.out)
	clear(s.plain.text)
	clear(s.unspaced.text)
	s.plain.text, s.unspaced.text = s.plain.text[:0], s.unspaced.text[:0]
}
