package placement

import (
	"github.com/hodei-jobs/hodei/aggregates/resource"
)

// filter says whether a worker can take a job of a class, and if not, why.
type filter func(Class, *Node) (Reason, bool)

// The filters in the order in which they are asked. What can't change while a
// worker is up comes before what can, so that the first refusal is the one that
// would help most if it were gone.
var (
	standing  = []filter{online, takesJobs, matches, largeEnough}
	momentary = []filter{hasRoom}
)

func online(_ Class, n *Node) (Reason, bool) { return Offline, n.Connected }

func takesJobs(_ Class, n *Node) (Reason, bool) {
	if n.Draining {
		return Draining, false
	}
	return Cordoned, !n.Cordoned
}

// matches asks for the pool, where none means a worker that is in none, and for
// every label. The keys os and arch are the
// worker's own, whatever labels it has.
func matches(c Class, n *Node) (Reason, bool) {
	if c.Pool != n.Pool {
		return NoMatch, false
	}
	for _, want := range c.Requires {
		if have, ok := label(n, want.Key); !ok || have != want.Value {
			return NoMatch, false
		}
	}
	return "", true
}

// Reserved label keys.
const (
	labelOS   = "os"
	labelArch = "arch"
)

func label(n *Node, key string) (value string, ok bool) {
	switch key {
	case labelOS:
		return n.OS, true
	case labelArch:
		return n.Arch, true
	}
	return n.Labels.Get(key)
}

func largeEnough(c Class, n *Node) (Reason, bool) {
	_, ok := slot(c.Need).Fits(n.Capacity)
	return TooLarge, ok
}

func hasRoom(c Class, n *Node) (Reason, bool) {
	_, ok := slot(c.Need).Fits(n.Free)
	return Busy, ok
}

// slot is the room a job must find: at least one thousandth of a CPU, so that a
// worker without free CPU takes none and needn't be looked at.
func slot(need resource.Amount) resource.Amount {
	need.CPU = max(need.CPU, 1)
	return need
}

// refusal returns the first reason of the filters against the worker.
func refusal(filters []filter, c Class, n *Node) (Reason, bool) {
	for _, f := range filters {
		if why, ok := f(c, n); !ok {
			return why, true
		}
	}
	return "", false
}
