package gateway

import (
	"context"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/event"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections"
	"github.com/hodei-jobs/hodei/projections/joblog"
)

const (
	followPage   = 1024        // records read at once
	endLogsEvery = time.Second // between two looks for logs whose attempts are over
)

// concerns chooses the events after which a worker may be owed something that
// its own session has not caused.
var concerns = eventstore.Filter{
	Prefixes: []string{event.KindJob + "-", event.KindWorker + "-", event.SettingsStream()},
	Types: []string{
		"JobBound", "JobCancelRequested", "JobCancelled", "JobTimedOut", "JobLost", "JobRequeued",
		"WorkerDraining", "WorkerTerminated", "SettingsChanged",
	},
}

// follow wakes the sessions for which a new World may differ from the one before.
// That is only a hint, which spares a thousand sessions looking at every World:
// a session that is woken compares all of what it owes.
func (g *Gateway) follow(ctx context.Context) error {
	world, next := g.config.Runner.Wait()
	g.wakeAll()
	var page [followPage]*eventstore.Record
	for {
		select {
		case <-next:
		case <-ctx.Done():
			return nil
		}
		before := world
		world, next = g.config.Runner.Wait()
		for at := before.Position + 1; at <= world.Position; {
			records, after, err := g.config.Store.ReadAll(ctx, page[:0], at, followPage, concerns)
			if err != nil {
				g.wakeAll()
				break
			}
			for _, r := range records {
				g.wakeFor(before, world, r)
			}
			at = after
		}
	}
}

// wakeFor wakes the session of the worker that an event concerns.
func (g *Gateway) wakeFor(before, now *projections.World, r *eventstore.Record) {
	if bound, ok := r.Value.(*eventv1.JobBound); ok {
		if worker, err := id.Parse(bound.WorkerId); err == nil {
			g.wake(worker)
			return
		}
	}
	kind, name := event.ParseStream(string(r.Stream))
	if kind == event.KindSettings {
		g.wakeAll()
		return
	}
	which, err := id.Parse(name)
	if err != nil {
		return
	}
	if kind == event.KindWorker {
		g.wake(which)
		return
	}
	for _, world := range []*projections.World{before, now} {
		if j, ok := world.Jobs.ByID(which); ok && j.Worker != 0 {
			g.wake(j.Worker)
		}
	}
}

// wake wakes the worker's session, if it has one.
func (g *Gateway) wake(worker id.ID) {
	if s := g.sessions.get(worker); s != nil {
		poke(s.wake)
	}
}

func (g *Gateway) wakeAll() {
	for _, s := range g.sessions.all() {
		poke(s.wake)
	}
}

func poke(signal chan struct{}) {
	select {
	case signal <- struct{}{}:
	default:
	}
}

// endLogs ends the logs of attempts that are over without a result, such as those
// of lost workers, so that their readers come to an end; and those whose result
// was recorded just before the server died.
func (g *Gateway) endLogs(ctx context.Context) {
	for {
		world, next := g.config.Runner.Wait()
		for _, k := range g.config.JobLog.Open() {
			if over(world, k.Log()) {
				g.config.JobLog.Finish(k, g.config.JobLog.Head(k))
			}
		}
		select {
		case <-next:
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(endLogsEvery):
		case <-ctx.Done():
			return
		}
	}
}

// over reports whether an attempt that was bound is not live any more.
func over(world *projections.World, k joblog.Key) bool {
	j, ok := world.Jobs.ByID(k.Job)
	if !ok || j.Attempt != k.Attempt {
		return !ok || j.Attempt > k.Attempt
	}
	_, live := world.Cluster.AttemptOf(j.Position)
	return !live
}
