// Package telemetry holds what workers and attempts last said of their use: the
// one read model, beside the job logs, with a second source, the gateway.
//
//	gateway ──Report──▶ Table ──▶ LastHeard, Latest, Usage   readers never lock
//	                      ├────▶ View                        quantised, for placement
//	                      └────▶ queue ──▶ Run ──▶ journal   7 days, read back by log position
//
// Heartbeats are not events. Each sample is stamped with the position of the log
// at which it arrived, so that what was known of a moment can be had again. What
// placement sees has an offset: the number of the last sample in it, which no other
// sample ever has. A sample
// that the journal can't take in time is not shown to placement either, so that a
// decision can be taken again on exactly what it was taken on.
package telemetry

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidwall/btree"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/eventstore"
)

// ForgottenAfter is how long a worker must be silent to be forgotten when a new
// one comes.
const ForgottenAfter = time.Hour

// Gauge is a measured number, or that it could not be measured.
type Gauge struct {
	N     uint64
	Known bool
}

// Measured returns a known number.
func Measured(n uint64) Gauge { return Gauge{n, true} }

// GaugeOf returns what n points to; nil is unknown.
func GaugeOf(n *uint64) Gauge {
	if n == nil {
		return Gauge{}
	}
	return Gauge{*n, true}
}

// Sample is what a worker said once. It and what it holds must not be changed
// after it was reported.
type Sample struct {
	AgentMemory Gauge // bytes, of the agent itself
	CPU         Gauge // thousandths of a CPU, of the whole machine
	Memory      Gauge // bytes, of the whole machine
	DiskFree    Gauge // bytes
	Attempts    []Attempt
}

// Attempt is the use of an attempt's whole process tree.
type Attempt struct {
	Job           id.ID
	Attempt       uint32
	CPU           Gauge // thousandths of a CPU, since the last sample
	CPUTime       Gauge // ns, since its start
	Memory        Gauge // bytes
	PeakMemory    Gauge // bytes
	NetReceived   Gauge // bytes
	NetSent       Gauge // bytes
	DiskRead      Gauge // bytes
	DiskWritten   Gauge // bytes
	Processes     uint32
	Stalled       bool // its output waits for the server
	WaitsForInput bool // a process of it reads its terminal
}

// Report is a worker's newest sample.
type Report struct {
	At int64 // when it arrived; see [Table.Report]
	Sample
}

// Table is the newest sample of each worker. All methods are safe for concurrent
// use; those that read don't lock and don't wait.
type Table struct {
	slots atomic.Pointer[btree.Map[id.ID, *slot]]
	usage atomic.Pointer[btree.Map[attemptKey, *Attempt]]
	shown atomic.Pointer[showing]

	journal *journal            // nil: there is none
	highest eventstore.Position // that the journal named when it was opened
	dropped atomic.Uint64

	mu        sync.Mutex // one writer at a time
	offset    uint64     // guarded by mu: of the last sample that counts
	unstamped bool       // guarded by mu: the journal could not yet say where offsets begin
}

// slot is a worker's place, so that being heard costs nothing but a store.
type slot struct {
	heard  atomic.Int64
	report atomic.Pointer[Report]
}

// attemptKey is id << 24 | attempt.
type attemptKey uint64

const attemptBits = 24

func keyOf(job id.ID, attempt uint32) attemptKey {
	return attemptKey(job)<<attemptBits | attemptKey(attempt&(1<<attemptBits-1))
}

// New returns a table without a journal: its samples are gone when they are
// replaced.
func New() *Table {
	t := new(Table)
	t.slots.Store(new(btree.Map[id.ID, *slot]))
	t.usage.Store(new(btree.Map[attemptKey, *Attempt]))
	t.show(&View{nodes: new(btree.Map[id.ID, node])})
	return t
}

