package metrics

import (
	"context"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/event"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections"
)

// batch is how many records are counted in one go.
const batch = 1024

// Run counts what is recorded after New, until ctx ends, and returns its error, or
// why the store can't be read.
func (m *Metrics) Run(ctx context.Context) error {
	var records []*eventstore.Record
	for at := m.from; ; {
		seen, next := m.shown()
		for at < seen {
			var after eventstore.Position
			var err error
			records, after, err = m.config.Store.ReadAll(ctx, records[:0], at+1, int(min(batch, seen-at)), eventstore.Filter{})
			if err != nil {
				return err
			}
			w, _ := m.config.Wait()
			for _, r := range records {
				m.count(w, r)
			}
			clear(records) // they need not outlive their place in the store
			at = after - 1
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-next:
		}
	}
}

// shown is how far the World shows the log, and when to look again.
func (m *Metrics) shown() (eventstore.Position, <-chan struct{}) {
	w, next := m.config.Wait()
	return w.Position, next
}

// outcomes are the events that end an attempt, in the words of a job's state.
var outcomes = map[string]string{
	"JobSucceeded": "succeeded", "JobFailed": "failed", "JobCancelled": "cancelled", "JobTimedOut": "timed_out", "JobLost": "lost",
}

// count counts a record that w shows. w may be past it: what the job has become
// since then is left out, rather than counted for what it was.
func (m *Metrics) count(w *projections.World, r *eventstore.Record) {
	m.events.WithLabelValues(r.Type).Inc()
	outcome, ended := outcomes[r.Type]
	if !ended && r.Type != "JobStarted" {
		return
	}
	_, name := event.ParseStream(string(r.Stream))
	who, err := id.Parse(name)
	if err != nil {
		return
	}
	j, ok := w.Jobs.ByID(who)
	switch {
	case !ok || j.Started == 0 || j.Started > r.Time:
	case ended:
		m.ran.WithLabelValues(outcome).Observe(seconds(r.Time - j.Started))
	case j.Attempt == 1:
		m.waited.Observe(seconds(r.Time - j.Submitted))
	}
}

func seconds(ns int64) float64 { return time.Duration(ns).Seconds() }
