// Package jobs is the read model behind lists and pages of jobs: every job that
// has not ended, and the newest of those that have. Names, commands and steps are
// not here but in the job's own events; a list reads those of the rows it shows.
//
// A job is one row of 64 bytes without a pointer, kept by the position at which
// it was submitted, so that a million of them cost the garbage collector nothing.
//
// [Jobs] is part of a World: its World changes it, readers share it once that
// World is published. It has no lock; reading concurrently is safe, changing is
// the owner's alone.
package jobs

import (
	"iter"

	"github.com/tidwall/btree"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/eventstore"
)

// Job is what is known of a job. Times are ns since 1970, 0 for what has not
// happened.
type Job struct {
	ID              id.ID
	Position        eventstore.Position // of its submission
	Status          job.Status
	Backoff         bool // pending, until a retry's delay is over
	CancelRequested bool
	Exclusive       bool // never two attempts at once, whatever happens to a worker
	Frozen          bool // an event of it can't be understood; it will not change any more

	Attempt uint32 // the newest one's number; 0 is none yet
	Worker  id.ID  // of the newest attempt

	Submitted int64
	Started   int64 // of the newest attempt
	Finished  int64
	Due       int64 // in backoff: when it may be requeued; 0 until that is known

	Key   int64               // its place in its class
	Class eventstore.Position // origin of its class, which may be gone once it has ended
	Last  eventstore.Position // of the event that gave it its present status

	namespace uint32
}

// Limit is what bounds an attempt of a job, in ns.
type Limit struct {
	Time  int64 // from its start; 0 is none
	Grace int64 // between the stop signal and KILL
}

// Counts are numbers of jobs by status: of those that have not ended how many
// there are, of those that have how many there ever were.
type Counts [job.Lost + 1]uint64

// Jobs holds the jobs.
type Jobs struct {
	rows       btree.Map[eventstore.Position, row]
	byID       btree.Map[id.ID, eventstore.Position]
	ended      btree.Map[eventstore.Position, eventstore.Position] // by Last of those that have ended
	limits     btree.Map[eventstore.Position, Limit]               // of those that have not ended and have a time limit
	namespaces btree.Map[uint32, namespace]

	// Of the owner: namespaces by name. Nil until the first job is added.
	byName map[string]uint32
}

type namespace struct {
	name   string
	counts Counts
}

// row is a Job in 64 bytes.
type row struct {
	who       uint64 // id << attemptBits | attempt
	where     uint64 // worker << namespaceBits | namespace
	submitted int64
	started   int64
	finished  int64 // in backoff: due
	key       int64
	what      uint64 // class << stateBits | status << flagBits | flags
	last      eventstore.Position
}

const (
	attemptBits   = 24
	namespaceBits = 24
	flagBits      = 4
	stateBits     = 8 // status and flags

	flagBackoff         = 1
	flagCancelRequested = 2
	flagExclusive       = 4
	flagFrozen          = 8

	// MaxAttempt is the highest attempt number a row can hold.
	MaxAttempt = 1<<attemptBits - 1
	// MaxNamespaces is how many namespaces can have had jobs.
	MaxNamespaces = 1 << namespaceBits
)

func pack(j *Job) row {
	r := row{
		who:       uint64(j.ID)<<attemptBits | uint64(j.Attempt),
		where:     uint64(j.Worker)<<namespaceBits | uint64(j.namespace),
		submitted: j.Submitted, started: j.Started, finished: j.Finished,
		key:  j.Key,
		what: uint64(j.Class)<<stateBits | uint64(j.Status)<<flagBits,
		last: j.Last,
	}
	if j.Backoff {
		r.what |= flagBackoff
		r.finished = j.Due
	}
	if j.CancelRequested {
		r.what |= flagCancelRequested
	}
	if j.Exclusive {
		r.what |= flagExclusive
	}
	if j.Frozen {
		r.what |= flagFrozen
	}
	return r
}

func (r *row) status() job.Status {
	return job.Status(r.what >> flagBits & (1<<(stateBits-flagBits) - 1))
}

