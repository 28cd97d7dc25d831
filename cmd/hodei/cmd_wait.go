package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/wire"
)

func (a *app) cmdJobWait() *cobra.Command {
	var asJob bool
	c := &cobra.Command{
		Use: "wait JOB", Short: "Wait until a job has ended",
		Example: `  hodei job wait 7f3k9qd2
  hodei job wait last --exit-code`,
		Long: `Exits with 0 if it succeeded and 1 if not; with --exit-code as run would have.
` + jobNames,
		Annotations: map[string]string{footer: jobExitCodes},
		Args:        oneArg("job"), ValidArgsFunction: a.oneOfJobs("pending,bound,running"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.withJobOf(c.Context(), args[0], func(cl *client.Client, id string) error {
				err := untilLeft(c.Context(), func(ctx context.Context) error { return a.waitFor(ctx, cl, id, asJob) })
				if err = a.leftAlone(err, id); asJob && err != nil {
					return a.noResult(err)
				}
				return err
			})
		},
	}
	c.Flags().BoolVar(&asJob, "exit-code", false, "exit as the job did")
	return a.withProgress(c)
}

// waitFor waits until the job has ended, and says what it waits for meanwhile. Its
// output passes by unseen.
func (a *app) waitFor(ctx context.Context, cl *client.Client, id string, asJob bool) error {
	v := a.waitingViewer(cl, false)
	end, err := cl.FollowJob(ctx, id, client.LogsQuery{}, client.Follower{
		State: func(j *wire.Job) { v.retries(ctx, j); v.waits(j) }, Log: func(*wire.LogPiece) error { return nil }, Lost: v.lost})
	if err == nil {
		v.retries(ctx, end)
	}
	v.screen.close()
	if err != nil {
		return err
	}
	job, raw, err := fetch[wire.Job](ctx, a, cl, jobPath(id, ""), nil)
	if err != nil {
		return err
	}
	if a.programs() {
		err = a.emit(raw)
	} else if !a.quiet {
		_, err = fmt.Fprintln(a.stdout, a.concluded(a.out, job, memoryOf(job), a.lastHeard(ctx, cl, job)))
	}
	switch {
	case err != nil:
		return err
	case asJob:
		return exitOf(job, false)
	case job.State != "succeeded":
		return silent(exitNo)
	}
	return nil
}

// waitingViewer is a viewer of a command that waits for something of a job: where
// lines can't be replaced it says once what that is.
func (a *app) waitingViewer(cl *client.Client, raw bool) *viewer {
	s := newScreen(a, true, raw)
	s.once = true
	return &viewer{app: a, client: cl, screen: s}
}

// waits shows what becomes of the job until something else is shown.
func (v *viewer) waits(j *wire.Job) {
	v.back()
	v.screen.wait(v.stateLine(j))
}

// lostOnce returns what tells, once an outage, that the connection was lost.
func (a *app) lostOnce() func(error, time.Duration) {
	var last time.Time
	return func(err error, _ time.Duration) {
		if time.Since(last) > outageQuiet {
			a.note("connection to the server lost, trying again: %s", why(err))
		}
		last = time.Now()
	}
}

// outageQuiet is how far apart two failures are that belong to two outages.
const outageQuiet = 30 * time.Second
