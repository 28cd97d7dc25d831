// Package cluster is the read model of the workers as places for jobs: what each
// offers, what is reserved there, and which attempts are live on it.
//
// An attempt is live from the moment it is bound until it ends, is lost or goes
// back into the queue. What it needs is reserved for just as long, whether the
// worker is connected or not.
//
// A [Cluster] is part of a World: its World changes it, readers share it once
// that World is published. It has no lock; reading concurrently is safe, changing
// is the owner's alone.
package cluster

import (
	"iter"

	"github.com/tidwall/btree"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/resource"
	"github.com/hodei-jobs/hodei/eventstore"
)

// Facts are what a worker offers and whether it takes jobs.
type Facts struct {
	ID        id.ID
	Name      string
	OS, Arch  string
	Pool      string
	Labels    resource.Labels
	Capacity  resource.Amount
	Connected bool // a session is live
	Cordoned  bool // takes no new job
	Draining  bool // takes no new job and ends when its jobs have ended
	Gone      bool // terminated; here only while attempts are left on it
}

// Open reports whether new jobs may be placed on the worker.
func (f *Facts) Open() bool { return f.Connected && !f.Cordoned && !f.Draining && !f.Gone }

// Node is a worker with what is reserved on it.
type Node struct {
	Facts
	Reserved resource.Amount     // of its live attempts
	Attempts int                 // how many are live
	GainedAt eventstore.Position // when it last became open, larger, or free of an attempt
}

// Attempt is a live attempt of a job.
type Attempt struct {
	Job         id.ID
	JobPosition eventstore.Position // where the job was submitted
	Attempt     uint32
	Node        id.ID
	BoundAt     eventstore.Position // names the attempt in a cluster
	BoundTime   int64               // ns since 1970
	Need        resource.Amount     // reserved for it
	TimeLimit   int64               // from its start, ns; 0 is none
	Grace       int64               // between the stop signal and KILL, ns
	Exclusive   bool                // never two at once, whatever happens to the worker
	Started     bool                // it may run
	StartedAt   eventstore.Position
	StartedTime int64               // ns since 1970
	CancelAt    eventstore.Position // where its stop was first asked for; 0 is not
}

// Expires returns when a started attempt must have ended, its grace included,
// in ns since 1970; ok is false if it has no time limit or has not started.
func (a *Attempt) Expires() (at int64, ok bool) {
	if !a.Started || a.TimeLimit <= 0 {
		return 0, false
	}
	return a.StartedTime + a.TimeLimit + a.Grace, true
}

// Cluster holds the workers and their live attempts.
type Cluster struct {
	nodes    btree.Map[id.ID, node]
	gains    btree.Map[eventstore.Position, id.ID] // open nodes by GainedAt
	attempts btree.Map[eventstore.Position, Attempt]
	byNode   *btree.BTreeG[onNode]
	byJob    btree.Map[eventstore.Position, eventstore.Position] // JobPosition → BoundAt
	expiring *btree.BTreeG[expiry]                               // started, with a time limit
	stranded btree.Set[id.ID]                                    // with live attempts and no session
}

// node is how a worker is kept. Its facts are shared and never change.
type node struct {
	facts    *Facts
	reserved resource.Amount
	gainedAt eventstore.Position
	attempts uint32
}

func (n node) public() Node { return Node{*n.facts, n.reserved, int(n.attempts), n.gainedAt} }

type onNode struct {
	node  id.ID
	bound eventstore.Position
}

func (a onNode) less(b onNode) bool { return a.node < b.node || a.node == b.node && a.bound < b.bound }

type expiry struct {
	at    int64
	bound eventstore.Position
}

func (a expiry) less(b expiry) bool { return a.at < b.at || a.at == b.at && a.bound < b.bound }

// New returns an empty cluster.
func New() *Cluster {
	owned := btree.Options{NoLocks: true}
	return &Cluster{
		byNode:   btree.NewBTreeGOptions(onNode.less, owned),
		expiring: btree.NewBTreeGOptions(expiry.less, owned),
	}
}

// Fork returns a cluster that shares everything with c until one of the two is
// changed. It takes constant time and writes c, so forks of one cluster must not
// be made at the same time.
func (c *Cluster) Fork() *Cluster {
	return &Cluster{
		nodes:    *c.nodes.Copy(),
		gains:    *c.gains.Copy(),
		attempts: *c.attempts.Copy(),
		byNode:   c.byNode.Copy(),
		byJob:    *c.byJob.Copy(),
		expiring: c.expiring.Copy(),
		stranded: *c.stranded.Copy(),
	}
}

// Len returns the number of workers.
func (c *Cluster) Len() int { return c.nodes.Len() }

// Live returns the number of live attempts.
func (c *Cluster) Live() int { return c.attempts.Len() }

// Node returns a worker.
func (c *Cluster) Node(worker id.ID) (Node, bool) {
	n, ok := c.nodes.Get(worker)
	if !ok {
		return Node{}, false
	}
	return n.public(), true
}

// Nodes returns all workers, by id.
func (c *Cluster) Nodes() iter.Seq[Node] {
	return func(yield func(Node) bool) {
		c.nodes.Scan(func(_ id.ID, n node) bool { return yield(n.public()) })
	}
}

// Gained returns the open workers whose last gain is after a position, by that
// gain.
func (c *Cluster) Gained(after eventstore.Position) iter.Seq[Node] {
	return func(yield func(Node) bool) {
		c.gains.Ascend(after+1, func(_ eventstore.Position, worker id.ID) bool {
			n, _ := c.nodes.Get(worker)
			return yield(n.public())
		})
	}
}

// Attempts returns the live attempts on a worker that were bound after a
// position, in the order they were bound.
func (c *Cluster) Attempts(worker id.ID, after eventstore.Position) iter.Seq[Attempt] {
	return func(yield func(Attempt) bool) {
		c.byNode.Ascend(onNode{worker, after + 1}, func(at onNode) bool {
			if at.node != worker {
				return false
			}
			a, _ := c.attempts.Get(at.bound)
			return yield(a)
		})
	}
}

// AttemptOf returns the live attempt of the job submitted at a position.
func (c *Cluster) AttemptOf(job eventstore.Position) (Attempt, bool) {
	bound, ok := c.byJob.Get(job)
	if !ok {
		return Attempt{}, false
	}
	return c.attempts.Get(bound)
}

// All returns the live attempts of all workers in the order they were bound.
func (c *Cluster) All() iter.Seq[Attempt] {
	return func(yield func(Attempt) bool) {
		c.attempts.Scan(func(_ eventstore.Position, a Attempt) bool { return yield(a) })
	}
}

// Expiring returns the started attempts that have a time limit, by when they
// must have ended; see [Attempt.Expires].
func (c *Cluster) Expiring() iter.Seq[Attempt] {
	return func(yield func(Attempt) bool) {
		c.expiring.Scan(func(e expiry) bool {
			a, _ := c.attempts.Get(e.bound)
			return yield(a)
		})
	}
}

// Stranded returns the workers that have live attempts and no live session, by
// id.
func (c *Cluster) Stranded() iter.Seq[Node] {
	return func(yield func(Node) bool) {
		c.stranded.Scan(func(worker id.ID) bool {
			n, _ := c.nodes.Get(worker)
			return yield(n.public())
		})
	}
}
