package telemetry

import (
	"github.com/tidwall/btree"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/resource"
)

// What placement sees is rounded up to whole steps, so that it changes seldom
// and small differences don't make decisions differ.
const (
	CPUStep    = 10       // thousandths: 1 % of a CPU
	MemoryStep = 16 << 20 // bytes
)

// View is the use of all workers at one moment, rounded up. It does not change.
type View struct {
	// Offset is the number of the last sample that changed it. Numbers rise, by one
	// until the journal is opened again, and none is used twice. It is 0 as long as
	// the journal has written nothing since it was opened.
	Offset uint64

	nodes *btree.Map[id.ID, node]
}

// node is a worker's use in steps; one more, so that 0 is unknown.
type node struct{ cpu, memory uint32 }

// Used returns what a worker said it uses. What is unknown is 0. A disk's use is
// never known.
func (v *View) Used(worker id.ID) resource.Amount {
	n, _ := v.nodes.Get(worker)
	var a resource.Amount
	if n.cpu > 0 {
		a.CPU = resource.CPU(n.cpu-1) * CPUStep
	}
	if n.memory > 0 {
		a.Memory = resource.Bytes(n.memory-1) * MemoryStep
	}
	return a
}

func (v *View) has(worker id.ID) bool {
	_, ok := v.nodes.Get(worker)
	return ok
}

func (v *View) differs(worker id.ID, s Sample) bool {
	n, ok := v.nodes.Get(worker)
	return !ok || n != round(s)
}

func (v *View) with(worker id.ID, s Sample, offset uint64) *View {
	next := &View{offset, v.nodes.Copy()}
	next.nodes.Set(worker, round(s))
	return next
}

func (v *View) without(worker id.ID) *View {
	next := &View{v.Offset, v.nodes.Copy()}
	next.nodes.Delete(worker)
	return next
}

func round(s Sample) node { return node{steps(s.CPU, CPUStep), steps(s.Memory, MemoryStep)} }

func steps(g Gauge, step uint64) uint32 {
	if !g.Known {
		return 0
	}
	n := g.N / step
	if g.N%step != 0 {
		n++
	}
	return uint32(min(n, 1<<32-2)) + 1
}
