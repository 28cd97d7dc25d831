package main

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hodei-jobs/hodei/aggregates/resource"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/cmd/hodei/table"
	"github.com/hodei-jobs/hodei/cmd/hodei/term"
)

func (a *app) cmdWorker() *cobra.Command {
	return parent("worker", "List, look at, add, cordon and drain workers", `  hodei worker list
  hodei worker get local`, a.cmdWorkerList(), a.cmdWorkerGet(), a.cmdWorkerCordon(), a.cmdWorkerUncordon(), a.cmdWorkerDrain(), a.cmdWorkerToken())
}

var workerColumns = []table.Column{{Name: "WORKER", Cut: true}, {Name: "STATE"}, {Name: "SINCE", Right: true, Rank: 3},
	{Name: "OS/ARCH", Rank: 2}, {Name: "CPU RES/USED/CAP", Key: "cpu", Right: true}, {Name: "MEM RES/USED/CAP", Key: "mem", Right: true, Rank: 1},
	{Name: "JOBS", Right: true}, {Name: "LABELS", Cut: true, Rank: 5}, {Name: "ID", Rank: 4}}

func (a *app) cmdWorkerList() *cobra.Command {
	c := &cobra.Command{
		Use: "list", Short: "List workers with what is reserved on them, used and there",
		Example: `  hodei worker list
  hodei worker list -o json`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			return reread(c.Context(), a, cl, []string{"worker"}, "/v1/workers", url.Values{"limit": {"1000"}}, a.showWorkers)
		},
	}
	return a.withWatch(a.withColumns(c, workerColumns))
}

func (a *app) showWorkers(page *wire.Workers) error {
	if len(page.Items) == 0 {
		a.note("no worker yet; add one: hodei worker token --help")
		return nil
	}
	t := a.table(workerColumns)
	for i := range page.Items {
		t.Row(a.workerRow(&page.Items[i])...)
	}
	if err := t.Write(a.stdout, a.out); err != nil {
		return err
	}
	if page.Next != "" {
		a.note("%d shown, there are more: hodei worker list -o json", len(page.Items))
	}
	return nil
}

func (a *app) workerRow(w *wire.Worker) []table.Cell {
	usedCPU, usedMem, unit := "-", "-", resource.Bytes(w.Capacity.Memory).Unit()
	if w.Used != nil {
		usedCPU, usedMem = cpus(w.Used.CPU), resource.Bytes(w.Used.Memory).In(unit)
	}
	return []table.Cell{table.Text(w.Name), {State: shownState(w)}, table.Text(age(a.since(w.Since))), table.Text(machine(w)),
		table.Text(cpus(w.Reserved.CPU) + "/" + usedCPU + "/" + cpus(w.Capacity.CPU)),
		table.Text(resource.Bytes(w.Reserved.Memory).In(unit) + "/" + usedMem + "/" + bytesOf(w.Capacity.Memory)),
		table.Text(fmt.Sprint(w.Jobs)), table.Text(strings.Join(pairs(w.Labels), " ")), table.Text(w.ID)}
}

// machine is a worker's operating system and architecture, once it told.
func machine(w *wire.Worker) string { return strings.Trim(w.OS+"/"+w.Arch, "/") }

// shownState is a worker's state as one word.
func shownState(w *wire.Worker) string {
	switch {
	case w.State == "online" && w.Draining:
		return "draining"
	case w.State == "online" && w.Cordoned:
		return "cordoned"
	}
	return w.State
}

func (a *app) cmdWorkerGet() *cobra.Command {
	return &cobra.Command{
		Use: "get WORKER", Short: "Show one worker, by its name or id",
		Example: `  hodei worker get local
  hodei worker get m2c8v0xk -o json`,
		Args: oneArg("worker"), ValidArgsFunction: a.completing(once(a.workers)),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			w, raw, err := a.worker(c.Context(), cl, args[0])
			switch {
			case err != nil:
				return err
			case a.programs():
				return a.emit(raw)
			}
			return a.showWorker(w)
		},
	}
}

func (a *app) showWorker(w *wire.Worker) error {
	var b strings.Builder
	row := func(key, value string) { fmt.Fprintf(&b, "%-10s %s\n", key, term.Escape(value)) }
	fmt.Fprintf(&b, "%s %s   %s since %s\n", a.out.Of(shownState(w), a.out.Glyph(shownState(w))+" "+w.ID), term.Escape(w.Name), shownState(w), age(a.since(w.Since)))
	row("machine", fmt.Sprintf("%s, %s CPU, %s", machine(w), cpus(w.Capacity.CPU), bytesOf(w.Capacity.Memory)))
	row("reserved", fmt.Sprintf("%s CPU, %s by %s", cpus(w.Reserved.CPU), bytesOf(w.Reserved.Memory), count(w.Jobs, "job")))
	if w.DrainUntil != nil {
		row("drains", "until "+a.clock(*w.DrainUntil)+", then its jobs are stopped")
	}
	if w.Used != nil {
		row("used", fmt.Sprintf("%s CPU, %s", cpus(w.Used.CPU), bytesOf(w.Used.Memory)))
	}
	if w.LastHeard != nil {
		row("heard", age(a.since(*w.LastHeard))+" ago")
	}
	agent := first(w.Version, "version not known yet")
	if w.Provider != "" {
		agent += ", started by " + w.Provider
	}
	row("agent", agent)
	row("labels", first(strings.Join(pairs(w.Labels), " "), "-"))
	_, err := fmt.Fprint(a.stdout, b.String())
	return err
}
