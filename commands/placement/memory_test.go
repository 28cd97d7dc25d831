package placement

import (
	"fmt"
	"testing"

	"github.com/hodei-jobs/hodei/aggregates/event"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections"
	"github.com/hodei-jobs/hodei/projections/worldtest"
)

// Classes that no worker ever fits come and go: no gain wakes them, so only a look
// at everything finds out that they are gone.
func TestClassesThatAreGoneAreForgotten(t *testing.T) {
	const rounds, each = 20, 300
	l, w := worldtest.New(), projections.NewWorld()
	var memory Memory
	for round := range rounds {
		for i := range each {
			l.Add(event.JobStream(id.ID(1000+round*each+i)), &eventv1.JobSubmitted{
				Namespace: "a", Name: "job", Steps: 1, Spec: []byte("{}"),
				Requires: []*eventv1.Pair{{Key: "ticket", Value: fmt.Sprintf("%d-%d", round, i)}},
			})
		}
		plan := func() {
			l.Apply(w, l.Head())
			_, memory = Plan(memory, Input{Position: w.Position, Queue: w.Queue, Cluster: w.Cluster, Settings: w.Settings})
		}
		plan()
		if memory.Waiting() < each {
			t.Fatalf("%d classes are known of %d that wait", memory.Waiting(), each)
		}
		for i := range each {
			l.Add(event.JobStream(id.ID(1000+round*each+i)), &eventv1.JobCancelRequested{}, &eventv1.JobCancelled{})
		}
		plan()
	}
	if n := memory.Waiting(); n > rounds*each/3 {
		t.Errorf("%d classes are known, of %d that are all gone", n, rounds*each)
	}
	memory.checkAnchors(t.Fatalf)
}

// checkAnchors fails unless the anchors hold what the known classes ask for, and
// no more.
func (m Memory) checkAnchors(fail func(format string, args ...any)) {
	classes, shapes := make(map[string]int), make(map[string]int)
	m.byName.Scan(func(_ eventstore.Position, s sleeper) bool {
		if s.shape == "" {
			return true
		}
		if classes[s.shape]++; classes[s.shape] == 1 {
			shapes[s.anchor]++
		}
		return true
	})
	if m.anchors.shapes.Len() != len(classes) || m.anchors.counts.Len() != len(shapes) {
		fail("%d shapes hang at %d anchors, of %d shapes at %d", m.anchors.shapes.Len(), m.anchors.counts.Len(), len(classes), len(shapes))
	}
	m.anchors.shapes.Scan(func(shape string, h hung) bool {
		if h.classes != classes[shape] {
			fail("%q hangs for %d classes, there are %d", shape, h.classes, classes[shape])
		}
		return true
	})
	m.anchors.counts.Scan(func(anchor string, n int) bool {
		if n != shapes[anchor] {
			fail("%d shapes are counted at %q, there are %d", n, anchor, shapes[anchor])
		}
		return true
	})
}