// Heard notes that a worker sent something at a time, in ns of a clock that
// never jumps; which one is the caller's choice, one for all calls.
func (t *Table) Heard(worker id.ID, at int64) {
	if s, ok := t.slots.Load().Get(worker); ok {
		s.hear(at)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.place(worker, at).hear(at)
}

func (s *slot) hear(at int64) {
	for {
		last := s.heard.Load()
		if at <= last || s.heard.CompareAndSwap(last, at) {
			return
		}
	}
}

// place returns a worker's slot, at the time it is heard. The caller holds mu.
func (t *Table) place(worker id.ID, at int64) *slot {
	s, ok := t.slots.Load().Get(worker)
	if ok {
		return s
	}
	t.forgetSilent(at)
	s = new(slot)
	slots := t.slots.Load().Copy()
	slots.Set(worker, s)
	t.slots.Store(slots)
	return s
}

// LastHeard returns when a worker last sent something, in ns of the clock of
// Heard and Report; ok is false if it has not since this server began, or not for
// [ForgottenAfter].
func (t *Table) LastHeard(worker id.ID) (at int64, ok bool) {
	s, ok := t.slots.Load().Get(worker)
	if !ok {
		return 0, false
	}
	return s.heard.Load(), true
}

// Latest returns a worker's newest sample.
func (t *Table) Latest(worker id.ID) (*Report, bool) {
	s, ok := t.slots.Load().Get(worker)
	if !ok {
		return nil, false
	}
	r := s.report.Load()
	return r, r != nil
}

// Usage returns the newest sample of an attempt that runs.
func (t *Table) Usage(job id.ID, attempt uint32) (*Attempt, bool) {
	return t.usage.Load().Get(keyOf(job, attempt))
}

// View returns what placement may know of the use of workers.
func (t *Table) View() *View { return t.shown.Load().view }

// Wait returns the View and a channel that is closed when there is another.
func (t *Table) Wait() (*View, <-chan struct{}) {
	s := t.shown.Load()
	return s.view, s.next
}

// showing is a View, and what is closed when it is no longer the newest.
type showing struct {
	view *View
	next chan struct{}
}

// show makes v the newest View. The caller holds mu, or nobody else has t.
func (t *Table) show(v *View) {
	if before := t.shown.Swap(&showing{v, make(chan struct{})}); before != nil {
		close(before.next)
	}
}

// Dropped returns how many samples the journal could not take in time.
func (t *Table) Dropped() uint64 { return t.dropped.Load() }

// Report takes a worker's sample in, which arrived at a time as for [Table.Heard].
// It never waits for a disk.
func (t *Table) Report(worker id.ID, at int64, s Sample) {
	t.mu.Lock()
	defer t.mu.Unlock()
	place := t.place(worker, at)
	place.hear(at)
	before := place.report.Swap(&Report{at, s})
	t.replaceUsage(before, s.Attempts)
	if t.journal != nil && !t.journal.offer(t.offset+1, worker, s) {
		t.dropped.Add(1)
		return
	}
	t.offset++
	if v := t.View(); v.differs(worker, s) {
		t.show(v.with(worker, s, t.stamped()))
	}
}

// stamped returns the offset that a View has now. The caller holds mu.
func (t *Table) stamped() uint64 {
	if t.unstamped {
		return 0
	}
	return t.offset
}

func (t *Table) replaceUsage(before *Report, attempts []Attempt) {
	if len(attempts) == 0 && (before == nil || len(before.Attempts) == 0) {
		return
	}
	usage := t.usage.Load().Copy()
	if before != nil {
		for _, a := range before.Attempts {
			usage.Delete(keyOf(a.Job, a.Attempt))
		}
	}
	for i := range attempts {
		usage.Set(keyOf(attempts[i].Job, attempts[i].Attempt), &attempts[i])
	}
	t.usage.Store(usage)
}

// forgetSilent lets go of workers that have not been heard for long: they ended,
// or will come as new ones. The caller holds mu.
func (t *Table) forgetSilent(at int64) {
	slots := t.slots.Load().Copy()
	t.slots.Load().Scan(func(worker id.ID, s *slot) bool {
		if at-s.heard.Load() > int64(ForgottenAfter) {
			slots.Delete(worker)
			t.replaceUsage(s.report.Load(), nil)
			if v := t.View(); v.has(worker) {
				t.show(v.without(worker))
			}
		}
		return true
	})
	t.slots.Store(slots)
}
