package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/event"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/cmd/hodei/term"
)

// retriedShown is how many attempts that were tried again are told of at once.
const retriedShown = 5

// earlierEnds tells of attempts after done that ended and are or were tried again, a
// line each: attempt 1 failed with exit code 2 after 1.2s on atlas; retry 1 of 3
// in 10s. It returns the last of them too.
func earlierEnds(events []wire.Event, called *names, done uint32) (lines []string, last uint32) {
	last = done
	for i := range events {
		e := &events[i]
		var data struct {
			Attempt, Retry, Max uint32
			Retried             bool
			Delay               spec.Duration
		}
		if json.Unmarshal(e.Data, &data) != nil {
			continue // of a later version
		}
		switch {
		case data.Retried && data.Attempt > last:
			_, text := called.event(e)
			lines, last = append(lines, endOf(data.Attempt, text)), data.Attempt
		case e.Type == "JobRetryScheduled" && len(lines) > 0:
			lines[len(lines)-1] += fmt.Sprintf("; retry %d of %d %s", data.Retry, data.Max, when(data.Delay))
		}
	}
	return lines, last
}

// endOf is how an attempt ended, in the words of its event.
func endOf(attempt uint32, text string) string {
	number := fmt.Sprintf("attempt %d ", attempt)
	return number + strings.TrimPrefix(strings.TrimSuffix(text, "; will be tried again"), number)
}

func when(delay spec.Duration) string {
	if delay <= 0 {
		return "at once"
	}
	return "in " + event.Duration(time.Duration(delay))
}

// fewer keeps the newest of many lines.
func fewer(lines []string, id string) []string {
	more := len(lines) - retriedShown
	if more <= 0 {
		return lines
	}
	return append([]string{fmt.Sprintf("%s before: hodei job events %s", count(more, "attempt"), id)}, lines[more:]...)
}

// eventsOf returns all events of a job.
func (a *app) eventsOf(ctx context.Context, cl *client.Client, id string) (all []wire.Event, err error) {
	err = a.eventPages(ctx, cl, id, func(page *wire.Events, _ json.RawMessage) error {
		all = append(all, page.Items...)
		return nil
	})
	return all, err
}

// eventPages calls fn with each page of a job's events. There are few of them.
func (a *app) eventPages(ctx context.Context, cl *client.Client, id string, fn func(*wire.Events, json.RawMessage) error) error {
	v := url.Values{}
	for {
		page, raw, err := fetch[wire.Events](ctx, a, cl, jobPath(id, "/events"), v)
		if err != nil {
			return err
		}
		if err := fn(page, raw); err != nil || page.Next == "" {
			return err
		}
		v.Set("cursor", page.Next)
	}
}

// retries tells, once each, why attempts ended that are or were tried again. What
// a follower was not there to see is told as far as a few lines go.
func (v *viewer) retries(ctx context.Context, j *wire.Job) {
	ended := j.Attempt
	if j.State != "pending" {
		ended-- // that attempt is under way, or how it ended is told with the job
	}
	if j.Attempt == 0 || ended <= v.retried {
		return
	}
	events, err := v.app.eventsOf(ctx, v.client, j.ID)
	if err != nil {
		return // the output is worth more; job get tells it
	}
	var lines []string
	lines, v.retried = earlierEnds(events, v.app.names(ctx, v.client), v.retried)
	v.retried = max(v.retried, ended)
	for _, line := range fewer(lines, j.ID) {
		v.screen.say("  " + term.Escape(line))
	}
}
