package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hodei-jobs/hodei/cmd/hodei/bench"
	"github.com/hodei-jobs/hodei/cmd/hodei/table"
)

func (a *app) cmdBench() *cobra.Command {
	var only []string
	var scale float64
	c := &cobra.Command{
		Use: "bench [PART…]", Short: "Measure the server beside the floors of this machine",
		Example: `  hodei bench
  hodei bench logs -o json`,
		Long:      "It takes some minutes and uses folders of its own.",
		ValidArgs: bench.Names(),
		RunE: func(c *cobra.Command, args []string) error {
			only := append(only, args...)
			for _, name := range only {
				if !slices.Contains(bench.Names(), name) {
					return &exitError{code: exitUsage, err: fmt.Errorf("there is no part %q", name), help: "the parts: " + strings.Join(bench.Names(), ", ")}
				}
			}
			if scale <= 0 || scale > 1 {
				return usage("--scale is %v; it must be above 0 and at most 1", scale)
			}
			self, err := os.Executable()
			if err != nil {
				return err
			}
			ctx, stop := untilInterrupted(c.Context())
			defer stop()
			figures, err := bench.All(ctx, bench.Config{Binary: self, Only: only, Scale: scale,
				Told: func(p bench.Part, n, of int) { a.tell("%d/%d %s: %s …", n, of, p.Name, p.What) },
				Done: func(_ bench.Part, d time.Duration) { a.tell("    took %s", took(d)) },
			})
			if err != nil {
				return err
			}
			return a.printFigures(figures)
		},
	}
	c.Flags().StringSliceVar(&only, "only", nil, "only these `PARTS`: "+strings.Join(bench.Names(), ", "))
	c.Flags().Float64Var(&scale, "scale", 1, "`FACTOR` of all counts, above 0; figures are quoted at 1")
	return c
}

func (a *app) printFigures(figures bench.Figures) error {
	if a.programs() {
		return a.emit(figures)
	}
	t := &table.Table{Columns: []table.Column{{Name: "FIGURE"}, {Name: "VALUE", Right: true}}}
	for _, name := range sortedKeys(figures) {
		text := fmt.Sprintf("%.0f", figures[name])
		if figures[name] < 100 {
			text = fmt.Sprintf("%.2f", figures[name])
		}
		t.Row(table.Text(name), table.Text(text))
	}
	return t.Write(a.stdout, a.out)
}
