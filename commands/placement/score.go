package placement

import (
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/resource"
	"github.com/hodei-jobs/hodei/projections/telemetry"
)

// Policies.
const (
	BinPack     = "binpack"     // fill a worker before the next, so that large jobs find room
	LeastLoaded = "leastloaded" // spread, so that each job has the most room beside it
)

// scorer says how well a class's job would be placed on a worker that can take
// it: higher is better, from 0 to 1.
type scorer func(Class, *Node) float64

// scorerOf returns the scorer of a policy; an unknown one packs.
func scorerOf(policy string) scorer {
	if policy == LeastLoaded {
		return emptiness
	}
	return fullness
}

// fullness is the mean share of CPU and memory that is taken once the job is
// there.
func fullness(c Class, n *Node) float64 {
	left := n.Free.Sub(slot(c.Need))
	return (taken(uint64(left.CPU), uint64(n.Capacity.CPU)) + taken(uint64(left.Memory), uint64(n.Capacity.Memory))) / 2
}

func emptiness(c Class, n *Node) float64 { return 1 - fullness(c, n) }

// taken is 1 for a worker that has none of it: there is nothing left to keep free.
func taken(left, capacity uint64) float64 {
	if capacity == 0 {
		return 1
	}
	return 1 - float64(left)/float64(capacity)
}

// free is the room a worker has: its capacity less the greater of what is
// reserved and what was reported as used. Disk isn't reported.
func free(capacity, reserved, used resource.Amount) resource.Amount {
	used.CPU = max(used.CPU, reserved.CPU)
	used.Memory = max(used.Memory, reserved.Memory)
	used.Disk = max(used.Disk, reserved.Disk)
	return capacity.Sub(used)
}

// used is what was reported of a worker.
func used(v *telemetry.View, worker id.ID) resource.Amount {
	if v == nil {
		return resource.Amount{}
	}
	return v.Used(worker)
}

func reportedOffset(v *telemetry.View) uint64 {
	if v == nil {
		return 0
	}
	return v.Offset
}
