package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/cmd/hodei/table"
)

// whyLeast is how much of a reason is worth more than the columns at its left.
const whyLeast = 20

var jobColumns = []table.Column{{Name: "JOB"}, {Name: "STATE"}, {Name: "NAME", Cut: true},
	{Name: "NS", Rank: 3, Cut: true}, {Name: "WORKER", Rank: 2, Cut: true}, {Name: "TRY", Right: true, Rank: 4},
	{Name: "AGE", Right: true, Rank: 1}, {Name: "TOOK", Right: true, Rank: 1}, {Name: "WHY", Cut: true, Rank: 1, Least: whyLeast}}

// Orders of a list of jobs.
const (
	sortNewest = "newest"
	sortOldest = "oldest"
	sortEnded  = "ended" // only those that have ended, the last to end first
)

var sortWords = []string{sortNewest, sortOldest, sortEnded}

type listFlags struct {
	query client.JobsQuery
	sort  string
}

func (a *app) cmdJobList() *cobra.Command {
	var f listFlags
	c := &cobra.Command{
		Use: "list", Short: "List jobs, newest first",
		Example: `  hodei job list --state failed,lost --since 1h
  hodei job list --label team=web --name 'build-*' --columns job,name,why`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.check(a); err != nil {
				return err
			}
			return a.listJobs(c.Context(), &f)
		},
	}
	f.register(c)
	return a.withWatch(a.withAllNamespaces(a.withColumns(c, jobColumns)))
}

func (f *listFlags) register(c *cobra.Command) {
	fl, q := c.Flags(), &f.query
	fl.StringSliceVar(&q.States, "state", nil, "only jobs in these `STATES`: pending, bound, running, succeeded, failed, cancelled, timed_out, lost; such as running,failed")
	fl.StringArrayVarP(&q.Labels, "label", "l", nil, "only jobs with this label, `KEY=VALUE`; KEY alone for any value")
	fl.StringVar(&q.Name, "name", "", "only jobs called `NAME`, in which * stands for anything")
	fl.StringVar(&q.Text, "search", "", "only jobs with this `TEXT` in their names or ids")
	fl.StringVar(&q.Worker, "worker", "", "only jobs on this `WORKER`")
	fl.StringVar(&q.Since, "since", "", "only jobs submitted since then: an age such as 10m, a `TIME` such as 10:36:55 or RFC 3339; with --sort ended, ended since then")
	fl.StringVar(&q.Until, "until", "", "only jobs submitted before then, a `TIME` as --since")
	fl.StringVar(&f.sort, "sort", sortNewest, "the `ORDER`: newest, oldest, or ended, the last to end first")
	fl.IntVar(&q.Limit, "limit", 20, "at most `N` jobs, up to 1000")
	fl.StringVar(&q.Cursor, "cursor", "", "go on at the `CURSOR` that a page ends with")
}

func (f *listFlags) check(a *app) error {
	if !slices.Contains(sortWords, f.sort) {
		return usage("--sort is %q; it may be %s", f.sort, strings.Join(sortWords, ", "))
	}
	q := &f.query
	q.Ended, q.OldestFirst = f.sort == sortEnded, f.sort == sortOldest
	q.Since, q.Until = today(q.Since, a.now()), today(q.Until, a.now())
	return nil
}

// filtered says whether some jobs are left out.
func (f *listFlags) filtered() bool {
	q := &f.query
	return len(q.States)+len(q.Labels) > 0 || q.Name+q.Text+q.Worker+q.Since+q.Until != "" || q.Ended
}

func (a *app) listJobs(ctx context.Context, f *listFlags) error {
	cl, err := a.client()
	if err != nil {
		return err
	}
	f.query.Namespace = a.access.namespace
	return a.watched(ctx, cl, []string{"job", "counts"}, func(ctx context.Context) (func() error, error) {
		page, raw, err := a.jobsPage(ctx, cl, f)
		switch {
		case err != nil:
			return nil, err
		case a.programs():
			return func() error { return a.emit(raw) }, nil
		}
		return func() error { return a.showJobs(page, f) }, nil
	})
}

// jobsPage asks for a page of jobs.
func (a *app) jobsPage(ctx context.Context, cl *client.Client, f *listFlags) (*wire.Jobs, json.RawMessage, error) {
	page, raw, err := fetch[wire.Jobs](ctx, a, cl, "/v1/jobs", f.query.Values())
	if err != nil || a.programs() && a.output != nameForm {
		return page, raw, err
	}
	// Where few jobs are as they are asked for, the server looks for them page by page.
	for q := f.query; f.filtered() && page.Next != "" && len(page.Items) < f.query.Limit; {
		q.Limit, q.Cursor = f.query.Limit-len(page.Items), page.Next
		more, _, err := fetch[wire.Jobs](ctx, a, cl, "/v1/jobs", q.Values())
		if err != nil {
			return nil, nil, err
		}
		page.Items, page.Next = append(page.Items, more.Items...), more.Next
	}
	if a.programs() {
		raw, err = json.Marshal(page)
	}
	return page, raw, err
}

func (a *app) showJobs(page *wire.Jobs, f *listFlags) error {
	n := page.Counts
	all := n.Waiting + n.Running + n.Ended
	if len(page.Items) == 0 && all == 0 {
		a.note("no job yet; run one: hodei run -- echo hello")
		return nil
	}
	if err := a.jobTable(page.Items).Write(a.stdout, a.out); err != nil {
		return err
	}
	shown := fmt.Sprintf("%d of %d shown", len(page.Items), all)
	if f.filtered() {
		shown = fmt.Sprintf("%d shown", len(page.Items))
	}
	if page.Next != "" {
		shown += ": --limit, --since, --state, --cursor " + page.Next
	}
	a.note("%d waiting, %d running, %d ended; %s", n.Waiting, n.Running, n.Ended, shown)
	return nil
}

func (a *app) jobTable(items []wire.Job) *table.Table {
	t := a.table(jobColumns)
	for i := range items {
		t.Row(a.jobRow(&items[i])...)
	}
	return t
}
