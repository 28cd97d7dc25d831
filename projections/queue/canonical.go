package queue

import (
	"cmp"
	"slices"

	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections/canonical"
)

// Encode writes what can't be had from the jobs: paused namespaces and classes.
func (q *Queue) Encode(w *canonical.Writer) {
	w.Uint(uint64(q.paused.Len()))
	q.paused.Scan(func(namespace string) bool {
		w.Text(namespace)
		return true
	})
	w.Uint(uint64(q.classes.Len()))
	last := eventstore.Position(0)
	q.classes.Scan(func(origin eventstore.Position, c class) bool {
		w.Uint(uint64(origin - last))
		w.Uint(uint64(c.lastArrival - origin))
		last = origin
		w.Text(c.demand.Namespace)
		w.Text(c.demand.Pool)
		canonical.Labels(w, c.demand.Requires)
		canonical.Amount(w, c.demand.Need)
		return true
	})
}

// Loader makes a queue from its canonical form and its jobs.
type Loader struct {
	queue   *Queue
	entries []entry
}

// Decode reads what [Queue.Encode] wrote. The queue is whole once each job that
// has not ended was given to one of the methods, and Done called. Its class must be there.
func Decode(r *canonical.Reader) *Loader {
	q := New()
	for range r.Count() {
		q.paused.Insert(r.Text())
	}
	origin := eventstore.Position(0)
	for range r.Count() {
		origin += eventstore.Position(r.Uint())
		c := class{lastArrival: origin + eventstore.Position(r.Uint())}
		d := Demand{Namespace: r.Text(), Pool: r.Text()}
		d.Requires = canonical.ReadLabels(r)
		d.Need = canonical.ReadAmount(r)
		c.demand = &d
		c.paused = q.paused.Contains(d.Namespace)
		q.classes.Load(origin, c)
	}
	return &Loader{queue: q}
}

// Elsewhere counts a job that is live on a worker, or whose due time is not
// known yet.
func (l *Loader) Elsewhere(origin eventstore.Position) { l.count(origin, func(*class) {}) }

// Held takes in a job that waits for a retry's delay.
func (l *Loader) Held(g Gated) {
	l.queue.gated.Set(gate{g.Due, pack(g.Entry)})
	l.count(g.Class, func(c *class) { c.backoff++ })
}

// Waiting takes in a job that waits.
func (l *Loader) Waiting(e Entry) {
	l.entries = append(l.entries, pack(e))
	l.count(e.Class, func(c *class) { c.waiting++ })
}

func (l *Loader) count(origin eventstore.Position, change func(*class)) {
	c, _ := l.queue.classes.Get(origin)
	c.unfinished++
	change(&c)
	l.queue.classes.Set(origin, c)
}

// Has reports whether there is a class with that origin.
func (l *Loader) Has(origin eventstore.Position) bool {
	_, ok := l.queue.classes.Get(origin)
	return ok
}

// Done returns the queue.
func (l *Loader) Done() *Queue {
	slices.SortFunc(l.entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.class, b.class), cmp.Compare(a.key, b.key), cmp.Compare(a.job, b.job))
	})
	for _, e := range l.entries {
		l.queue.entries.Load(e)
	}
	l.queue.classes.Scan(func(origin eventstore.Position, c class) bool {
		if c.offered() {
			l.queue.arrivals.Set(arrival{c.lastArrival, origin})
		}
		return true
	})
	return l.queue
}
