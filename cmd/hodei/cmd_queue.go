package main

import (
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/cmd/hodei/table"
)

var queueColumns = []table.Column{{Name: "CLASS"}, {Name: "WAIT", Right: true}, {Name: "OLDEST", Right: true},
	{Name: "NS", Rank: 1, Cut: true}, {Name: "NEEDS", Cut: true}, {Name: "WHY", Cut: true, Least: 2 * whyLeast}}

func (a *app) cmdQueue() *cobra.Command {
	c := &cobra.Command{
		Use: "queue", Short: "Show what waits, and why",
		Example: `  hodei queue
  hodei queue -n web -o json`,
		Long: "Waiting jobs are shown in classes: those of a namespace with the same needs.",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			v := url.Values{}
			set(v, "namespace", a.access.namespace)
			return reread(c.Context(), a, cl, []string{"queue", "job"}, "/v1/queue", v, a.showQueue)
		},
	}
	return a.withWatch(a.withAllNamespaces(a.withColumns(c, queueColumns)))
}

func (a *app) showQueue(q *wire.Queue) error {
	if q.Waiting == 0 {
		a.note("nothing waits")
		return nil
	}
	if err := a.waiting(a.table(queueColumns), q).Write(a.stdout, a.out); err != nil {
		return err
	}
	if q.Next != "" {
		a.note("%d classes shown, there are more; all: hodei queue -o json", len(q.Items))
	}
	if q.Backoff > 0 {
		a.note("%d of %d wait for the delay of a retry", q.Backoff, q.Waiting)
	}
	return nil
}

func (a *app) waitingTable(q *wire.Queue) *table.Table {
	return a.waiting(table.New(queueColumns, nil), q)
}

// waiting fills a table with what waits.
func (a *app) waiting(t *table.Table, q *wire.Queue) *table.Table {
	for i := range q.Items {
		k := &q.Items[i]
		oldest := ""
		if k.Oldest != nil {
			oldest = age(a.since(*k.Oldest))
		}
		t.Row(table.Text(k.Class), table.Text(fmt.Sprint(k.Waiting)), table.Text(oldest), table.Text(k.Namespace),
			table.Text(needs(k.Needs.CPU, k.Needs.Memory, k.Needs.Disk, k.Needs.Requires)), table.Text(k.Reason+": "+k.Summary))
	}
	return t
}
