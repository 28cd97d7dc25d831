package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/hodei-jobs/hodei/cmd/hodei/table"
)

func (a *app) cmdQueue() *cobra.Command {
	return &cobra.Command{
		Use: "queue", Short: "Show what waits, and why",
		Long: `Show what waits, grouped by what it needs, and why.

Examples:
  hodei queue
  hodei queue -o json`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			q, err := cl.Queue(c.Context(), "")
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.emit(q)
			}
			if q.Waiting == 0 {
				a.note("nothing waits")
				return nil
			}
			t := &table.Table{Columns: []table.Column{{Name: "CLASS"}, {Name: "WAIT", Right: true}, {Name: "OLDEST", Right: true},
				{Name: "NS", Rank: 1, Cut: true}, {Name: "NEEDS", Cut: true, Rank: 2}, {Name: "WHY", Cut: true}}}
			for i := range q.Items {
				k := &q.Items[i]
				oldest := ""
				if k.Oldest != nil {
					oldest = age(time.Since(*k.Oldest))
				}
				t.Row(table.Text(k.Class), table.Text(fmt.Sprint(k.Waiting)), table.Text(oldest), table.Text(k.Namespace),
					table.Text(needs(k.Needs.CPU, k.Needs.Memory, k.Needs.Disk, k.Needs.Requires)), table.Text(k.Reason+": "+k.Summary))
			}
			if q.Backoff > 0 {
				a.note("%d more wait for the delay of a retry", q.Backoff)
			}
			return t.Write(a.stdout, a.out)
		},
	}
}
