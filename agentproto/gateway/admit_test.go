package gateway

import (
	"container/heap"
	"testing"
	"time"
)

// arrival is the moment at which an agent comes.
type arrival struct {
	at    time.Duration
	agent int
}

// arrivals are those to come, the next one first.
type arrivals []arrival

func (a arrivals) Len() int           { return len(a) }
func (a arrivals) Less(i, j int) bool { return a[i].at < a[j].at }
func (a arrivals) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *arrivals) Push(x any)        { *a = append(*a, x.(arrival)) }
func (a *arrivals) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

const tolerance = 30 * time.Second

// TestAdmission: agents that all come within a moment, and come back when they are
// told, are let in evenly, and none is silent for the tolerance meanwhile: each try
// is a sign of life, if the server gets to see it.
func TestAdmission(t *testing.T) {
	for _, test := range []struct {
		name   string
		agents int
		within time.Duration // of which they first come
		sees   int           // handshakes that the server does a second, 0 is any number
		last   time.Duration // by when all must be in
	}{
		{"a few are let in at once", 50, 0, 0, 0},
		{"a thousand at once are in within 6 s", 1000, 0, 0, 6 * time.Second},
		{"a thousand within 4 s, as their own jitter spreads them, too", 1000, 4 * time.Second, 0, 7 * time.Second},
		{"ten thousand at once are in within half the tolerance", 10_000, 0, 0, tolerance / 2},
		{"ten thousand on a small machine", 10_000, 4 * time.Second, 1000, tolerance},
		{"ten thousand on a very small machine, which takes longer", 10_000, 4 * time.Second, 500, tolerance},
		{"more than a server lets in within the tolerance", 80_000, 4 * time.Second, 6000, 2 * tolerance},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := herd{admission: newAdmission(defaultAdmitBurst), sees: test.sees, heard: make([]time.Duration, test.agents)}
			for i := range test.agents {
				h.coming = append(h.coming, arrival{test.within * time.Duration(i) / time.Duration(test.agents), i})
			}
			h.comeBack()
			last := h.in[len(h.in)-1]
			t.Logf("the last one is in after %v, the longest silence was %v, %d tries", last, h.silent, h.tries)
			if last > test.last {
				t.Errorf("the last one is in after %v", last)
			}
			if h.silent >= tolerance {
				t.Errorf("one was silent for %v", h.silent)
			}
			if h.tries > 5*test.agents {
				t.Errorf("%d agents tried %d times", test.agents, h.tries)
			}
			peak := peakWithin(h.in, time.Second)
			if mean := float64(len(h.in)) / max(1, last.Seconds()); float64(peak) > 3*mean {
				t.Errorf("%d within a second, the mean is %.0f", peak, mean)
			}
		})
	}
}

// herd are agents that lost their server at once.
type herd struct {
	*admission
	sees   int
	coming arrivals
	heard  []time.Duration // by agent: its last sign of life

	in     []time.Duration // when each was let in
	tries  int
	silent time.Duration // the longest silence of any
}

// comeBack has all agents come back, as the gateway lets them.
func (h *herd) comeBack() {
	heap.Init(&h.coming)
	began := time.Unix(1_000_000, 0)
	var free time.Duration // when the server gets to the next
	for len(h.coming) > 0 {
		next := heap.Pop(&h.coming).(arrival)
		if h.sees > 0 {
			next.at = max(next.at, free)
			free = next.at + time.Second/time.Duration(h.sees)
		}
		h.tries++
		h.silent = max(h.silent, next.at-h.heard[next.agent])
		h.heard[next.agent] = next.at
		wait, ok := h.try(began.Add(next.at), knownRate(defaultAdmitRate, len(h.heard), tolerance))
		if ok {
			h.in = append(h.in, next.at)
			continue
		}
		next.at += min(wait, tolerance/2)
		heap.Push(&h.coming, next)
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
	a, now := newAdmission(10), time.Unix(1, 0)
	for range 100_000 {
		if wait, ok := a.try(now, 100); !ok && wait > longestWait {
			t.Fatalf("an agent is to come back in %v", wait)
		}
	}
}
