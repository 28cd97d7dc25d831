package cluster

import (
	"errors"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections/canonical"
)

var errNode = errors.New("an attempt is on a worker that is not there")

// Encode writes what can't be had from the workers: when each last gained, and
// the live attempts.
func (c *Cluster) Encode(w *canonical.Writer) {
	w.Uint(uint64(c.nodes.Len()))
	c.nodes.Scan(func(worker id.ID, n node) bool {
		canonical.ID(w, worker)
		w.Uint(uint64(n.gainedAt))
		return true
	})
	w.Uint(uint64(c.attempts.Len()))
	c.attempts.Scan(func(_ eventstore.Position, a Attempt) bool {
		a.encode(w)
		return true
	})
}

func (a *Attempt) encode(w *canonical.Writer) {
	canonical.ID(w, a.Job)
	w.Uint(uint64(a.JobPosition))
	w.Uint(uint64(a.Attempt))
	canonical.ID(w, a.Node)
	w.Uint(uint64(a.BoundAt))
	w.Int(a.BoundTime)
	canonical.Amount(w, a.Need)
	w.Int(a.TimeLimit)
	w.Int(a.Grace)
	w.Bool(a.Exclusive)
	w.Bool(a.Started)
	w.Uint(uint64(a.StartedAt))
	w.Int(a.StartedTime)
	w.Uint(uint64(a.CancelAt))
}

func readAttempt(r *canonical.Reader) Attempt {
	return Attempt{
		Job:         canonical.ReadID(r),
		JobPosition: eventstore.Position(r.Uint()),
		Attempt:     uint32(r.Uint()),
		Node:        canonical.ReadID(r),
		BoundAt:     eventstore.Position(r.Uint()),
		BoundTime:   r.Int(),
		Need:        canonical.ReadAmount(r),
		TimeLimit:   r.Int(),
		Grace:       r.Int(),
		Exclusive:   r.Bool(),
		Started:     r.Bool(),
		StartedAt:   eventstore.Position(r.Uint()),
		StartedTime: r.Int(),
		CancelAt:    eventstore.Position(r.Uint()),
	}
}

// Decode reads what [Cluster.Encode] wrote. Facts returns those of a worker, or
// nil if it is gone.
func Decode(r *canonical.Reader, facts func(id.ID) *Facts) *Cluster {
	c := New()
	for range r.Count() {
		worker := canonical.ReadID(r)
		n := node{facts: facts(worker), gainedAt: eventstore.Position(r.Uint())}
		if n.facts == nil {
			n.facts = &Facts{ID: worker, Gone: true}
		}
		c.nodes.Load(worker, n)
		if n.facts.Open() {
			c.gains.Set(n.gainedAt, worker)
		}
	}
	for range r.Count() {
		a := readAttempt(r)
		n, ok := c.nodes.Get(a.Node)
		if !ok {
			r.Fail(errNode)
			break
		}
		n.attempts++
		reserve(&n.reserved, a.Need)
		c.set(a.Node, n)
		c.insert(a)
	}
	return c
}
