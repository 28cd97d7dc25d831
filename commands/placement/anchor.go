package placement

import (
	"slices"
	"strings"

	"github.com/tidwall/btree"
)

// anchors hangs each shape that waits at one of the things it asks of a worker:
// its pool, or one label with its value. A worker's gain then wakes what hangs at
// what that worker has, and not what asks for workers of another kind, however
// much of that there is. A shape that asks for nothing hangs at "".
//
// A new shape is hung where the fewest hang. So labels that everybody asks for
// gather few, and a label that is one job's own gathers one.
type anchors struct {
	shapes *btree.Map[string, hung]
	counts *btree.Map[string, int] // shapes at an anchor
}

// hung is where a shape hangs, and how many classes have it.
type hung struct {
	anchor  string
	classes int
}

func newAnchors() anchors {
	return anchors{new(btree.Map[string, hung]), new(btree.Map[string, int])}
}

func (a anchors) fork() anchors { return anchors{a.shapes.Copy(), a.counts.Copy()} }

// take returns the anchor of a class of the shape.
func (a anchors) take(shape string) string {
	if shape == "" {
		return ""
	}
	h, known := a.shapes.Get(shape)
	if !known {
		h.anchor = a.loneliest(demanded(shape))
		n, _ := a.counts.Get(h.anchor)
		a.counts.Set(h.anchor, n+1)
	}
	h.classes++
	a.shapes.Set(shape, h)
	return h.anchor
}

// release takes back one take.
func (a anchors) release(shape string) {
	h, known := a.shapes.Get(shape)
	if !known {
		return
	}
	if h.classes--; h.classes > 0 {
		a.shapes.Set(shape, h)
		return
	}
	a.shapes.Delete(shape)
	if n, _ := a.counts.Get(h.anchor); n > 1 {
		a.counts.Set(h.anchor, n-1)
	} else {
		a.counts.Delete(h.anchor)
	}
}

func (a anchors) loneliest(among []string) (best string) {
	least := -1
	for _, anchor := range among {
		if n, _ := a.counts.Get(anchor); least < 0 || n < least {
			best, least = anchor, n
		}
	}
	return best
}

const sep = "\x00" // is in no label and no name of a pool

// shape is the same for those demands only that the same workers match.
func shape(d Class) string {
	if d.Pool == "" && len(d.Requires) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString(d.Pool)
	for _, l := range d.Requires {
		b.WriteString(sep + l.Key + sep + l.Value)
	}
	return b.String()
}

// demanded returns all that a shape can hang at.
func demanded(shape string) (all []string) {
	words := strings.Split(shape, sep)
	if words[0] != "" {
		all = append(all, poolAnchor(words[0]))
	}
	for i := 1; i+1 < len(words); i += 2 {
		all = append(all, labelAnchor(words[i], words[i+1]))
	}
	return all
}

// offered returns the anchors of all shapes that the workers may match, sorted.
func offered(workers []*Node) []string {
	all := []string{""}
	for _, n := range workers {
		all = append(all, labelAnchor(labelOS, n.OS), labelAnchor(labelArch, n.Arch))
		if n.Pool != "" {
			all = append(all, poolAnchor(n.Pool))
		}
		for _, l := range n.Labels {
			all = append(all, labelAnchor(l.Key, l.Value))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func poolAnchor(pool string) string        { return sep + pool }
func labelAnchor(key, value string) string { return key + sep + value }
