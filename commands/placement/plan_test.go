package placement

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hodei-jobs/hodei/aggregates/event"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/resource"
	"github.com/hodei-jobs/hodei/projections"
	"github.com/hodei-jobs/hodei/projections/queue"
	"github.com/hodei-jobs/hodei/projections/telemetry"
	"github.com/hodei-jobs/hodei/projections/worldtest"
)

// A plan with memory binds, pass by pass through any history, what one binds that
// looks at everything each time. It gives away no more than there is, and leaves
// no job waiting that fits.
func TestMemoryChangesNothingButTheWork(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHistory(t)
		var memory Memory
		for range rapid.IntRange(1, 60).Draw(t, "passes") {
			for range rapid.IntRange(0, 6).Draw(t, "events") {
				h.step()
			}
			in := h.input(rapid.SampledFrom([]int{0, 0, 1, 3}).Draw(t, "limit"))
			want := naive(in)
			got, next := Plan(memory, in)
			if a, b := lines(got), lines(want); !slices.Equal(a, b) {
				h.tell()
				t.Fatalf("at #%d with memory of #%d\n got %q\nwant %q", in.Position, memory.position, a, b)
			}
			if again, _ := Plan(memory, in); !slices.Equal(lines(again), lines(got)) {
				t.Fatalf("the same input gave %q, then %q", lines(got), lines(again))
			}
			fresh, _ := Plan(Memory{}, in)
			if !slices.Equal(lines(fresh), lines(got)) {
				t.Fatalf("without memory %q, with it %q", lines(fresh), lines(got))
			}
			next.checkAnchors(t.Fatalf)
			memory = next.Returned(h.bind(got)...)
			h.checkRoom()
		}
	})
}

// naive plans by looking at every class and every worker for each job.
func naive(in Input) []Binding {
	var nodes []Node
	for n := range in.Cluster.Nodes() {
		nodes = append(nodes, nodeOf(n, in.Telemetry))
	}
	limit := in.Limit
	if limit == 0 {
		limit = MaxBindings
	}
	taken := make(map[id.ID]bool)
	var bound []Binding
	for len(bound) < limit {
		entry, demand, node := naiveNext(in, nodes, taken)
		if node == nil {
			break
		}
		taken[entry.ID] = true
		node.take(demand.Need)
		bound = append(bound, Binding{Job: entry.ID, Attempt: entry.Attempt, Worker: node.ID})
	}
	return bound
}

func naiveNext(in Input, nodes []Node, taken map[id.ID]bool) (first queue.Entry, demand Class, best *Node) {
	for c := range in.Queue.Classes() {
		if c.Paused {
			continue
		}
		for e := range in.Queue.Entries(c.Origin) {
			if taken[e.ID] {
				continue
			}
			later := best != nil && (e.Key > first.Key || e.Key == first.Key && e.Class > first.Class)
			if n := naiveBest(in, c.Demand, nodes); n != nil && !later {
				first, demand, best = e, c.Demand, n
			}
			break
		}
	}
	return first, demand, best
}

func naiveBest(in Input, c Class, nodes []Node) (best *Node) {
	score := scorerOf(in.Settings.Policy)
	for i := range nodes {
		n := &nodes[i]
		if _, refused := refusal(slices.Concat(standing, momentary), c, n); refused {
			continue
		}
		if best == nil || score(c, n) > score(c, best) {
			best = n
		}
	}
	return best
}

func lines(bindings []Binding) []string {
	out := make([]string, len(bindings))
	for i, b := range bindings {
		out[i] = fmt.Sprintf("%s/%d on %s", b.Job, b.Attempt, b.Worker)
	}
	return out
}

// history is a random cluster: jobs come, are placed as planned, end; workers
// come, go, grow; namespaces are paused.
type history struct {
	*worldtest.Log
	t         *rapid.T
	world     *projections.World
	telemetry *telemetry.Table

	pending []id.ID
	running map[id.ID]id.ID // job → worker
	order   []id.ID         // of running
	workers []id.ID
	next    id.ID
}

func newHistory(t *rapid.T) *history {
	return &history{
		Log: worldtest.New(), t: t, world: projections.NewWorld(), telemetry: telemetry.New(),
		running: make(map[id.ID]id.ID), next: 100,
	}
}

func (h *history) pick(n int) int { return rapid.IntRange(0, n-1).Draw(h.t, "pick") }

func (h *history) step() {
	h.Now += int64(h.pick(3)) * int64(time.Second)
	switch n := h.pick(16); {
	case n < 6:
		h.submit()
	case n < 9:
		h.end()
	case n == 9:
		h.cancel()
	case n == 10:
		h.pause()
	case n == 11:
		h.report()
	default:
		h.worker()
	}
	h.Apply(h.world, h.Head())
}

func (h *history) submit() {
	h.next++
	h.pending = append(h.pending, h.next)
	need := &eventv1.Resources{CpuMilli: uint64(h.pick(4)) * 500, MemoryBytes: uint64(h.pick(3)) << 30}
	submitted := &eventv1.JobSubmitted{
		Namespace: []string{"a", "b"}[h.pick(2)], Name: "job", Resources: need,
		Priority: int32(h.pick(3) - 1), Steps: 1, Spec: []byte("{}"),
	}
	if h.pick(4) == 0 {
		submitted.Requires = []*eventv1.Pair{{Key: "gpu", Value: "a10"}}
	}
	if h.pick(6) == 0 {
		submitted.Pool = "big"
	}
	h.Add(event.JobStream(h.next), submitted)
}

