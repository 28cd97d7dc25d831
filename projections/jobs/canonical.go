package jobs

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tidwall/btree"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections/canonical"
)

// Encode writes namespaces, rows and limits. Each row's numbers are written as
// what they differ by from the row before or from each other, so most are short.
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
	var at eventstore.Position
	var before row
	js.rows.Scan(func(next eventstore.Position, r row) bool {
		w.Uint(uint64(next - at))
		r.encode(w, next, &before)
		at, before = next, r
		return true
	})
	w.Uint(uint64(js.limits.Len()))
	at = 0
	js.limits.Scan(func(next eventstore.Position, l Limit) bool {
		w.Uint(uint64(next - at))
		w.Int(l.Time)
		w.Int(l.Grace)
		at = next
		return true
	})
}

// encode writes a row of the job submitted at a position, after the row before.
func (r *row) encode(w *canonical.Writer, at eventstore.Position, before *row) {
	w.Uint(r.who >> attemptBits)
	w.Uint(r.who & MaxAttempt)
	w.Uint(r.where >> namespaceBits)
	w.Uint(r.where & (MaxNamespaces - 1))
	w.Int(r.submitted - before.submitted)
	w.Int(sinceOr0(r.started, r.submitted))
	w.Int(sinceOr0(r.finished, r.submitted))
	w.Int(r.key - r.submitted)
	w.Uint(r.what & (1<<stateBits - 1))
	w.Int(int64(at) - int64(r.what>>stateBits))
	w.Int(int64(r.last - at))
}

func (r *row) decode(f *canonical.Reader, at eventstore.Position, before *row) {
	r.who = f.Uint() << attemptBits
	r.who |= f.Uint() & MaxAttempt
	r.where = f.Uint() << namespaceBits
	r.where |= f.Uint() & (MaxNamespaces - 1)
	r.submitted = f.Int() + before.submitted
	r.started = timeOr0(f.Int(), r.submitted)
	r.finished = timeOr0(f.Int(), r.submitted)
	r.key = f.Int() + r.submitted
	r.what = f.Uint() & (1<<stateBits - 1)
	r.what |= uint64(int64(at)-f.Int()) << stateBits
	r.last = at + eventstore.Position(f.Int())
}

// A time that has not come is 0 in a row. Its difference would be long, so it is
// written as 0, and a difference as one more.
func sinceOr0(t, from int64) int64 {
	if t == 0 {
		return 0
	}
	if d := t - from; d >= 0 {
		return d + 1
	} else {
		return d
	}
}

func timeOr0(d, from int64) int64 {
	switch {
	case d == 0:
		return 0
	case d > 0:
		return from + d - 1
	default:
		return from + d
	}
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
	count := r.Count()
	byID := make([]pair[id.ID], 0, count)
	var ended []pair[eventstore.Position]
	var at eventstore.Position
	var before row
	for range count {
		at += eventstore.Position(r.Uint())
		var next row
		next.decode(r, at, &before)
		js.rows.Load(at, next)
		byID = append(byID, pair[id.ID]{id.ID(next.who >> attemptBits), at})
		if next.status().Terminal() {
			ended = append(ended, pair[eventstore.Position]{next.last, at})
		}
		before = next
	}
	load(js.byID, byID, r)
	load(js.ended, ended, r)
	at = 0
	for range r.Count() {
		at += eventstore.Position(r.Uint())
		js.limits.Load(at, Limit{Time: r.Int(), Grace: r.Int()})
	}
	return js
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
