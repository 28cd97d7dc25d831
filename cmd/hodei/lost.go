package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/cmd/hodei/term"
)

// heardLimit is how long the events of a lost job are waited for, before less is
// told of it.
const heardLimit = 5 * time.Second

// lastHeard completes how a job was lost: when its worker was heard last, and the
// event that says so. It is empty of a job that was not lost, and where its events
// can't be had.
func (a *app) lastHeard(ctx context.Context, cl *client.Client, j *wire.Job) string {
	if j.State != "lost" {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, heardLimit)
	defer cancel()
	events, err := a.eventsOf(ctx, cl, j.ID)
	if err != nil {
		return "" // that it was lost is worth more
	}
	for i := range slices.Backward(events) {
		e := &events[i]
		var data struct{ Silent spec.Duration }
		if e.Type != "JobLost" || json.Unmarshal(e.Data, &data) != nil || data.Silent <= 0 {
			continue
		}
		return fmt.Sprintf(", last heard %s (#%d)", a.clock(e.Time.Add(-time.Duration(data.Silent))), e.Position)
	}
	return ""
}

// againAfterLoss is the command that runs a lost job again; one that had no retries
// gets one.
func againAfterLoss(j *wire.Job, asked json.RawMessage) string {
	var wanted struct{ Retries struct{ Max int } }
	command := "hodei job rerun " + j.ID
	if len(asked) > 0 && json.Unmarshal(asked, &wanted) == nil && wanted.Retries.Max == 0 {
		command += " --retries 1 --retry-on lost"
	}
	return command
}

// fenced says what becomes of the attempt of a lost job, and by its spec why there
// is no other.
func fenced(j *wire.Job, asked json.RawMessage) string {
	var wanted struct {
		Retries struct {
			Max int
			On  []string
		}
	}
	_ = json.Unmarshal(asked, &wanted) // a spec of a later version shows what is known
	line := fmt.Sprintf("attempt %d is fenced: if it still runs there, its result will be refused", j.Attempt)
	switch on := wanted.Retries.On; {
	case len(asked) == 0:
		return line
	case wanted.Retries.Max > 0 && len(on) > 0 && !slices.Contains(on, "lost"):
		return line + "; not run again: retries.on is " + term.Escape(strings.Join(on, ", "))
	case wanted.Retries.Max > 0:
		return line + fmt.Sprintf("; not run again: retries.max is %d, all were used", wanted.Retries.Max)
	}
	return line + "; not run again: retries.max is 0"
}
