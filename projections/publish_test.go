package projections

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/eventstore"
)

// Of who gave up waiting nothing stays, whoever waits for more or less; who waits
// when nothing more will come is told so.
func TestWhoWaitsForAWorld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p publisher
		p.publish(NewWorld())
		wait := func(ctx context.Context, position eventstore.Position) chan error {
			answer := make(chan error, 1)
			go func() { answer <- p.WaitFor(ctx, position) }()
			synctest.Wait()
			return answer
		}
		expect := func(waiting int) {
			t.Helper()
			synctest.Wait()
			p.mu.Lock()
			defer p.mu.Unlock()
			if n := len(p.waiters); n != waiting {
				t.Errorf("%d are remembered, %d wait", n, waiting)
			}
		}
		impatient, giveUp := context.WithCancel(t.Context())
		stays, beyond := wait(t.Context(), 7), wait(t.Context(), 8)
		var left []chan error
		for _, position := range []eventstore.Position{5, 9, 7, 5} {
			left = append(left, wait(impatient, position))
		}
		expect(6)
		giveUp()
		for _, l := range left {
			if err := <-l; err != context.Canceled {
				t.Errorf("who gave up got %v", err)
			}
		}
		expect(2)
		w := NewWorld()
		w.Position = 7
		p.publish(w)
		if err := <-stays; err != nil {
			t.Errorf("the World includes #7, who waited for it got %v", err)
		}
		expect(1)
		if w, err := p.register(7); w != nil || err != nil { // it was published just before
			t.Errorf("who comes to wait for what is there already waits: %v, %v", w, err)
		}
		p.stop()
		if err := <-beyond; fault.KindOf(err) != fault.Unavailable {
			t.Errorf("no World will include #8, who waited for it got %v", err)
		}
		expect(0)
	})
}
