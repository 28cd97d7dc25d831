package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/cmd/hodei/table"
)

// jobNames is what the help of commands that take a job says of its names.
const jobNames = `A job is named by its id, by its name while exactly one live job has it, or as
last: the one submitted last from here.`

func (a *app) cmdJob() *cobra.Command {
	return parent("job", "List, look at, wait for, cancel and rerun jobs", `  hodei job list --state running
  hodei job get 7f3k9qd2`,
		a.cmdJobList(), a.cmdJobGet(), a.cmdJobEvents(), a.cmdJobUsage(), a.cmdJobWait(), a.cmdJobCancel(), a.cmdJobRerun())
}

func (a *app) jobRow(j *wire.Job) []table.Cell {
	tookText, why := "", ""
	if d, ok := a.ranFor(j); ok {
		tookText = took(d)
	}
	switch j.State {
	case "succeeded":
	case "running":
		switch {
		case j.Cancelling:
			why = "being cancelled"
		case j.Waits:
			why = "waiting for keyboard input"
		}
	case "pending", "bound":
		why = waitsFor(j)
	default:
		why = ending(j)
	}
	return []table.Cell{table.Text(j.ID), {State: j.State}, table.Text(j.Name), table.Text(j.Namespace), table.Text(j.WorkerName),
		table.Text(fmt.Sprint(max(j.Attempt, 1))), table.Text(age(a.since(j.Submitted))), table.Text(tookText), table.Text(why)}
}

func (a *app) cmdJobGet() *cobra.Command {
	return &cobra.Command{
		Use: "get JOB", Short: "Show one job: what it needs, where it ran, its steps, how it ended",
		Example: `  hodei job get 7f3k9qd2
  hodei job get last -o json`,
		Long: jobNames,
		Args: oneArg("job"), ValidArgsFunction: a.oneOfJobs(""),
		RunE: func(c *cobra.Command, args []string) error {
			return a.withJobOf(c.Context(), args[0], func(cl *client.Client, id string) error {
				job, raw, err := fetch[wire.Job](c.Context(), a, cl, jobPath(id, ""), nil)
				switch {
				case err != nil:
					return err
				case a.programs():
					return a.emit(raw)
				}
				events, err := a.eventsOf(c.Context(), cl, id)
				if err != nil {
					return err
				}
				earlier, _ := earlierEnds(events, a.names(c.Context(), cl), 0)
				return a.showJob(job, events, fewer(earlier, id))
			})
		},
	}
}

// withJobOf is withJob with the API's client.
func (a *app) withJobOf(ctx context.Context, text string, fn func(cl *client.Client, id string) error) error {
	cl, err := a.client()
	if err != nil {
		return err
	}
	return a.withJob(ctx, cl, text, func(id string) error { return fn(cl, id) })
}

func (a *app) cmdJobEvents() *cobra.Command {
	return &cobra.Command{
		Use: "events JOB", Short: "Show everything that happened to a job, in words",
		Example: `  hodei job events 7f3k9qd2
  hodei job events last -o json`,
		Long: jobNames,
		Args: oneArg("job"), ValidArgsFunction: a.oneOfJobs(""),
		RunE: func(c *cobra.Command, args []string) error {
			return a.withJobOf(c.Context(), args[0], func(cl *client.Client, id string) error { return a.jobEvents(c.Context(), cl, id) })
		},
	}
}

// jobEvents shows a job's events; with -o json each page is a line.
func (a *app) jobEvents(ctx context.Context, cl *client.Client, id string) error {
	called := a.names(ctx, cl)
	return a.eventPages(ctx, cl, id, func(page *wire.Events, raw json.RawMessage) error {
		if a.programs() {
			return a.emit(raw)
		}
		return a.printEvents(called, page.Items)
	})
}

func (a *app) cmdJobCancel() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use: "cancel JOB…", Short: "Cancel jobs",
		Example: `  hodei job cancel 7f3k9qd2
  hodei job cancel 7f3k9qd2 9d2mx7ht --yes --reason "wrong branch"`,
		Long: `One that waits ends at once; one that runs is asked to stop and killed after its
grace. For more than one you are asked, and without a terminal --yes is needed.
` + jobNames,
		Args: someArgs("job"), ValidArgsFunction: a.manyJobs("pending,bound,running"),
		RunE: func(c *cobra.Command, args []string) error {
			body, err := json.Marshal(map[string]string{"reason": reason})
			if err != nil {
				return err
			}
			if err := a.agreed(c.Context(), "cancel", "cancelled", "job", args); err != nil {
				return err
			}
			return a.each(args, func(text string) error {
				return a.withJobOf(c.Context(), text, func(cl *client.Client, id string) error { return a.cancelJob(c.Context(), cl, id, body) })
			})
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "`WORDS` for those who ask why later")
	return a.withYes(c)
}

func (a *app) cancelJob(ctx context.Context, cl *client.Client, id string, body []byte) error {
	raw, err := cl.Post(ctx, jobPath(id, "/cancel"), body, "")
	var p *wire.Problem
	if errors.As(err, &p) && p.Status == http.StatusConflict && p.Help == "" {
		p.Help = "how it ended: hodei job get " + id
	}
	if err != nil {
		return a.newer(ctx, cl, jobPath(id, "/cancel"), err)
	}
	job, _, err := decode[wire.Job](a, raw)
	switch {
	case err != nil:
		return err
	case a.programs():
		return a.emit(raw)
	}
	text := job.State
	if !job.Terminal() {
		text += ", being cancelled"
	}
	_, err = fmt.Fprintf(a.stdout, "%s %s\n", job.ID, text)
	return err
}
