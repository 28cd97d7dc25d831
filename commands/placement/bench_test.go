package placement

import (
	"fmt"
	"testing"

	"github.com/hodei-jobs/hodei/aggregates/event"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/projections/worldtest"
)

// One job ends and the next is placed, on a full cluster with many that wait: the
// cost must not grow with those, whether they ask for different memory or for
// workers that are not there.
func BenchmarkPlan(b *testing.B) {
	for _, bench := range []struct{ workers, waiting, sizes, kinds int }{
		{10, 10_000, 1, 0}, {10, 100_000, 1, 0}, {10, 100_000, 100, 0}, {10, 100_000, 10_000, 0}, {1_000, 100_000, 100, 0},
		{1, 10_000, 1, 10_000}, {1, 100_000, 1, 100_000}, {1_000, 100_000, 1, 10_000},
	} {
		b.Run(fmt.Sprintf("workers=%d/waiting=%d/sizes=%d/kinds=%d", bench.workers, bench.waiting, bench.sizes, bench.kinds), func(b *testing.B) {
			l := worldtest.New()
			for i := range bench.workers {
				w := event.WorkerStream(id.ID(1 + i))
				l.Add(w, &eventv1.WorkerRegistered{PublicKey: make([]byte, 32), Facts: &eventv1.WorkerFacts{
					Name: w, Os: "linux", Arch: "amd64", Capacity: &eventv1.Resources{CpuMilli: 3200, MemoryBytes: 1 << 40},
				}}, &eventv1.WorkerConnected{Epoch: 1, Instance: []byte{1}})
			}
			for i := range bench.waiting {
				submitted := &eventv1.JobSubmitted{
					Namespace: "default", Name: "job", Steps: 1, Spec: []byte("{}"),
					Resources: &eventv1.Resources{CpuMilli: 100, MemoryBytes: uint64(i % bench.sizes)},
				}
				if bench.kinds > 0 && i%2 == 0 {
					submitted.Requires = []*eventv1.Pair{{Key: "kind", Value: fmt.Sprint(i % bench.kinds)}, {Key: "os", Value: "linux"}}
				}
				l.Add(event.JobStream(id.ID(100_000+i)), submitted)
			}
			benchmarkPlan(b, l)
		})
	}
}

func benchmarkPlan(b *testing.B, l *worldtest.Log) {
	w := l.World()
	var memory Memory
	var live []Binding
	pass := func() {
		in := Input{Position: w.Position, Queue: w.Queue, Cluster: w.Cluster, Settings: w.Settings}
		var bound []Binding
		bound, memory = Plan(memory, in)
		for _, bind := range bound {
			l.Add(event.JobStream(bind.Job), &eventv1.JobBound{Attempt: bind.Attempt, WorkerId: bind.Worker.String()})
		}
		live = append(live, bound...)
		l.Apply(w, l.Head())
	}
	for waiting := -1; waiting != w.Queue.Waiting(); {
		waiting = w.Queue.Waiting()
		pass()
	}
	for b.Loop() {
		b.StopTimer()
		done := live[0]
		live = live[1:]
		l.Add(event.JobStream(done.Job), &eventv1.JobCancelRequested{}, &eventv1.JobCancelled{Attempt: done.Attempt})
		l.Apply(w, l.Head())
		b.StartTimer()
		pass()
	}
}
