package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/cmd/hodei/table"
	"github.com/hodei-jobs/hodei/cmd/hodei/term"
)

func (a *app) cmdJob() *cobra.Command {
	return parent("job", "List, look at and cancel jobs", `  hodei job list --state running
  hodei job get 7f3k9qd2`,
		a.cmdJobList(), a.cmdJobGet(), a.cmdJobCancel(), a.cmdJobEvents())
}

func (a *app) cmdJobList() *cobra.Command {
	var q client.JobsQuery
	c := &cobra.Command{
		Use: "list", Short: "List jobs, newest first",
		Long: `List jobs, newest first.

Examples:
  hodei job list
  hodei job list --state failed,lost --limit 100`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			q.Namespace = a.namespace
			return a.listJobs(c, q)
		},
	}
	c.Flags().StringSliceVar(&q.States, "state", nil, "only jobs in these `states`, such as running,failed")
	c.Flags().IntVar(&q.Limit, "limit", 20, "at most so many, up to 1000")
	c.Flags().StringVar(&q.Cursor, "cursor", "", "go on with the `next` of a page")
	return c
}

func (a *app) listJobs(c *cobra.Command, q client.JobsQuery) error {
	cl, err := a.client()
	if err != nil {
		return err
	}
	page, err := cl.Jobs(c.Context(), q)
	if err != nil {
		return err
	}
	if a.output == "json" {
		return a.emit(page)
	}
	t := &table.Table{Columns: []table.Column{{Name: "JOB"}, {Name: "STATE"}, {Name: "NAME", Cut: true},
		{Name: "NS", Rank: 3, Cut: true}, {Name: "WORKER", Rank: 2, Cut: true}, {Name: "TRY", Right: true, Rank: 4},
		{Name: "AGE", Right: true, Rank: 1}, {Name: "TOOK", Right: true, Rank: 1}, {Name: "WHY", Cut: true, Rank: 1}}}
	for i := range page.Items {
		t.Row(jobRow(&page.Items[i])...)
	}
	if err := t.Write(a.stdout, a.out); err != nil {
		return err
	}
	if len(page.Items) == 0 {
		a.note("no job found; run one: hodei run -- echo hello")
		return nil
	}
	n := page.Counts
	a.note("%d waiting, %d running, %d ended; %d of %d shown%s", n.Waiting, n.Running, n.Ended, len(page.Items), n.Waiting+n.Running+n.Ended,
		map[bool]string{true: ": --limit, --state, --cursor " + page.Next}[page.Next != ""])
	return nil
}

func jobRow(j *wire.Job) []table.Cell {
	tookText, why := "", j.Summary
	if d, ok := ranFor(j); ok {
		tookText = took(d)
	}
	switch j.State {
	case "succeeded":
		why = ""
	case "pending":
		why = strings.TrimSuffix(j.Reason+": "+why, ": ")
	}
	try := max(j.Attempt, 1)
	return []table.Cell{table.Text(j.ID), {State: j.State}, table.Text(j.Name), table.Text(j.Namespace), table.Text(j.WorkerName),
		table.Text(fmt.Sprint(try)), table.Text(age(time.Since(j.Submitted))), table.Text(tookText), table.Text(why)}
}

func (a *app) cmdJobGet() *cobra.Command {
	return &cobra.Command{
		Use: "get ID", Short: "Show one job",
		Long: `Show one job: what it needs, where it ran, its steps, how it ended.

Examples:
  hodei job get 7f3k9qd2
  hodei job get 7f3k9qd2 -o json`,
		Args: oneArg("job id"),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			if a.output == "json" {
				raw, err := cl.Raw(c.Context(), "/v1/jobs/"+url.PathEscape(args[0]), nil)
				if err != nil {
					return err
				}
				return a.emit(raw)
			}
			job, err := cl.Job(c.Context(), args[0])
			if err != nil {
				return err
			}
			return a.showJob(job)
		},
	}
}

