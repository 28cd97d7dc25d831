package bench

import (
	"context"
	"time"

	"github.com/hodei-jobs/hodei/api/client"
)

const lookEvery = 20 * time.Millisecond // at how many jobs have ended

// realJobs measures trivial jobs on a real worker: as many at once as its CPUs
// allow for jobs of 100 thousandths.
func realJobs(ctx context.Context, r *Run) error {
	return r.withServer(ctx, "dev", func(c *child) error {
		if err := c.awaitWorker(ctx); err != nil {
			return err
		}
		const spec = `{"argv":["sh","-c","true"],"resources":{"cpu":"100m"}}`
		if err := c.runAll(ctx, 50, spec, 0); err != nil { // warms up
			return err
		}
		n := r.count(3000, 100)
		begun := time.Now()
		if err := c.runAll(ctx, n, spec, 50); err != nil {
			return err
		}
		r.Figures["jobs_per_s"] = perSecond(n, time.Since(begun))
		return nil
	})
}

func (c *child) awaitWorker(ctx context.Context) error {
	return poll(ctx, func() (bool, error) {
		page, err := c.client.Workers(ctx, "")
		if err != nil {
			return false, err
		}
		return len(page.Items) > 0 && page.Items[0].State == "online", nil
	})
}

// runAll submits n jobs and waits until they and those before have ended.
func (c *child) runAll(ctx context.Context, n int, spec string, before int) error {
	if err := c.fill(ctx, n, spec); err != nil {
		return err
	}
	return poll(ctx, func() (bool, error) {
		page, err := c.client.Jobs(ctx, client.JobsQuery{Limit: 1})
		if err != nil {
			return false, err
		}
		return page.Counts.Ended >= n+before, nil
	})
}

func poll(ctx context.Context, met func() (bool, error)) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		ok, err := met()
		if ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
