package mask

import (
	"encoding/binary"
	"maps"
	"sync"

	"github.com/cloudflare/ahocorasick"
)

const (
	anchorBytes = 4 // of a form's beginning, by which it is found
	// maxDecider is how many bytes of anchors the decider is built from at most.
	// A byte of them costs it 4 KB.
	maxDecider = 1024

	filterBits = 16
	filterOne  = 0x9e3779b1 // odd multipliers of two hashes
	filterTwo  = 0x85ebca6b
)

// table is all forms of a set, arranged to be found. It doesn't change once
// Writers have it.
//
//	filter ─▶ decider ─▶ anchors ─▶ sorted
//	may one      does one     which begin   which is it,
//	begin here?  begin here?  like this?    whole or cut off?
type table struct {
	filter  *filter // nil without forms
	anchors map[uint32]anchored
	starts  map[uint32]kinds // first 1, 2 and 3 bytes of all forms, as start has them

	once    sync.Once
	decider *ahocorasick.Matcher
}

// anchored is the forms that begin with the same four bytes: those for the raw and
// plain views, and those for the unspaced one.
type anchored struct{ exact, loose sorted }

// kinds tells what begins with some bytes.
type kinds struct{ exact, loose bool }

// filter is two maps of 64 Kbit, by different hashes of four bytes. Both have a
// bit set for each anchor. Nearly all text is passed by the first alone.
type filter struct{ one, two [1 << filterBits / 64]uint64 }

func (f *filter) add(anchor uint32) {
	one, two := uint16(anchor*filterOne>>filterBits), uint16(anchor*filterTwo>>filterBits)
	f.one[one>>6] |= 1 << (one & 63)
	f.two[two>>6] |= 1 << (two & 63)
}

// first is the bit of the first map, beside others that mean nothing.
func (f *filter) first(four uint32) uint64 {
	at := uint16(four * filterOne >> filterBits)
	return f.one[at>>6] >> (at & 63)
}

func (f *filter) has(four uint32) bool {
	at := uint16(four * filterTwo >> filterBits)
	return f.first(four)&(f.two[at>>6]>>(at&63))&1 != 0
}

// next is the first place from at on where an anchor may stand, or len(text).
func (f *filter) next(text []byte, at int) int {
	for ; at+8 <= len(text); at += 4 {
		x := binary.LittleEndian.Uint64(text[at:])
		if (f.first(uint32(x))|f.first(uint32(x>>8))|f.first(uint32(x>>16))|f.first(uint32(x>>24)))&1 == 0 {
			continue
		}
		for i := range 4 {
			if f.has(uint32(x >> (8 * i))) {
				return at + i
			}
		}
	}
	for ; at+anchorBytes <= len(text); at++ {
		if f.has(binary.LittleEndian.Uint32(text[at:])) {
			return at
		}
	}
	return len(text)
}

// with is a table that has the forms too.
func (t *table) with(more forms) *table {
	if more.empty() {
		return t
	}
	n := &table{filter: new(filter), anchors: maps.Clone(t.anchors), starts: maps.Clone(t.starts)}
	if t.filter != nil {
		*n.filter = *t.filter
	} else {
		n.anchors, n.starts = map[uint32]anchored{}, map[uint32]kinds{}
	}
	for anchor, forms := range byAnchor(more.exact) {
		a := n.anchors[anchor]
		n.put(anchor, anchored{a.exact.with(forms), a.loose})
	}
	for anchor, forms := range byAnchor(more.loose) {
		a := n.anchors[anchor]
		n.put(anchor, anchored{a.exact, a.loose.with(forms)})
	}
	return n
}

func byAnchor(all [][]byte) map[uint32][][]byte {
	grouped := map[uint32][][]byte{}
	for _, form := range all {
		anchor := binary.LittleEndian.Uint32(form)
		grouped[anchor] = append(grouped[anchor], form)
	}
	return grouped
}

// put sets what an anchor has; t is not in use yet.
func (t *table) put(anchor uint32, a anchored) {
	t.anchors[anchor] = a
	t.filter.add(anchor)
	var four [anchorBytes]byte
	binary.LittleEndian.PutUint32(four[:], anchor)
	for n := 1; n < anchorBytes; n++ {
		key := start(four[:n])
		k := t.starts[key]
		t.starts[key] = kinds{k.exact || len(a.exact) > 0, k.loose || len(a.loose) > 0}
	}
}

// start is the bytes, 1 to 3, beside their number.
func start(text []byte) uint32 {
	key := uint32(len(text))
	for _, b := range text {
		key = key<<8 | uint32(b)
	}
	return key
}

// occurs reports whether an anchor may stand in a window that the filter didn't
// pass. The decider is built when it is first asked: it takes up to 4 MB.
func (t *table) occurs(window []byte) bool {
	t.once.Do(t.decide)
	return t.decider.Contains(window)
}

// decide builds the decider from as many bytes of each anchor as it has room for.
func (t *table) decide() {
	for depth := anchorBytes; depth > 0; depth-- {
		beginnings := map[string]struct{}{}
		for anchor := range t.anchors {
			var four [anchorBytes]byte
			binary.LittleEndian.PutUint32(four[:], anchor)
			beginnings[string(four[:depth])] = struct{}{}
		}
		if len(beginnings)*depth > maxDecider {
			continue
		}
		words := make([]string, 0, len(beginnings))
		for word := range beginnings {
			words = append(words, word)
		}
		t.decider = ahocorasick.NewStringMatcher(words)
		return
	}
}

// wipe overwrites all forms.
func (t *table) wipe() {
	for _, a := range t.anchors {
		for _, form := range a.exact {
			clear(form)
		}
		for _, form := range a.loose {
			clear(form)
		}
	}
}
