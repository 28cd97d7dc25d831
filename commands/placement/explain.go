package placement

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/resource"
	"github.com/hodei-jobs/hodei/projections/queue"
)

// Why says why jobs wait.
type Why struct {
	Code    Reason
	Brief   string // a clause for tables: 3 workers fit, none free
	Summary string // one or two sentences
	Help    string // what would help

	Fit     int       // workers that could take the job if they were empty
	Workers []Verdict // every worker that can't take it now, by id
	Place   int       // from 1, in its class; only of a job
	Of      int       // how many wait in the class
}

// Verdict is why one worker can't take a job.
type Verdict struct {
	Worker id.ID
	Name   string
	Reason Reason
	Lacks  string // such as 2 CPU, or gpu is a10
	Free   resource.Amount
}

// Explain says why the jobs of a class wait. It uses the filters that the plan
// uses, on all workers.
func Explain(in Input, c queue.Class) Why {
	var w Why
	var online, roomy int
	for n := range in.Cluster.Nodes() {
		if n.Gone {
			continue
		}
		node := nodeOf(n, in.Telemetry)
		if n.Connected {
			online++
		}
		why, refused := refusal(standing, c.Demand, &node)
		if !refused {
			w.Fit++
			why, refused = refusal(momentary, c.Demand, &node)
		}
		if !refused {
			roomy++
			continue
		}
		w.Workers = append(w.Workers, Verdict{n.ID, n.Name, why, lacks(c.Demand, &node, why), node.Free})
	}
	switch {
	case c.Paused:
		w.Code = Paused
		w.paused(c.Namespace)
	case online == 0:
		w.Code = NoWorker
		w.noWorker()
	case roomy > 0:
		w.Code = Next
		w.next()
	case w.Fit > 0:
		w.Code = Busy
		w.busy()
	default:
		w.unfit(in, c.Demand)
	}
	return w
}

// ExplainJob says why a waiting job waits. It also counts its place.
func ExplainJob(in Input, e queue.Entry) Why {
	c, _ := in.Queue.Class(e.Class)
	return Explain(in, c).ForJob(in, e)
}

// ForJob returns what is said of a class as it is said of one of its jobs: with
// its place.
func (w Why) ForJob(in Input, e queue.Entry) Why {
	c, _ := in.Queue.Class(e.Class)
	w.place(in.Queue.Place(e)+1, c.Waiting)
	return w
}

// ExplainBackoff says why a job whose retry isn't due waits. Times are in ns.
func ExplainBackoff(g queue.Gated, now int64) Why {
	w := Why{Code: Backoff}
	w.backoff(g.Attempt, g.Due, now)
	return w
}

// unfit explains why no worker could take the job even if all were empty: those
// that could take no jobs at all, or none is large enough, or none matches.
func (w *Why) unfit(in Input, c Class) {
	var kept, small []Node
	nearest, misses := Node{}, -1
	for n := range in.Cluster.Nodes() {
		node := Node{Node: n}
		if !n.Connected || n.Gone {
			continue
		}
		if _, ok := matches(c, &node); !ok {
			if m := missing(c, &node); misses < 0 || m < misses {
				nearest, misses = node, m
			}
			continue
		}
		if _, ok := largeEnough(c, &node); !ok {
			small = append(small, node)
			continue
		}
		kept = append(kept, node)
	}
	switch {
	case len(kept) > 0:
		w.Code = NoMatch
		why, _ := takesJobs(c, &kept[0])
		w.kept(kept[0].Name, why, len(kept)-1)
	case len(small) > 0:
		w.Code = TooLarge
		largest, dimension := largestOf(small, slot(c.Need))
		w.tooLarge(dimension, quantity(slot(c.Need), dimension), quantity(largest.Capacity, dimension), largest.Name)
	default:
		w.Code = NoMatch
		w.noMatch(c, nearest.Name, unmet(c, &nearest))
	}
}

// largestOf returns the dimension that keeps the need off all workers, if there
// is one, and the worker that has most of it.
func largestOf(small []Node, need resource.Amount) (Node, string) {
	for _, d := range []string{resource.DimensionCPU, resource.DimensionMemory, resource.DimensionDisk} {
		largest := slices.MaxFunc(small, func(a, b Node) int {
			return cmp.Compare(a.Capacity.Dimension(d), b.Capacity.Dimension(d))
		})
		if largest.Capacity.Dimension(d) < need.Dimension(d) {
			return largest, d
		}
	}
	dimension, _ := need.Fits(small[0].Capacity)
	return small[0], dimension
}

// lacks says in a few words what a worker would need to take the job.
func lacks(c Class, n *Node, why Reason) string {
	switch why {
	case NoMatch:
		return unmet(c, n)
	case TooLarge:
		return shortage(slot(c.Need), n.Capacity)
	case Busy:
		return shortage(slot(c.Need), n.Free)
	}
	return string(why)
}

func shortage(need, has resource.Amount) string {
	return need.Sub(has).String()
}

// unmet names the first thing the worker doesn't match.
func unmet(c Class, n *Node) string {
	if c.Pool != n.Pool {
		if n.Pool == "" {
			return "it is in no pool"
		}
		return "it is in pool " + n.Pool
	}
	for _, want := range c.Requires {
		have, ok := label(n, want.Key)
		if !ok {
			return "it has no label " + want.Key
		}
		if have != want.Value {
			return fmt.Sprintf("%s is %s", want.Key, have)
		}
	}
	return ""
}

// missing counts what the worker doesn't match.
func missing(c Class, n *Node) (count int) {
	if c.Pool != n.Pool {
		count++
	}
	for _, want := range c.Requires {
		if have, ok := label(n, want.Key); !ok || have != want.Value {
			count++
		}
	}
	return count
}
