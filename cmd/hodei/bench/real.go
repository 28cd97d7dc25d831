package bench

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/wire"
)

const (
	lookEvery = 20 * time.Millisecond // at how many jobs have ended

	trivialJSON = `{"argv":["sh","-c","true"],"resources":{"cpu":"100m"}}`
)

// starts measures one job at a time on an idle server with a worker of this
// machine, as a user sees it: from sending the request to hearing, on the stream
// of events, that the job was permitted to start.
func starts(ctx context.Context, r *Run) error {
	return r.withServer(ctx, "dev", func(c *child) error {
		if err := c.awaitWorker(ctx); err != nil {
			return err
		}
		if err := c.runAll(ctx, 50, trivialJSON, 0); err != nil { // warms up
			return err
		}
		latest, err := c.client.Events(ctx, client.EventsQuery{Newest: true, Limit: 1})
		if err != nil || len(latest.Items) == 0 {
			return fmt.Errorf("no event after 50 jobs: %w", err)
		}
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		heard := make(chan *wire.Event, 16)
		lost := make(chan error, 1)
		go func() {
			q := client.EventsQuery{Types: []string{"JobStarted", "JobSucceeded"}, Cursor: strconv.FormatUint(uint64(latest.Items[0].Position), 10)}
			lost <- c.client.FollowEvents(ctx, q, func(e *wire.Event) error {
				select {
				case heard <- e:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}, nil)
		}()
		var all []time.Duration
		for range r.count(2000, 50) {
			sent := time.Now()
			job, err := c.client.Submit(ctx, []byte(trivialJSON), "")
			if err != nil {
				return err
			}
			for _, want := range []string{"JobStarted", "JobSucceeded"} {
				if err := await(heard, lost, "job-"+job.ID, want); err != nil {
					return err
				}
				if want == "JobStarted" {
					all = append(all, time.Since(sent))
				}
			}
		}
		r.Figures["submit_started_p50_ms"] = milliseconds(all, 50)
		r.Figures["submit_started_p99_ms"] = milliseconds(all, 99)
		return nil
	})
}

// await waits for an event of a stream.
func await(heard <-chan *wire.Event, lost <-chan error, stream, kind string) error {
	for {
		select {
		case e := <-heard:
			if e.Stream == stream && e.Type == kind {
				return nil
			}
		case err := <-lost:
			return fmt.Errorf("the stream of events ended: %w", err)
		}
	}
}

// realJobs measures trivial jobs on a real worker: as many at once as its CPUs
// allow for jobs of 100 thousandths.
func realJobs(ctx context.Context, r *Run) error {
	return r.withServer(ctx, "dev", func(c *child) error {
		if err := c.awaitWorker(ctx); err != nil {
			return err
		}
		if err := c.runAll(ctx, 50, trivialJSON, 0); err != nil { // warms up
			return err
		}
		n := r.count(3000, 100)
		begun := time.Now()
		if err := c.runAll(ctx, n, trivialJSON, 50); err != nil {
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
