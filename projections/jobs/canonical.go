package jobs

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/tidwall/btree"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections/canonical"
)

// A row in the form. Most jobs of a long list only wait, so what most rows lack
// takes no room, and numbers are written as what they differ by:
//
//	position    difference to the row before
//	id
//	submitted   difference to the row before
//	state       status and flags
//	class       its number in order of first appearance; if new, how far before
//	            the row's position its origin is
//	mask        which of these follow, a bit each:
//	  attempt, worker, namespace
//	  started, finished, key   difference to submitted
//	  last                     difference to the position
const (
	hasAttempt = 1 << iota
	hasWorker
	hasNamespace
	hasStarted
	hasFinished
	hasKey
	hasLast
)

// Encode writes namespaces, rows and limits.
func (js *Jobs) Encode(w *canonical.Writer) {
	w.Uint(uint64(js.namespaces.Len()))
	js.namespaces.Scan(func(_ uint32, n namespace) bool {
		w.Text(n.name)
		for _, count := range n.counts {
			w.Uint(count)
		}
		return true
	})
	w.Uint(uint64(js.rows.Len()))
	e := encoder{w: w, classes: make(map[uint64]uint64)}
	js.rows.Scan(func(at eventstore.Position, r row) bool {
		e.row(at, &r)
		return true
	})
	w.Uint(uint64(js.limits.Len()))
	var at eventstore.Position
	var before Limit
	js.limits.Scan(func(next eventstore.Position, l Limit) bool {
		w.Uint(uint64(next - at))
		w.Int(l.Time - before.Time)
		w.Int(l.Grace - before.Grace)
		at, before = next, l
		return true
	})
}

// encoder writes rows, each after the one before.
type encoder struct {
	w         *canonical.Writer
	at        eventstore.Position
	submitted int64
	classes   map[uint64]uint64
}

func (e *encoder) row(at eventstore.Position, r *row) {
	e.w.Uint(uint64(at - e.at))
	e.w.Uint(r.who >> attemptBits)
	e.w.Int(r.submitted - e.submitted)
	e.w.Uint(r.what & (1<<stateBits - 1))
	e.class(at, r.what>>stateBits)
	e.at, e.submitted = at, r.submitted

	optional := [...]uint64{
		r.who & MaxAttempt, r.where >> namespaceBits, r.where & (MaxNamespaces - 1),
		since(r.started, r.submitted), since(r.finished, r.submitted),
		zigzag(r.key - r.submitted), uint64(r.last - at),
	}
	mask := uint64(0)
	for i, n := range optional {
		if n != 0 {
			mask |= 1 << i
		}
	}
	e.w.Uint(mask)
	for _, n := range optional {
		if n != 0 {
			e.w.Uint(n)
		}
	}
}

func (e *encoder) class(at eventstore.Position, origin uint64) {
	n, known := e.classes[origin]
	if !known {
		n = uint64(len(e.classes))
		e.classes[origin] = n
	}
	e.w.Uint(n)
	if !known {
		e.w.Uint(uint64(at) - origin)
	}
}

// since returns a difference that is 0 only for a time that has not come, which
// is 0 in a row.
func since(t, from int64) uint64 {
	if t == 0 {
		return 0
	}
	return zigzag(t-from) + 1
}

func zigzag(n int64) uint64   { return uint64(n<<1) ^ uint64(n>>63) }
func unzigzag(n uint64) int64 { return int64(n>>1) ^ -int64(n&1) }

// decoder reads what an encoder wrote.
type decoder struct {
	r         *canonical.Reader
	at        eventstore.Position
	submitted int64
	classes   []uint64
}

func (d *decoder) row() (at eventstore.Position, r row) {
	d.at += eventstore.Position(d.r.Uint())
	r.who = d.r.Uint() << attemptBits
	d.submitted += d.r.Int()
	r.submitted = d.submitted
	r.what = d.r.Uint() & (1<<stateBits - 1)
	r.what |= d.class() << stateBits
	mask := d.r.Uint()
	optional := func(bit uint64) uint64 {
		if mask&bit == 0 {
			return 0
		}
		return d.r.Uint()
	}
	r.who |= optional(hasAttempt) & MaxAttempt
	r.where = optional(hasWorker) << namespaceBits
	r.where |= optional(hasNamespace) & (MaxNamespaces - 1)
	r.started = timeOf(optional(hasStarted), r.submitted)
	r.finished = timeOf(optional(hasFinished), r.submitted)
	r.key = r.submitted + unzigzag(optional(hasKey))
	r.last = d.at + eventstore.Position(optional(hasLast))
	return d.at, r
}

func (d *decoder) class() uint64 {
	n := d.r.Uint()
	if n == uint64(len(d.classes)) {
		d.classes = append(d.classes, uint64(d.at)-d.r.Uint())
	}
	if n >= uint64(len(d.classes)) {
		d.r.Fail(errClass)
		return 0
	}
	return d.classes[n]
}

var errClass = errors.New("a job's class was not named before")

func timeOf(n uint64, from int64) int64 {
	if n == 0 {
		return 0
	}
	return from + unzigzag(n-1)
}

// Decode reads what [Jobs.Encode] wrote.
func Decode(r *canonical.Reader) *Jobs {
	js := New()
	for i := range r.Count() {
		n := namespace{name: r.Text()}
		for status := range n.counts {
			n.counts[status] = r.Uint()
		}
		js.namespaces.Load(uint32(i), n)
	}
	js.decodeRows(r)
	var at eventstore.Position
	var l Limit
	for range r.Count() {
		at += eventstore.Position(r.Uint())
		l.Time += r.Int()
		l.Grace += r.Int()
		js.limits.Load(at, l)
	}
	return js
}

func (js *Jobs) decodeRows(r *canonical.Reader) {
	count := r.Count()
	byID := make([]pair[id.ID], 0, count)
	var ended []pair[eventstore.Position]
	d := decoder{r: r}
	for range count {
		at, next := d.row()
		js.rows.Load(at, next)
		byID = append(byID, pair[id.ID]{id.ID(next.who >> attemptBits), at})
		if next.status().Terminal() {
			ended = append(ended, pair[eventstore.Position]{next.last, at})
		}
	}
	load(&js.byID, byID, r)
	load(&js.ended, ended, r)
}

type pair[K any] struct {
	key K
	at  eventstore.Position
}

// load fills a tree at once; a key that comes twice fails r.
func load[K ~uint64](tree *btree.Map[K, eventstore.Position], pairs []pair[K], r *canonical.Reader) {
	slices.SortFunc(pairs, func(a, b pair[K]) int { return cmp.Compare(a.key, b.key) })
	for i, p := range pairs {
		if i > 0 && pairs[i-1].key == p.key {
			r.Fail(fmt.Errorf("jobs #%d and #%d have one key", pairs[i-1].at, p.at))
			return
		}
		tree.Load(p.key, p.at)
	}
}
