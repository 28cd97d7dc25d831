package main

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/cmd/hodei/table"
	"github.com/hodei-jobs/hodei/cmd/hodei/term"
)

func (a *app) cmdWorker() *cobra.Command {
	return parent("worker", "List and look at workers", `  hodei worker list
  hodei worker get local`, a.cmdWorkerList(), a.cmdWorkerGet())
}

func (a *app) cmdWorkerList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List workers",
		Long: `List workers with what is reserved on them, used and there.

Examples:
  hodei worker list
  hodei worker list -o json`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			page, err := cl.Workers(c.Context(), "")
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.emit(page)
			}
			t := &table.Table{Columns: []table.Column{{Name: "WORKER", Cut: true}, {Name: "ID"}, {Name: "STATE"}, {Name: "SINCE", Right: true, Rank: 3},
				{Name: "OS/ARCH", Rank: 2}, {Name: "CPU RES/USED/CAP", Right: true}, {Name: "MEM RES/USED/CAP", Right: true, Rank: 1},
				{Name: "JOBS", Right: true}, {Name: "LABELS", Cut: true, Rank: 4}}}
			for i := range page.Items {
				t.Row(workerRow(&page.Items[i])...)
			}
			if len(page.Items) == 0 {
				a.note("no worker yet; hodei dev starts one here")
			}
			return t.Write(a.stdout, a.out)
		},
	}
}

func workerRow(w *wire.Worker) []table.Cell {
	usedCPU, usedMem := "-", "-"
	if w.Used != nil {
		usedCPU, usedMem = cpus(w.Used.CPU), bytesOf(w.Used.Memory)
	}
	return []table.Cell{table.Text(w.Name), table.Text(w.ID), {State: shownState(w)}, table.Text(age(time.Since(w.Since))),
		table.Text(w.OS + "/" + w.Arch), table.Text(fmt.Sprintf("%s/%s/%s", cpus(w.Reserved.CPU), usedCPU, cpus(w.Capacity.CPU))),
		table.Text(fmt.Sprintf("%s/%s/%s", bytesOf(w.Reserved.Memory), usedMem, bytesOf(w.Capacity.Memory))),
		table.Text(fmt.Sprint(w.Jobs)), table.Text(strings.Join(pairs(w.Labels), " "))}
}

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
		Use: "get ID", Short: "Show one worker",
		Long: `Show one worker, by its id or name.

Examples:
  hodei worker get local
  hodei worker get m2c8v0xk -o json`,
		Args: oneArg("worker"),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			if a.output == "json" {
				raw, err := cl.Raw(c.Context(), "/v1/workers/"+url.PathEscape(args[0]), nil)
				if err != nil {
					return err
				}
				return a.emit(raw)
			}
			w, err := cl.Worker(c.Context(), args[0])
			if err != nil {
				return err
			}
			return a.showWorker(w)
		},
	}
}

func (a *app) showWorker(w *wire.Worker) error {
	var b strings.Builder
	row := func(key, value string) { fmt.Fprintf(&b, "%-10s %s\n", key, term.Escape(value)) }
	fmt.Fprintf(&b, "%s %s   %s since %s\n", a.out.Of(shownState(w), a.out.Glyph(shownState(w))+" "+w.ID), term.Escape(w.Name), shownState(w), age(time.Since(w.Since)))
	row("machine", fmt.Sprintf("%s/%s, %s CPU, %s", w.OS, w.Arch, cpus(w.Capacity.CPU), bytesOf(w.Capacity.Memory)))
	row("reserved", fmt.Sprintf("%s CPU, %s by %d jobs", cpus(w.Reserved.CPU), bytesOf(w.Reserved.Memory), w.Jobs))
	if w.Used != nil {
		row("used", fmt.Sprintf("%s CPU, %s", cpus(w.Used.CPU), bytesOf(w.Used.Memory)))
	}
	if w.LastHeard != nil {
		row("heard", age(time.Since(*w.LastHeard))+" ago")
	}
	row("agent", strings.Trim(w.Version+" "+w.Provider, " "))
	row("labels", first(strings.Join(pairs(w.Labels), " "), "-"))
	_, err := fmt.Fprint(a.stdout, b.String())
	return err
}
