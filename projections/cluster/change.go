package cluster

import (
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/resource"
	"github.com/hodei-jobs/hodei/eventstore"
)

// What follows changes a cluster. The World calls it and has checked that the
// change is possible.

// Put makes a worker known or says what has become of it. It keeps f. A worker
// that opened, grew, or whose labels changed has gained.
func (c *Cluster) Put(at eventstore.Position, f *Facts) {
	n, known := c.nodes.Get(f.ID)
	before := n.facts
	n.facts = f
	if !known || !before.Open() || grew(before, f) {
		n = c.gain(at, f.ID, n)
	}
	if !f.Open() {
		c.gains.Delete(n.gainedAt)
	}
	c.set(f.ID, n)
}

func grew(before, after *Facts) bool {
	a, b := before.Capacity, after.Capacity
	return b.CPU > a.CPU || b.Memory > a.Memory || b.Disk > a.Disk ||
		before.Pool != after.Pool || before.OS != after.OS || before.Arch != after.Arch ||
		!before.Labels.Equal(after.Labels)
}

// Remove lets a worker go that will not come back. While attempts are left on it,
// nothing but its id is kept.
func (c *Cluster) Remove(worker id.ID) {
	n, known := c.nodes.Get(worker)
	switch {
	case !known:
	case n.attempts == 0:
		c.drop(worker, n)
	default:
		c.gains.Delete(n.gainedAt)
		n.facts = &Facts{ID: worker, Gone: true}
		c.set(worker, n)
	}
}

// gain moves a node in gains, if it is open. A gain of one that isn't would wake
// nobody; it gains when it opens.
func (c *Cluster) gain(at eventstore.Position, worker id.ID, n node) node {
	if !n.facts.Open() {
		return n
	}
	c.gains.Delete(n.gainedAt)
	n.gainedAt = at
	c.gains.Set(at, worker)
	return n
}

// set stores a node and keeps stranded.
func (c *Cluster) set(worker id.ID, n node) {
	c.nodes.Set(worker, n)
	if n.attempts > 0 && !n.facts.Connected {
		c.stranded.Insert(worker)
	} else {
		c.stranded.Delete(worker)
	}
}

func (c *Cluster) drop(worker id.ID, n node) {
	c.stranded.Delete(worker)
	c.gains.Delete(n.gainedAt)
	c.nodes.Delete(worker)
}

// Bind adds a live attempt and reserves what it needs. Its worker may have gone
// in the meantime; it stays known as gone until the attempt is taken back.
func (c *Cluster) Bind(a Attempt) {
	n, known := c.nodes.Get(a.Node)
	if !known {
		n.facts = &Facts{ID: a.Node, Gone: true}
	}
	reserve(&n.reserved, a.Need)
	n.attempts++
	c.set(a.Node, n)
	c.insert(a)
}

func (c *Cluster) insert(a Attempt) {
	c.attempts.Set(a.BoundAt, a)
	c.byNode.Set(onNode{a.Node, a.BoundAt})
	c.byJob.Set(a.JobPosition, a.BoundAt)
	if at, ok := a.Expires(); ok {
		c.expiring.Set(expiry{at, a.BoundAt})
	}
}

// Start lets the bound attempt of a job run, at a position and its time.
func (c *Cluster) Start(job, at eventstore.Position, time int64) {
	a, _ := c.AttemptOf(job)
	a.Started, a.StartedAt, a.StartedTime = true, at, time
	c.attempts.Set(a.BoundAt, a)
	if at, ok := a.Expires(); ok {
		c.expiring.Set(expiry{at, a.BoundAt})
	}
}

// Cancel notes that the live attempt of a job shall stop.
func (c *Cluster) Cancel(job, at eventstore.Position) {
	a, ok := c.AttemptOf(job)
	if ok && a.CancelAt == 0 {
		a.CancelAt = at
		c.attempts.Set(a.BoundAt, a)
	}
}

// End takes the live attempt of a job out and frees what it had reserved.
func (c *Cluster) End(job, at eventstore.Position) {
	a, ok := c.AttemptOf(job)
	if !ok {
		return
	}
	c.attempts.Delete(a.BoundAt)
	c.byNode.Delete(onNode{a.Node, a.BoundAt})
	c.byJob.Delete(job)
	if at, ok := a.Expires(); ok {
		c.expiring.Delete(expiry{at, a.BoundAt})
	}
	n, _ := c.nodes.Get(a.Node)
	free(&n.reserved, a.Need)
	if n.attempts--; n.attempts == 0 && n.facts.Gone {
		c.drop(a.Node, n)
		return
	}
	n = c.gain(at, a.Node, n)
	c.set(a.Node, n)
}

// reserve and free undo each other exactly, whatever the numbers, so that what
// is reserved does not depend on the order in which attempts came and went.
func reserve(sum *resource.Amount, need resource.Amount) {
	sum.CPU += need.CPU
	sum.Memory += need.Memory
	sum.Disk += need.Disk
}

func free(sum *resource.Amount, need resource.Amount) {
	sum.CPU -= need.CPU
	sum.Memory -= need.Memory
	sum.Disk -= need.Disk
}
