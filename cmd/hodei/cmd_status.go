package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/cmd/hodei/table"
)

const (
	statusRows  = 5    // of each part
	statusSince = "1h" // what broke since then
)

// status is what a screen of the cluster shows.
type status struct {
	running, broke *wire.Jobs
	queue          *wire.Queue
	workers        *wire.Workers
	raw            map[string]json.RawMessage // the API's bodies, by part
}

func (a *app) cmdStatus() *cobra.Command {
	c := &cobra.Command{
		Use: "status", Short: "Show on one screen what runs, waits, broke, and the workers",
		Example: `  hodei status
  hodei status -n web -o json`,
		Long: "At most " + strconv.Itoa(statusRows) + " of each; what broke is of the last hour.",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			return a.watched(c.Context(), cl, nil, func(ctx context.Context) (func() error, error) {
				s, err := a.status(ctx, cl)
				switch {
				case err != nil:
					return nil, err
				case a.programs():
					return func() error { return a.emit(s.raw) }, nil
				}
				return func() error { return a.showStatus(s) }, nil
			})
		},
	}
	return a.withWatch(a.withAllNamespaces(c))
}

// status asks for all that a screen shows.
func (a *app) status(ctx context.Context, cl *client.Client) (*status, error) {
	s := &status{raw: map[string]json.RawMessage{}}
	here := client.JobsQuery{Namespace: a.access.namespace, Limit: statusRows}
	running, broke := here, here
	running.States = []string{"running", "bound"}
	broke.States, broke.Since, broke.Ended = []string{"failed", "lost", "timed_out"}, statusSince, true
	waits := url.Values{"limit": {strconv.Itoa(statusRows)}}
	set(waits, "namespace", a.access.namespace)
	var err error
	if s.running, err = part[wire.Jobs](ctx, a, cl, s, "running", "/v1/jobs", running.Values()); err != nil {
		return nil, err
	}
	if s.queue, err = part[wire.Queue](ctx, a, cl, s, "queue", "/v1/queue", waits); err != nil {
		return nil, err
	}
	if s.broke, err = part[wire.Jobs](ctx, a, cl, s, "broke", "/v1/jobs", broke.Values()); err != nil {
		return nil, err
	}
	s.workers, err = part[wire.Workers](ctx, a, cl, s, "workers", "/v1/workers", url.Values{"limit": {"1000"}})
	return s, err
}

func part[T any](ctx context.Context, a *app, cl *client.Client, s *status, name, path string, v url.Values) (*T, error) {
	value, raw, err := fetch[T](ctx, a, cl, path, v)
	s.raw[name] = raw
	return value, err
}

// showStatus writes a screen: a line of numbers, then what there is, part by part.
func (a *app) showStatus(s *status) error {
	if _, err := fmt.Fprintln(a.stdout, a.statusLine(s)); err != nil {
		return err
	}
	n := s.running.Counts
	if err := a.statusPart("RUNS", n.Running, len(s.running.Items), "hodei job list --state running,bound", a.runningTable(s)); err != nil {
		return err
	}
	if err := a.statusPart("WAITS", len(s.queue.Items), len(s.queue.Items), "", a.waitingTable(s.queue)); err != nil {
		return err
	}
	if s.queue.Next != "" {
		a.note("more classes wait: hodei queue")
	}
	if err := a.statusPart("BROKE in the last hour", len(s.broke.Items), len(s.broke.Items), "", a.brokenTable(s)); err != nil {
		return err
	}
	if s.broke.Next != "" {
		a.note("more broke: hodei job list --state failed,lost,timed_out --sort ended --since %s", statusSince)
	}
	live := living(s.workers.Items)
	t := &table.Table{}
	t.Columns = without(workerColumns, "LABELS", "ID")
	for _, w := range live[:min(len(live), statusRows)] {
		t.Row(a.workerRow(w)[:len(t.Columns)]...)
	}
	return a.statusPart("WORKERS", len(live), min(len(live), statusRows), "hodei worker list", t)
}

// statusLine is the cluster in numbers.
func (a *app) statusLine(s *status) string {
	n := s.running.Counts
	online, reserved, capacity := 0, 0.0, 0.0
	for i := range s.workers.Items {
		if w := &s.workers.Items[i]; w.State == "online" {
			online++
			reserved, capacity = reserved+w.Reserved.CPU, capacity+w.Capacity.CPU
		}
	}
	glyph := func(state string) string { return a.out.Of(state, a.out.Glyph(state)) }
	line := fmt.Sprintf("%s %d running   %s %d waiting   %d ended   %s/%s CPU reserved on %s",
		glyph("running"), n.Running, glyph("pending"), s.queue.Waiting, n.Ended, cpus(reserved), cpus(capacity), count(online, "worker"))
	if online == 0 {
		line += "; add one: hodei worker token --help"
	}
	return line
}

// statusPart writes one part with a heading, and how to see what is left out. A part
// that is empty is left out.
func (a *app) statusPart(heading string, all, shown int, more string, t *table.Table) error {
	if shown == 0 {
		return nil
	}
	if _, err := fmt.Fprintf(a.stdout, "\n%s\n", heading); err != nil {
		return err
	}
	if err := t.Write(a.stdout, a.out); err != nil {
		return err
	}
	if all > shown {
		a.note("%d more: %s", all-shown, more)
	}
	return nil
}

func (a *app) runningTable(s *status) *table.Table {
	return a.pickedJobs(s.running.Items, "AGE", "TRY")
}

func (a *app) brokenTable(s *status) *table.Table { return a.pickedJobs(s.broke.Items, "TRY", "TOOK") }

// pickedJobs is a table of jobs without some columns.
func (a *app) pickedJobs(items []wire.Job, left ...string) *table.Table {
	t := &table.Table{Columns: without(jobColumns, left...)}
	for i := range items {
		var cells []table.Cell
		for n, cell := range a.jobRow(&items[i]) {
			if !slices.Contains(left, jobColumns[n].Name) {
				cells = append(cells, cell)
			}
		}
		t.Row(cells...)
	}
	return t
}

func without(columns []table.Column, names ...string) []table.Column {
	return slices.DeleteFunc(slices.Clone(columns), func(c table.Column) bool { return slices.Contains(names, c.Name) })
}

// living are the workers that have not ended.
func living(all []wire.Worker) (live []*wire.Worker) {
	for i := range all {
		if all[i].State != "terminated" {
			live = append(live, &all[i])
		}
	}
	return live
}
