package mask

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
)

// node is a set of forms with a common beginning, as a tree: a label, then one
// of the kids, which differ in their first byte.
type node struct {
	label []byte // part of a form
	full  bool   // a form ends here
	kids  []node
}

// tree makes the node of forms that are sorted, differ, and share their first
// from bytes.
func tree(sorted [][]byte, from int) node {
	first, last := sorted[0], sorted[len(sorted)-1]
	to := from + common(first[from:], last[from:])
	n := node{label: first[from:to], full: len(first) == to}
	if n.full {
		sorted = sorted[1:]
	}
	for len(sorted) > 0 {
		same := 1
		for same < len(sorted) && sorted[same][to] == sorted[0][to] {
			same++
		}
		n.kids = append(n.kids, tree(sorted[:same], to))
		sorted = sorted[same:]
	}
	return n
}

// walk appends the lengths of the forms that text begins with, shortest first,
// and reports whether text ends within a longer one.
func (n *node) walk(text []byte, lengths []int) (_ []int, open bool) {
	at := 0
	for {
		same := common(n.label, text[at:])
		at += same
		if same < len(n.label) {
			return lengths, at == len(text)
		}
		if n.full {
			lengths = append(lengths, at)
		}
		if at == len(text) {
			return lengths, len(n.kids) > 0
		}
		i, ok := slices.BinarySearchFunc(n.kids, text[at], func(kid node, b byte) int {
			return int(kid.label[0]) - int(b)
		})
		if !ok {
			return lengths, false
		}
		n = &n.kids[i]
	}
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

// insert adds forms to a sorted list, each once. The list itself isn't changed.
func insert(list, more [][]byte) [][]byte {
	all := slices.Concat(list, more)
	slices.SortFunc(all, bytes.Compare)
	return slices.CompactFunc(all, bytes.Equal)
}
