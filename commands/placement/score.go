package placement

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
	left := n.Capacity.Sub(n.Reserved.Add(c.Need).Max(n.Used))
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
