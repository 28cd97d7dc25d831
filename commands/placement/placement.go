// Package placement decides which waiting job goes to which worker. [Plan] is
// pure: the same queue, cluster, telemetry, settings and memory give the same
// bindings, byte for byte, so that a decision can be taken again from the log,
// or history be planned under another policy.
//
// Gates hold back a namespace that is paused and a job whose retry isn't due;
// the queue doesn't offer those. What it offers is planned class by class in
// fair order: the class whose first job has the earliest key goes first. For a
// class, filters say which workers can't take its jobs and why, a scorer says
// which of the others is best.
//
// A class that fits nowhere sleeps until a worker gains room or joins on which
// it could fit. A [Memory] holds the sleepers, the classes that were left over
// when the pass was full, and the workers that have room. So a pass reads only
// what lies after the one before: its cost grows with the free slots and what is
// new, never with the backlog.
package placement

import (
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/resource"
	"github.com/hodei-jobs/hodei/aggregates/settings"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections/cluster"
	"github.com/hodei-jobs/hodei/projections/queue"
	"github.com/hodei-jobs/hodei/projections/telemetry"
)

const (
	// Version of the plan, recorded in each decision. It changes whenever the
	// same input could give other bindings.
	Version = 1

	// MaxBindings is the most one pass binds. What is left over is planned in the
	// next, on a World that includes these.
	MaxBindings = 256

	keptCandidates = 3 // of a decision
)

// Input is what a plan is made from. All of it is read only.
type Input struct {
	Position  eventstore.Position // of the World that queue and cluster belong to
	Queue     *queue.Queue
	Cluster   *cluster.Cluster
	Settings  settings.State
	Telemetry *telemetry.View // nil if nothing has been reported
	Limit     int             // of bindings; 0 is MaxBindings
}

// Binding gives a job's attempt to a worker.
type Binding struct {
	Job      id.ID
	Attempt  uint32
	Worker   id.ID
	Decision *eventv1.Decision
}

// Node is a worker as placement sees it: what it is and the room it has now.
type Node struct {
	cluster.Node
	Used resource.Amount // as it was reported; nothing of its disk
	Free resource.Amount // capacity less the greater of what is reserved and what counts as used
}

// usedCPUMost is how much of a worker's CPU can count as used, in percent. CPU is
// shared: a job beside a busy one is slower, while one without memory dies.
const usedCPUMost = 90

func nodeOf(n cluster.Node, v *telemetry.View) Node {
	node := Node{Node: n}
	if v != nil {
		node.Used = v.Used(n.ID)
	}
	node.take(resource.Amount{})
	return node
}

// take reserves what a job needs. What is used already is not the job's use, so
// it only counts as far as it exceeds all that is reserved.
func (n *Node) take(need resource.Amount) {
	n.Reserved = n.Reserved.Add(need)
	n.Free = n.Capacity.Sub(n.Reserved.Max(n.counted()))
}

// counted is the use that keeps jobs away. CPU that others than jobs use is never
// given back by waiting for a job's end, so on a worker without jobs it does not
// count; with jobs, it leaves room for small ones.
func (n *Node) counted() resource.Amount {
	used := n.Used
	used.CPU = min(used.CPU, n.Capacity.CPU*usedCPUMost/100)
	if n.Reserved.CPU == 0 {
		used.CPU = 0
	}
	return used
}

func reportedOffset(v *telemetry.View) uint64 {
	if v == nil {
		return 0
	}
	return v.Offset
}

// Class is what the filters and scorers look at: what jobs ask for.
type Class = queue.Demand
