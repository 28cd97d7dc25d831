// Package bench measures what a server does on this machine, beside the
// machine's own floors in the same run: figures from different runs or machines
// can't be compared, ratios can.
package bench

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"
)

// Figures are what was measured, by name. Rates are per second, latencies in
// milliseconds, sizes in MB of 2^20 bytes.
type Figures map[string]float64

// Part is one thing that is measured.
type Part struct {
	Name string // given to --only
	What string // what it does, for people who wait
	run  func(context.Context, *Run) error
	with []string // parts that belong to it: who asks for it gets those too
}

// Parts are all parts, in the order they run.
var Parts = []Part{
	{"floors", "what the disk and the kernel can do", floors, nil},
	{"submit", "submissions by HTTP: 1 client, 64 clients, batches", submits, nil},
	{"start", "one job at a time over HTTP: from submission to its start", starts, nil},
	{"lives", "whole lives with simulated workers, an empty queue", lives, nil},
	{"lives1m", "the same with 1,000,000 jobs waiting", lives1m, nil},
	{"protocol", "whole lives over the worker protocol", protocol, nil},
	{"jobs", "trivial jobs on a real worker of this machine", realJobs, nil},
	{"logs", "output on its way from a job to a reader: single lines, beside a flood, 100 MB", logs, []string{"stream", "mask"}},
	{"stream", "a line's way through the server, from the gateway to a reader", stream, nil},
	{"mask", "masking 50 secrets in output, beside the bare filter", masking, nil},
	{"replay", "reading and rebuilding from 1,000,000 events", replay, nil},
	{"memory", "an idle server, and 100,000 jobs waiting", memory, nil},
}

// Names returns the names of all parts.
func Names() (out []string) {
	for _, p := range Parts {
		out = append(out, p.Name)
	}
	return out
}

// Config says how to measure.
type Config struct {
	Binary string                           // this program, for servers of their own
	Only   []string                         // parts; empty is all
	Scale  float64                          // of the counts; 1 is what the figures are quoted at
	Told   func(part Part, n, of int)       // before each part
	Done   func(part Part, d time.Duration) // after it
}

// Run is a measurement under way.
type Run struct {
	Config
	Figures Figures
}

// All measures and returns the figures. Its data is in a folder of its own, on
// the disk of the temporary folder, and removed at the end.
func All(ctx context.Context, c Config) (Figures, error) {
	r := &Run{Config: c, Figures: Figures{}}
	var parts []Part
	for _, p := range Parts {
		if len(c.Only) == 0 || c.asksFor(p.Name) {
			parts = append(parts, p)
		}
	}
	for i, p := range parts {
		c.Told(p, i+1, len(parts))
		begun := time.Now()
		if err := p.run(ctx, r); err != nil {
			return r.Figures, fmt.Errorf("cannot measure %s: %w", p.Name, err)
		}
		c.Done(p, time.Since(begun))
	}
	return r.Figures, nil
}

// asksFor reports whether Only names a part, or one to which it belongs.
func (c Config) asksFor(name string) bool {
	return slices.ContainsFunc(Parts, func(p Part) bool {
		return slices.Contains(c.Only, p.Name) && (p.Name == name || slices.Contains(p.with, name))
	})
}

// count scales a count, to at least least.
func (r *Run) count(n, least int) int { return max(int(float64(n)*r.Scale), least) }

// folder makes a folder that done removes.
func folder() (dir string, done func(), err error) {
	dir, err = os.MkdirTemp("", "hodei-bench-")
	return dir, func() { _ = os.RemoveAll(dir) }, err
}

// perSecond returns how many a second.
func perSecond(n int, d time.Duration) float64 { return float64(n) / d.Seconds() }

// milliseconds returns the value below which so many percent lie.
func milliseconds(all []time.Duration, percent int) float64 {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return float64(all[min(len(all)*percent/100, len(all)-1)].Microseconds()) / 1000
}
