package queue

import (
	"encoding/binary"
	"slices"

	"github.com/hodei-jobs/hodei/eventstore"
)

// What follows changes a queue. The World calls it and has checked that the
// change is possible.

// Join counts a job, submitted at a position, to the class of its demand, and
// returns the class's origin: the position itself if the class is new.
func (q *Queue) Join(at eventstore.Position, d Demand) eventstore.Position {
	if q.byDemand == nil {
		q.index()
	}
	q.scratch = d.appendKey(q.scratch[:0])
	origin, ok := q.byDemand[string(q.scratch)]
	if !ok {
		origin = at
		d.Requires = slices.Clone(d.Requires)
		q.byDemand[string(q.scratch)] = origin
		q.classes.Set(origin, class{demand: &d, unfinished: 1, paused: q.paused.Contains(d.Namespace)})
		return origin
	}
	c, _ := q.classes.Get(origin)
	c.unfinished++
	q.classes.Set(origin, c)
	return origin
}

// Arrive lets a job wait.
func (q *Queue) Arrive(at eventstore.Position, e Entry) {
	q.entries.Set(pack(e))
	c, _ := q.classes.Get(e.Class)
	before := c
	c.waiting++
	c.lastArrival = at
	q.replace(e.Class, before, c)
}

// Leave takes a waiting job out.
func (q *Queue) Leave(e Entry) {
	q.entries.Delete(pack(e))
	c, _ := q.classes.Get(e.Class)
	before := c
	c.waiting--
	q.replace(e.Class, before, c)
}

// Hold keeps a job that does not wait until it is due.
func (q *Queue) Hold(g Gated) {
	q.gated.Set(gate{g.Due, pack(g.Entry)})
	c, _ := q.classes.Get(g.Class)
	c.backoff++
	q.classes.Set(g.Class, c)
}

// Release takes a held job out; it does not wait then.
func (q *Queue) Release(g Gated) {
	q.gated.Delete(gate{g.Due, pack(g.Entry)})
	c, _ := q.classes.Get(g.Class)
	c.backoff--
	q.classes.Set(g.Class, c)
}

// End counts a job out that neither waits nor is held. The class goes with its
// last job.
func (q *Queue) End(origin eventstore.Position) {
	c, _ := q.classes.Get(origin)
	if c.unfinished--; c.unfinished > 0 {
		q.classes.Set(origin, c)
		return
	}
	q.classes.Delete(origin)
	if q.byDemand != nil {
		q.scratch = c.demand.appendKey(q.scratch[:0])
		delete(q.byDemand, string(q.scratch))
	}
}

// Pause closes the gate of a namespace. It looks at all classes.
func (q *Queue) Pause(namespace string) {
	q.paused.Insert(namespace)
	q.eachOf(namespace, func(origin eventstore.Position, before class) {
		c := before
		c.paused = true
		q.replace(origin, before, c)
	})
}

// Resume opens the gate of a namespace at a position: its waiting jobs arrive
// anew. It looks at all classes.
func (q *Queue) Resume(at eventstore.Position, namespace string) {
	q.paused.Delete(namespace)
	q.eachOf(namespace, func(origin eventstore.Position, before class) {
		c := before
		c.paused = false
		if c.waiting > 0 {
			c.lastArrival = at
		}
		q.replace(origin, before, c)
	})
}

func (q *Queue) eachOf(namespace string, change func(eventstore.Position, class)) {
	var origins []eventstore.Position
	q.classes.Scan(func(origin eventstore.Position, c class) bool {
		if c.demand.Namespace == namespace {
			origins = append(origins, origin)
		}
		return true
	})
	for _, origin := range origins {
		c, _ := q.classes.Get(origin)
		change(origin, c)
	}
}

// replace stores a class and keeps arrivals as [Queue.Arrived] promises.
func (q *Queue) replace(origin eventstore.Position, before, after class) {
	q.classes.Set(origin, after)
	moved := before.lastArrival != after.lastArrival
	if before.offered() && (moved || !after.offered()) {
		q.arrivals.Delete(arrival{before.lastArrival, origin})
	}
	if after.offered() && (moved || !before.offered()) {
		q.arrivals.Set(arrival{after.lastArrival, origin})
	}
}

// index makes byDemand anew, for a queue that was forked or loaded.
func (q *Queue) index() {
	q.byDemand = make(map[string]eventstore.Position, q.classes.Len())
	q.classes.Scan(func(origin eventstore.Position, c class) bool {
		q.byDemand[string(c.demand.appendKey(nil))] = origin
		return true
	})
}

// appendKey appends bytes that are the same for equal demands only.
func (d Demand) appendKey(b []byte) []byte {
	text := func(s string) {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	text(d.Namespace)
	text(d.Pool)
	for _, n := range [...]uint64{uint64(d.Need.CPU), uint64(d.Need.Memory), uint64(d.Need.Disk)} {
		b = binary.AppendUvarint(b, n)
	}
	for _, l := range d.Requires {
		text(l.Key)
		text(l.Value)
	}
	return b
}
