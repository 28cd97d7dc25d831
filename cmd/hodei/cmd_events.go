package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/cmd/hodei/term"
)

func (a *app) cmdEvents() *cobra.Command {
	var q client.EventsQuery
	var follow bool
	c := &cobra.Command{
		Use: "events", Short: "Show the event log",
		Long: `Show the event log: everything that happened, in its order.

Examples:
  hodei events -f
  hodei events --stream job-7f3k9qd2 -o json`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			q.Newest = q.Cursor == ""
			page, err := cl.Events(c.Context(), q)
			if err != nil {
				return err
			}
			if err := a.printEvents(page.Items); err != nil || !follow {
				return err
			}
			q.Newest, q.Cursor = false, page.Next
			if q.Cursor == "" && len(page.Items) > 0 {
				q.Cursor = fmt.Sprint(page.Items[len(page.Items)-1].Position)
			}
			return cl.FollowEvents(c.Context(), q, func(e *wire.Event) error { return a.printEvents([]wire.Event{*e}) },
				func(err error, _ time.Duration) { a.note("connection lost, trying again: %v", err) })
		},
	}
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on with new events as they are recorded")
	c.Flags().StringVar(&q.Stream, "stream", "", "only `streams` that begin so, such as job-7f3k9qd2 or worker-")
	c.Flags().StringSliceVar(&q.Types, "type", nil, "only these `types`, such as JobFailed,JobLost")
	c.Flags().IntVar(&q.Limit, "limit", 20, "at most so many at first, up to 1000")
	c.Flags().StringVar(&q.Cursor, "after", "", "begin after this `position`")
	return c
}

// printEvents writes events, a line each.
func (a *app) printEvents(events []wire.Event) error {
	for i := range events {
		e := &events[i]
		if a.output == "json" {
			if err := a.emit(e); err != nil {
				return err
			}
			continue
		}
		if _, err := fmt.Fprintf(a.stdout, "%d %s %-14s  %s\n", e.Position, a.clock(e.Time), e.Stream, term.Escape(e.Text)); err != nil {
			return err
		}
	}
	return nil
}
