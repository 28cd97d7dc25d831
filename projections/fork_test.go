package projections_test

import (
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections/worldtest"
)

// Many fork one World at once and go on from it, while others read it: each has
// what follows from the log, and the World stays as it is. The race detector sees
// what the digests don't.
func TestForksAtOnce(t *testing.T) {
	h := worldtest.NewHistory(random{rand.New(rand.NewPCG(3, 3))})
	for range 600 {
		h.Step()
	}
	at := h.Head() / 2
	source := h.WorldAt(at)
	before, shown := source.Digest(), dump(source)
	const forks = 8
	var all sync.WaitGroup
	for n := range eventstore.Position(forks) {
		all.Go(func() {
			for range 5 {
				w := source.Fork()
				to := at + (h.Head()-at)*(n+1)/forks
				h.Apply(w, to)
				if w.Digest() != h.WorldAt(to).Digest() {
					t.Errorf("a fork at #%d is not what follows from the log", to)
				}
			}
		})
		all.Go(func() {
			for range 5 {
				if source.Digest() != before {
					t.Error("a World has changed while it was forked")
				}
				if now := dump(source); len(now) != len(shown) {
					t.Errorf("a World shows %d rows, it showed %d", len(now), len(shown))
				}
			}
		})
	}
	all.Wait()
}