func (h *history) end() {
	if len(h.order) == 0 {
		return
	}
	at := h.pick(len(h.order))
	job := h.order[at]
	h.order = slices.Delete(h.order, at, at+1)
	row, _ := h.world.Jobs.ByID(job)
	worker := h.running[job].String()
	if h.pick(3) == 0 {
		h.Add(event.JobStream(job), &eventv1.JobRequeued{Attempt: row.Attempt + 1, Cause: "not_started"})
		h.pending = append(h.pending, job)
		return
	}
	h.Add(event.JobStream(job), &eventv1.JobStarted{Attempt: row.Attempt, WorkerId: worker},
		&eventv1.JobSucceeded{Attempt: row.Attempt, WorkerId: worker})
}

func (h *history) cancel() {
	if len(h.pending) == 0 {
		return
	}
	at := h.pick(len(h.pending))
	h.Add(event.JobStream(h.pending[at]), &eventv1.JobCancelRequested{}, &eventv1.JobCancelled{})
	h.pending = slices.Delete(h.pending, at, at+1)
}

func (h *history) pause() {
	stream := event.NamespaceStream([]string{"a", "b"}[h.pick(2)])
	if h.pick(2) == 0 {
		h.Add(stream, &eventv1.NamespacePaused{})
	} else {
		h.Add(stream, &eventv1.NamespaceResumed{})
	}
}

func (h *history) report() {
	if len(h.workers) == 0 {
		return
	}
	h.telemetry.Report(h.workers[h.pick(len(h.workers))], h.Now, telemetry.Sample{
		CPU: telemetry.Measured(uint64(h.pick(4)) * 700), Memory: telemetry.Measured(uint64(h.pick(3)) << 29),
	})
}

func (h *history) worker() {
	if len(h.workers) < 4 && h.pick(2) == 0 {
		i := id.ID(1 + len(h.workers))
		h.workers = append(h.workers, i)
		h.Add(event.WorkerStream(i), &eventv1.WorkerRegistered{
			Facts: h.facts(), PublicKey: make([]byte, 32), Pool: []string{"", "", "big"}[h.pick(3)],
		}, &eventv1.WorkerConnected{Epoch: 1, Instance: []byte{1}})
		return
	}
	if len(h.workers) == 0 {
		return
	}
	i := h.workers[h.pick(len(h.workers))]
	row, _ := h.world.Workers.Get(i)
	stream := event.WorkerStream(i)
	switch h.pick(6) {
	case 0:
		h.Add(stream, &eventv1.WorkerDisconnected{Epoch: row.Epoch, Reason: "closed"})
	case 1, 2:
		h.Add(stream, &eventv1.WorkerConnected{Epoch: row.Epoch + 1, Instance: []byte{1}, Facts: h.facts()})
	case 3:
		h.Add(stream, &eventv1.WorkerCordoned{})
	default:
		h.Add(stream, &eventv1.WorkerUncordoned{})
	}
}

func (h *history) facts() *eventv1.WorkerFacts {
	f := &eventv1.WorkerFacts{
		Name: "atlas", Os: "linux", Arch: "amd64", Version: "1",
		Capacity: &eventv1.Resources{CpuMilli: uint64(1+h.pick(4)) * 1000, MemoryBytes: uint64(h.pick(5)) << 30},
	}
	if h.pick(3) == 0 {
		f.Labels = []*eventv1.Pair{{Key: "gpu", Value: "a10"}}
	}
	return f
}

func (h *history) input(limit int) Input {
	w := h.world
	return Input{
		Position: w.Position, Queue: w.Queue, Cluster: w.Cluster,
		Settings: w.Settings, Telemetry: h.telemetry.View(), Limit: limit,
	}
}

// bind records the bindings, but for some that a cancellation overtakes, and
// returns the workers of those.
func (h *history) bind(bindings []Binding) (returned []id.ID) {
	for _, b := range bindings {
		at := slices.Index(h.pending, b.Job)
		if at < 0 {
			h.t.Fatalf("%s was bound and does not wait", b.Job)
		}
		h.pending = slices.Delete(h.pending, at, at+1)
		if h.pick(8) == 0 {
			h.Add(event.JobStream(b.Job), &eventv1.JobCancelRequested{}, &eventv1.JobCancelled{})
			returned = append(returned, b.Worker)
			continue
		}
		h.Add(event.JobStream(b.Job), &eventv1.JobBound{Attempt: b.Attempt, WorkerId: b.Worker.String(), Decision: b.Decision})
		h.running[b.Job] = b.Worker
		h.order = append(h.order, b.Job)
	}
	h.Apply(h.world, h.Head())
	return returned
}

// checkRoom fails if a worker's attempts need more than it ever had since they
// came: only a worker that has shrunk may be over its capacity.
func (h *history) checkRoom() {
	for n := range h.world.Cluster.Nodes() {
		var sum resource.Amount
		for a := range h.world.Cluster.Attempts(n.ID, 0) {
			sum = sum.Add(a.Need)
		}
		if sum != n.Reserved {
			h.t.Fatalf("%s has %s reserved, its attempts need %s", n.ID, n.Reserved, sum)
		}
	}
}

// tell writes down what happened last.
func (h *history) tell() {
	const last = 12
	for _, r := range h.Records[max(0, len(h.Records)-last):] {
		if m, err := event.Decode(r.Type, r.Data); err == nil {
			h.t.Logf("#%d %s %s", r.Position, r.Stream, event.Describe(m))
		}
	}
}
