// Package queue is the read model of the jobs that wait for a worker.
//
// Jobs that ask for the same (namespace, requirements, resources, pool) form a
// class: where one of them fits, each of them does. A class is known by the
// position of the event that submitted its first job, and lives as long as one
// of its jobs has not ended, so that a job that comes back finds it again.
//
// Inside a class jobs stand in the order of a key fixed at submission: its time
// minus what its priority is worth. So waiting ages all of them alike and
// nothing is ever sorted again. A gate holds a job or a class back: a retry's
// delay holds one job, a paused namespace all of its classes.
//
// A [Queue] is part of a World: its World changes it, readers share it once that
// World is published. It has no lock; reading concurrently is safe, changing is
// the owner's alone.
package queue

import (
	"iter"

	"github.com/tidwall/btree"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/resource"
	"github.com/hodei-jobs/hodei/eventstore"
)

// Demand is what all jobs of a class ask for.
type Demand struct {
	Namespace string
	Pool      string          // only workers of this pool; empty: those of none
	Requires  resource.Labels // labels a worker must have, sorted
	Need      resource.Amount
}

// Class is a class of jobs as it stands.
type Class struct {
	Origin eventstore.Position // names the class: where its first job was submitted
	Demand
	Waiting     int                 // jobs that could be placed now
	Backoff     int                 // jobs held until a retry's delay is over
	LastArrival eventstore.Position // when a job last came to wait, or its namespace was resumed
	Paused      bool                // its namespace is: none of the waiting may be placed
}

// Entry is a waiting job.
type Entry struct {
	Class   eventstore.Position // its class's Origin
	Key     int64               // lower is earlier; see [Key]
	Job     eventstore.Position // where it was submitted; decides between equal keys
	ID      id.ID
	Attempt uint32 // the one it waits for
}

// Gated is a job that waits for a retry's delay to be over.
type Gated struct {
	Due int64 // log time in ns since 1970 at which it may be requeued
	Entry
}

// Key returns the place of a job that was submitted at a time, in ns. Each point
// of priority is worth one aging step of waiting.
func Key(submitted int64, priority int32, agingStep int64) int64 {
	return submitted - int64(priority)*agingStep
}

// Queue holds the waiting jobs.
type Queue struct {
	classes  btree.Map[eventstore.Position, class] // by origin
	arrivals *btree.BTreeG[arrival]                // of classes with jobs that may be placed
	entries  *btree.BTreeG[entry]
	gated    *btree.BTreeG[gate]
	paused   btree.Set[string] // namespaces

	// Of the owner: classes by what they ask for. Nil until the first change.
	byDemand map[string]eventstore.Position
	scratch  []byte
}

// class is how a class is kept. What it asks for is shared and never changes.
type class struct {
	demand      *Demand
	lastArrival eventstore.Position
	unfinished  uint32 // its jobs that have not ended
	waiting     uint32
	backoff     uint32
	paused      bool
}

func (c class) offered() bool { return c.waiting > 0 && !c.paused }

type arrival struct{ at, class eventstore.Position }

func (a arrival) less(b arrival) bool { return a.at < b.at || a.at == b.at && a.class < b.class }

// entry is an Entry in 32 bytes.
type entry struct {
	class eventstore.Position
	key   int64
	job   eventstore.Position
	who   uint64 // id << attemptBits | attempt
}

const attemptBits = 24

// MaxAttempt is the highest attempt number a queue can hold.
const MaxAttempt = 1<<attemptBits - 1

func pack(e Entry) entry {
	return entry{e.Class, e.Key, e.Job, uint64(e.ID)<<attemptBits | uint64(e.Attempt)}
}

func (e entry) unpack() Entry {
	return Entry{e.class, e.key, e.job, id.ID(e.who >> attemptBits), uint32(e.who & MaxAttempt)}
}

func (e entry) less(f entry) bool {
	switch {
	case e.class != f.class:
		return e.class < f.class
	case e.key != f.key:
		return e.key < f.key
	default:
		return e.job < f.job
	}
}

type gate struct {
	due int64
	entry
}

func (g gate) less(h gate) bool { return g.due < h.due || g.due == h.due && g.job < h.job }

