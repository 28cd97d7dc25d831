package simulate

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/commands"
	"github.com/hodei-jobs/hodei/projections"
)

// fillBatch is how many jobs Fill submits in one call.
const fillBatch = 512

var user = commands.Caller{Actor: "simulated", Source: "api"}

// Rate is how often something was done in a time.
type Rate struct {
	Count   int
	Took    time.Duration
	Latency Latency // of each; empty if it was not measured
}

// PerSecond returns how often it was done in a second.
func (r Rate) PerSecond() float64 { return float64(r.Count) / r.Took.Seconds() }

// String returns the rate, and latencies if there are any.
func (r Rate) String() string {
	if len(r.Latency) == 0 {
		return fmt.Sprintf("%.0f/s", r.PerSecond())
	}
	return fmt.Sprintf("%.0f/s, p50 %s, p99 %s", r.PerSecond(), r.Latency.At(50), r.Latency.At(99))
}

// Latency is how long each of something took, ascending.
type Latency []time.Duration

// At returns what percent of them took at most; 0 if there are none.
func (l Latency) At(percent int) time.Duration {
	if len(l) == 0 {
		return 0
	}
	return l[min(len(l)*percent/100, len(l)-1)].Round(time.Microsecond)
}

// Submit has callers submit jobs one by one, all together count of them.
func Submit(ctx context.Context, c *commands.Service, s spec.Spec, callers, count int) (Rate, error) {
	latency := make(Latency, count)
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	begun := time.Now()
	for range callers {
		group.Go(func() error {
			for n := next.Add(1) - 1; n < int64(count); n = next.Add(1) - 1 {
				sent := time.Now()
				if done := c.SubmitJobs(ctx, user, []commands.Submission{{Spec: s}})[0]; done.Err != nil {
					return done.Err
				}
				latency[n] = time.Since(sent)
			}
			return nil
		})
	}
	err := group.Wait()
	took := time.Since(begun)
	slices.Sort(latency)
	return Rate{count, took, latency}, err
}

// Fill submits count jobs in batches, taking turns among the specs.
func Fill(ctx context.Context, c *commands.Service, specs []spec.Spec, count int) (Rate, error) {
	begun := time.Now()
	for sent := 0; sent < count; {
		batch := make([]commands.Submission, min(fillBatch, count-sent))
		for i := range batch {
			batch[i].Spec = specs[(sent+i)%len(specs)]
		}
		for _, done := range c.SubmitJobs(ctx, user, batch) {
			if done.Err != nil {
				return Rate{}, done.Err
			}
		}
		sent += len(batch)
	}
	return Rate{Count: count, Took: time.Since(begun)}, nil
}

// Whole has callers submit count jobs while agents work, until as many have
// succeeded: whole lives, at the cost of a submission each. Jobs that waited
// before come first.
func Whole(ctx context.Context, c *commands.Service, runner *projections.Runner, s spec.Spec, callers, count int) (Rate, error) {
	group, ctx := errgroup.WithContext(ctx)
	var lives Rate
	group.Go(func() (err error) {
		lives, err = Lives(ctx, runner, count)
		return err
	})
	group.Go(func() error {
		_, err := Submit(ctx, c, s, callers, count)
		return err
	})
	return lives, group.Wait()
}

// Lives counts the jobs that succeed until count more have, or ctx ends.
func Lives(ctx context.Context, runner *projections.Runner, count int) (Rate, error) {
	world, next := runner.Wait()
	before := world.Jobs.Counts()[job.Succeeded]
	begun := time.Now()
	for {
		if lived := world.Jobs.Counts()[job.Succeeded] - before; lived >= uint64(count) {
			return Rate{Count: int(lived), Took: time.Since(begun)}, nil
		}
		select {
		case <-next:
			world, next = runner.Wait()
		case <-ctx.Done():
			return Rate{}, ctx.Err()
		}
	}
}

// Starts measures from a submission to the durable permission to start, one job
// after the other on an idle cluster. Started is what its agents report to.
func Starts(ctx context.Context, c *commands.Service, s spec.Spec, started <-chan id.ID, count int) (Rate, error) {
	latency := make(Latency, 0, count)
	begun := time.Now()
	for range count {
		sent := time.Now()
		done := c.SubmitJobs(ctx, user, []commands.Submission{{Spec: s}})[0]
		if done.Err != nil {
			return Rate{}, done.Err
		}
		for who := id.ID(0); who != done.ID; {
			select {
			case who = <-started:
			case <-ctx.Done():
				return Rate{}, ctx.Err()
			}
		}
		latency = append(latency, time.Since(sent))
	}
	took := time.Since(begun)
	slices.Sort(latency)
	return Rate{count, took, latency}, nil
}