func (a *app) showJob(j *wire.Job) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", a.out.Of(j.State, a.out.Glyph(j.State)+" "+j.ID), term.Escape(j.Name))
	state := strings.ReplaceAll(j.State, "_", " ")
	if j.Cancelling {
		state += ", being cancelled"
	}
	fmt.Fprintf(&b, "   %s", state)
	if j.Summary != "" && j.State != "succeeded" {
		fmt.Fprintf(&b, ": %s", term.Escape(j.Summary))
	}
	b.WriteString("\n")
	var spec struct {
		Resources struct{ CPU, Memory, Disk string }
		Requires  map[string]string
	}
	if len(j.Spec) > 0 {
		if err := json.Unmarshal(j.Spec, &spec); err != nil {
			return err
		}
	}
	need := needs(spec.Resources.CPU, spec.Resources.Memory, spec.Resources.Disk, spec.Requires)
	if j.Priority != 0 {
		need += fmt.Sprintf(", prio %d", j.Priority)
	}
	row := func(key, value string) { fmt.Fprintf(&b, "%-10s %s\n", key, value) }
	row("needs", term.Escape(need))
	row("submitted", fmt.Sprintf("%s in %s   #%d", a.clock(j.Submitted), j.Namespace, j.Position))
	if j.Started != nil {
		row("waited", took(j.Started.Sub(j.Submitted)))
		row("started", fmt.Sprintf("%s on %s, attempt %d", a.clock(*j.Started), term.Escape(j.WorkerName), j.Attempt))
	}
	if j.Finished != nil {
		after := ""
		if d, ok := ranFor(j); ok {
			after = " after " + took(d)
		}
		row("finished", a.clock(*j.Finished)+after)
	}
	if u := usageLine(j.Usage); u != "" {
		row("peak", u)
	}
	for _, s := range j.Steps {
		end := s.Signal
		if s.ExitCode != nil && *s.ExitCode != 0 {
			end = fmt.Sprintf("exit %d", *s.ExitCode)
		}
		fmt.Fprintf(&b, "%3d %-20s %s  %s  %s\n", s.Step, term.Escape(s.Name), a.out.State(s.State), took(time.Duration(s.Seconds*float64(time.Second))), end)
	}
	_, err := fmt.Fprint(a.stdout, b.String())
	return err
}

func usageLine(u *wire.Usage) string {
	if u == nil {
		return ""
	}
	var parts []string
	if u.PeakMemory != nil {
		parts = append(parts, bytesOf(*u.PeakMemory))
	}
	if u.PeakCPU != nil {
		parts = append(parts, cpus(*u.PeakCPU)+" CPU")
	}
	return strings.Join(parts, ", ")
}

func (a *app) cmdJobCancel() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use: "cancel ID…", Short: "Cancel jobs",
		Long: `Cancel jobs: one that waits ends at once, one that runs is asked to stop and
killed after its grace.

Examples:
  hodei job cancel 7f3k9qd2
  hodei job cancel 7f3k9qd2 9d2mx7ht --reason "wrong branch"`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return oneArg("or more job ids")(c, args)
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			for _, id := range args {
				job, err := cl.CancelJob(c.Context(), id, reason)
				if err != nil {
					return err
				}
				if a.output == "json" {
					if err := a.emit(job); err != nil {
						return err
					}
					continue
				}
				text := job.State
				if !job.Terminal() {
					text = job.State + ", being cancelled"
				}
				fmt.Fprintf(a.stdout, "%s %s\n", job.ID, text)
			}
			return nil
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why, for those who ask later")
	return c
}

func (a *app) cmdJobEvents() *cobra.Command {
	return &cobra.Command{
		Use: "events ID", Short: "Show a job's events in words",
		Long: `Show everything that happened to a job, in words.

Examples:
  hodei job events 7f3k9qd2
  hodei job events 7f3k9qd2 -o json`,
		Args: oneArg("job id"),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			cursor := ""
			for {
				page, err := cl.JobEvents(c.Context(), args[0], cursor)
				if err != nil {
					return err
				}
				if err := a.printEvents(page.Items); err != nil {
					return err
				}
				if page.Next == "" {
					return nil
				}
				cursor = page.Next
			}
		},
	}
}