func (r *row) unpack(at eventstore.Position) Job {
	j := Job{
		ID:              id.ID(r.who >> attemptBits),
		Position:        at,
		Status:          r.status(),
		Backoff:         r.what&flagBackoff != 0,
		CancelRequested: r.what&flagCancelRequested != 0,
		Exclusive:       r.what&flagExclusive != 0,
		Frozen:          r.what&flagFrozen != 0,
		Attempt:         uint32(r.who & MaxAttempt),
		Worker:          id.ID(r.where >> namespaceBits),
		Submitted:       r.submitted,
		Started:         r.started,
		Finished:        r.finished,
		Key:             r.key,
		Class:           eventstore.Position(r.what >> stateBits),
		Last:            r.last,
		namespace:       uint32(r.where & (MaxNamespaces - 1)),
	}
	if j.Backoff {
		j.Due, j.Finished = j.Finished, 0
	}
	return j
}

// New returns no jobs.
func New() *Jobs { return new(Jobs) }

// Fork returns jobs that share everything with these until one of the two is
// changed. It takes constant time and writes js, so forks of the same must not be
// made at the same time.
func (js *Jobs) Fork() *Jobs {
	return &Jobs{
		rows:       *js.rows.Copy(),
		byID:       *js.byID.Copy(),
		ended:      *js.ended.Copy(),
		limits:     *js.limits.Copy(),
		namespaces: *js.namespaces.Copy(),
	}
}

// Len returns how many jobs are here.
func (js *Jobs) Len() int { return js.rows.Len() }

// ByID returns the job with an id.
func (js *Jobs) ByID(i id.ID) (Job, bool) {
	at, ok := js.byID.Get(i)
	if !ok {
		return Job{}, false
	}
	return js.At(at)
}

// At returns the job that was submitted at a position.
func (js *Jobs) At(at eventstore.Position) (Job, bool) {
	r, ok := js.rows.Get(at)
	if !ok {
		return Job{}, false
	}
	return r.unpack(at), true
}

// Namespace returns the namespace of a job that is or was here.
func (js *Jobs) Namespace(j Job) string {
	n, _ := js.namespaces.Get(j.namespace)
	return n.name
}

// Limit returns what bounds the attempts of a job that has not ended.
func (js *Jobs) Limit(j Job) Limit {
	l, _ := js.limits.Get(j.Position)
	return l
}

// Ascend returns the jobs submitted at a position or later, the oldest first.
func (js *Jobs) Ascend(from eventstore.Position) iter.Seq[Job] {
	return func(yield func(Job) bool) {
		js.rows.Ascend(from, func(at eventstore.Position, r row) bool { return yield(r.unpack(at)) })
	}
}

// Descend returns the jobs submitted at a position or before, the newest first.
func (js *Jobs) Descend(from eventstore.Position) iter.Seq[Job] {
	return func(yield func(Job) bool) {
		js.rows.Descend(from, func(at eventstore.Position, r row) bool { return yield(r.unpack(at)) })
	}
}

// Ended returns the jobs that ended at a position or before, the last to end
// first.
func (js *Jobs) Ended(from eventstore.Position) iter.Seq[Job] {
	return func(yield func(Job) bool) {
		js.ended.Descend(from, func(_, at eventstore.Position) bool {
			j, _ := js.At(at)
			return yield(j)
		})
	}
}

// EndedSince returns the jobs that ended at a position or later, the first to end
// first.
func (js *Jobs) EndedSince(from eventstore.Position) iter.Seq[Job] {
	return func(yield func(Job) bool) {
		js.ended.Ascend(from, func(_, at eventstore.Position) bool {
			j, _ := js.At(at)
			return yield(j)
		})
	}
}

// Counts returns the numbers of all namespaces together.
func (js *Jobs) Counts() Counts {
	var sum Counts
	for _, c := range js.Namespaces() {
		for status, n := range c {
			sum[status] += n
		}
	}
	return sum
}

// Namespaces returns the numbers of each namespace that has had a job, in the
// order of their first jobs.
func (js *Jobs) Namespaces() iter.Seq2[string, Counts] {
	return func(yield func(string, Counts) bool) {
		js.namespaces.Scan(func(_ uint32, n namespace) bool { return yield(n.name, n.counts) })
	}
}
