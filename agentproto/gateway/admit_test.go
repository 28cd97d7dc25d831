package gateway

import (
	"container/heap"
	"testing"
	"time"
)

// arrivals are the moments at which agents come, the next one first.
type arrivals []time.Duration

func (a arrivals) Len() int           { return len(a) }
func (a arrivals) Less(i, j int) bool { return a[i] < a[j] }
func (a arrivals) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *arrivals) Push(x any)        { *a = append(*a, x.(time.Duration)) }
func (a *arrivals) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

// TestAdmission: agents that all come within a moment, and come back when they are
// told, are let in evenly.
func TestAdmission(t *testing.T) {
	for _, test := range []struct {
		name   string
		agents int
		within time.Duration // of which they first come
		last   time.Duration // by when all must be in
	}{
		{"a few are let in at once", 50, 0, 0},
		{"a thousand at once are in within 6 s", 1000, 0, 6 * time.Second},
		{"a thousand within 4 s, as their own jitter spreads them, too", 1000, 4 * time.Second, 7 * time.Second},
		{"ten thousand at once are in within a minute", 10_000, 0, time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, began := newAdmission(defaultAdmitRate, defaultAdmitBurst), time.Unix(1_000_000, 0)
			var coming arrivals
			for i := range test.agents {
				heap.Push(&coming, test.within*time.Duration(i)/time.Duration(test.agents))
			}
			var in []time.Duration
			tries := 0
			for len(coming) > 0 {
				at := heap.Pop(&coming).(time.Duration)
				tries++
				if wait, ok := a.try(began.Add(at)); ok {
					in = append(in, at)
				} else {
					heap.Push(&coming, at+wait)
				}
			}
			last := in[len(in)-1]
			if last > test.last {
				t.Errorf("the last one is in after %v", last)
			}
			if tries > 3*test.agents {
				t.Errorf("%d agents tried %d times", test.agents, tries)
			}
			peak := peakWithin(in, time.Second)
			if mean := float64(len(in)) / max(1, last.Seconds()); float64(peak) > 3*mean {
				t.Errorf("%d within a second, the mean is %.0f", peak, mean)
			}
		})
	}
}

// peakWithin returns the most that came in within any span.
func peakWithin(in []time.Duration, span time.Duration) (peak int) {
	from := 0
	for i := range in {
		for in[i]-in[from] > span {
			from++
		}
		peak = max(peak, i-from+1)
	}
	return peak
}

// TestNobodyIsSentAwayForLong, however many have come before.
func TestNobodyIsSentAwayForLong(t *testing.T) {
	a, now := newAdmission(100, 10), time.Unix(1, 0)
	for range 100_000 {
		if wait, ok := a.try(now); !ok && wait > longestWait {
			t.Fatalf("an agent is to come back in %v", wait)
		}
	}
}