// New returns an empty queue.
func New() *Queue {
	owned := btree.Options{NoLocks: true}
	return &Queue{
		arrivals: btree.NewBTreeGOptions(arrival.less, owned),
		entries:  btree.NewBTreeGOptions(entry.less, owned),
		gated:    btree.NewBTreeGOptions(gate.less, owned),
	}
}

// Fork returns a queue that shares everything with q until one of the two is
// changed. It takes constant time and writes q, so forks of one queue must not
// be made at the same time.
func (q *Queue) Fork() *Queue {
	return &Queue{
		classes:  *q.classes.Copy(),
		arrivals: q.arrivals.Copy(),
		entries:  q.entries.Copy(),
		gated:    q.gated.Copy(),
		paused:   *q.paused.Copy(),
	}
}

// Waiting returns the number of waiting jobs, those of paused namespaces
// included.
func (q *Queue) Waiting() int { return q.entries.Len() }

// Backoff returns the number of jobs that wait for a retry's delay.
func (q *Queue) Backoff() int { return q.gated.Len() }

// Class returns the class with that origin. It may have no waiting job.
func (q *Queue) Class(origin eventstore.Position) (Class, bool) {
	c, ok := q.classes.Get(origin)
	if !ok {
		return Class{}, false
	}
	return c.public(origin), true
}

// Need returns what each job of a class needs.
func (q *Queue) Need(origin eventstore.Position) resource.Amount {
	c, ok := q.classes.Get(origin)
	if !ok {
		return resource.Amount{}
	}
	return c.demand.Need
}

func (c class) public(origin eventstore.Position) Class {
	return Class{origin, *c.demand, int(c.waiting), int(c.backoff), c.lastArrival, c.paused}
}

// Classes returns all classes that have a waiting or held job, by origin.
func (q *Queue) Classes() iter.Seq[Class] {
	return func(yield func(Class) bool) {
		q.classes.Scan(func(origin eventstore.Position, c class) bool {
			return c.waiting+c.backoff == 0 || yield(c.public(origin))
		})
	}
}

// Arrived returns the classes with jobs that may be placed and whose last
// arrival is after a position, by that arrival.
func (q *Queue) Arrived(after eventstore.Position) iter.Seq[Class] {
	return func(yield func(Class) bool) {
		q.arrivals.Ascend(arrival{at: after + 1}, func(a arrival) bool {
			c, _ := q.classes.Get(a.class)
			return yield(c.public(a.class))
		})
	}
}

// Entries returns the waiting jobs of a class in their order.
func (q *Queue) Entries(origin eventstore.Position) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		q.entries.Ascend(first(origin), func(e entry) bool {
			return e.class == origin && yield(e.unpack())
		})
	}
}

// Place returns how many jobs of its class stand before e. For the last of its
// class, as a job just submitted mostly is, that is one step; else it looks at
// some hundred rows, however many wait.
func (q *Queue) Place(e Entry) int {
	self := pack(e)
	if q.last(self) {
		c, _ := q.classes.Get(e.Class)
		return int(c.waiting) - 1
	}
	return q.rank(self) - q.rank(first(e.Class))
}

// last reports whether e waits and no job of its class stands behind it.
func (q *Queue) last(e entry) bool {
	waits, behind := false, false
	q.entries.Ascend(e, func(at entry) bool {
		if at == e {
			waits = true
			return true
		}
		behind = at.class == e.class
		return false
	})
	return waits && !behind
}

// Due returns the jobs held by a retry's delay, the earliest first.
func (q *Queue) Due() iter.Seq[Gated] {
	return func(yield func(Gated) bool) {
		q.gated.Scan(func(g gate) bool { return yield(Gated{g.due, g.unpack()}) })
	}
}

// first returns an entry that stands before all of a class.
func first(origin eventstore.Position) entry {
	const lowest = -1 << 63
	return entry{class: origin, key: lowest}
}

// rank returns how many entries of all classes stand before e.
func (q *Queue) rank(e entry) int {
	low, high := 0, q.entries.Len()
	for low < high {
		middle := (low + high) / 2
		if at, _ := q.entries.GetAt(middle); at.less(e) {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}
