package main

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/cmd/hodei/term"
)

type eventsQuery struct {
	stream string
	types  []string
	limit  int
	after  string // position
}

func (a *app) cmdEvents() *cobra.Command {
	var q eventsQuery
	var follow bool
	c := &cobra.Command{
		Use: "events", Short: "Show the event log: everything that happened, in its order",
		Example: `  hodei events -f
  hodei events --type JobFailed,JobLost --limit 50
  hodei events --stream worker-atlas -o json`,
		Long: `A line has an event's position in the log, when it was recorded, its stream and
what happened: the newest events, then with -f each new one. Workers are shown
by name and jobs by id. With -o json both are ids, a page is the API's body, and
events that follow it are a line each.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			return untilLeft(c.Context(), func(ctx context.Context) error { return a.showEvents(ctx, cl, q, follow) })
		},
	}
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on with new events as they are recorded")
	c.Flags().StringVar(&q.stream, "stream", "", "only streams that begin with `STREAM`, such as job-7f3k9qd2, worker-atlas or worker-")
	c.Flags().StringSliceVar(&q.types, "type", nil, "only these `TYPES`, such as JobFailed,JobLost (all: docs/events.md)")
	c.Flags().IntVar(&q.limit, "limit", 20, "at most the newest `N` at first, up to 1000")
	c.Flags().StringVar(&q.after, "after", "", "begin after this `POSITION`, and go forwards")
	return c
}

// showEvents shows the newest events, or those after a position, and with follow
// goes on with new ones.
func (a *app) showEvents(ctx context.Context, cl *client.Client, q eventsQuery, follow bool) error {
	q.stream = a.streamOf(ctx, cl, q.stream)
	v := url.Values{"limit": {strconv.Itoa(q.limit)}}
	set(v, "stream", q.stream)
	set(v, "type", strings.Join(q.types, ","))
	set(v, "cursor", q.after)
	if q.after == "" {
		v = newest(v)
	}
	page, raw, err := fetch[wire.Events](ctx, a, cl, "/v1/events", v)
	if err != nil {
		return err
	}
	if a.programs() && !follow {
		return a.emit(raw)
	}
	if len(page.Items) == 0 && !follow {
		return a.noEvents(ctx, cl)
	}
	called := a.names(ctx, cl)
	if q.after == "" {
		slices.Reverse(page.Items) // the newest, in the order of the log
		page.Next = ""
	}
	if err := a.printEvents(called, page.Items); err != nil || !follow {
		return err
	}
	after := client.EventsQuery{Stream: q.stream, Types: q.types, Cursor: first(page.Next, q.after, "0")}
	if n := len(page.Items); n > 0 {
		after.Cursor = fmt.Sprint(page.Items[n-1].Position)
	}
	return a.whileRead(ctx, func(ctx context.Context) error {
		return cl.FollowEvents(ctx, after, func(e *wire.Event) error { return a.printEvents(called, []wire.Event{*e}) }, a.lostOnce())
	})
}

// noEvents says that none match, and where the log ends.
func (a *app) noEvents(ctx context.Context, cl *client.Client) error {
	page, _, err := fetch[wire.Events](ctx, a, cl, "/v1/events", newest(url.Values{"limit": {"1"}}))
	if err == nil && len(page.Items) > 0 {
		a.note("no events match; the newest is #%d", page.Items[0].Position)
	}
	return err
}

// newest asks for the newest events instead of the first, backwards.
func newest(v url.Values) url.Values {
	v.Set("order", "desc")
	return v
}

// printEvents writes events, a line each.
func (a *app) printEvents(called *names, events []wire.Event) error {
	for i := range events {
		e := &events[i]
		if a.programs() {
			if err := a.emit(e); err != nil {
				return err
			}
			continue
		}
		stream, text := called.event(e)
		if _, err := fmt.Fprintf(a.stdout, "%d %s %-15s %s\n", e.Position, a.clock(e.Time), term.Escape(stream), term.Escape(text)); err != nil {
			return err
		}
	}
	return nil
}
