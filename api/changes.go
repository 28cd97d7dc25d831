package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hodei-jobs/hodei/aggregates/event"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/sse"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections"
	"github.com/hodei-jobs/hodei/projections/telemetry"
)

// Limits of a stream of changes.
const (
	changesOften    = 50 * time.Millisecond // at most so often is looked
	changesSeldom   = 10 * time.Second      // at least so often
	changesReplayed = 100_000               // events: a client that missed more begins anew
	changesAtOnce   = 500                   // things: more in one look are not sent one by one
	changesClasses  = 100                   // of the queue
	changesCalm     = time.Second           // after so many, until the next look
)

// The kinds of things that change.
const (
	kindJob    = "job"
	kindWorker = "worker"
	kindQueue  = "queue"
	kindCounts = "counts"
)

var kinds = []string{kindJob, kindWorker, kindQueue, kindCounts}

type changesInput struct {
	Kinds     string `query:"kinds" maxLength:"64" doc:"Only these, separated by commas: job, worker, queue, counts" example:"job,counts"`
	Namespace string `query:"namespace" maxLength:"63" doc:"Only what belongs to this namespace, and workers"`
	Every     string `query:"every" maxLength:"16" default:"100ms" doc:"The least time between two looks, 50ms to 10s; what changes more often is sent once, as it is then"`
	LastID    string `header:"Last-Event-ID" doc:"The position of the last message received; the stream goes on after it"`
}

func (s *server) changes(api huma.API) {
	op := needs(token.Viewer, huma.Operation{
		OperationID: "streamChanges", Method: http.MethodGet, Path: "/v1/changes", Tags: []string{"events"},
		Summary: "Follow what changes, each thing as it is now",
		Description: "Messages named job, worker, queue and counts, with what GET /v1/jobs, /v1/workers and /v1/queue would show: the latest of each, " +
			"not every step (for that there is /v1/events). A message named reset says that what is shown must be read anew: the first one always is, " +
			"unless the stream goes on where a former one ended, and one comes when too much has changed at once.",
		Errors: []int{http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusTooManyRequests},
	})
	op.Responses = map[string]*huma.Response{"200": {Description: "Messages", Content: map[string]*huma.MediaType{
		streamType: {Schema: api.OpenAPI().Components.Schemas.Schema(typeOf[wire.Job](), true, "Job")},
	}}}
	register(s, api, op, s.followChanges)
}

func (s *server) followChanges(ctx context.Context, in *changesInput) (*huma.StreamResponse, error) {
	p, w := who(ctx), s.Runner.World()
	if err := p.in(w, in.Namespace); err != nil {
		return nil, err
	}
	f := &changeFeed{server: s, who: p, namespace: in.Namespace}
	every, err := spec.ParseDuration(in.Every)
	if f.every = time.Duration(every); err != nil || f.every < changesOften || f.every > changesSeldom {
		return nil, invalid("query.every", fmt.Sprintf("it is not a duration from %s to %s", changesOften, changesSeldom), in.Every)
	}
	if in.Namespace == "" && p.namespace != token.AllNamespaces {
		f.namespace = p.namespace
	}
	for _, kind := range kinds {
		f.wanted = append(f.wanted, in.Kinds == "" || slices.Contains(strings.Split(in.Kinds, ","), kind))
	}
	for kind := range strings.SplitSeq(in.Kinds, ",") {
		if in.Kinds != "" && !slices.Contains(kinds, kind) {
			return nil, invalid("query.kinds", strconv.Quote(cut(kind))+" is no kind; there are "+strings.Join(kinds, ", "), nil)
		}
	}
	if in.LastID != "" {
		at, err := s.parsePosition(ctx, &eventsInput{LastID: in.LastID})
		if err != nil {
			return nil, err
		}
		f.at, f.resumed = at, true
	}
	return s.stream(ctx, func(ctx context.Context, out *sse.Writer) {
		f.out = out
		f.run(ctx)
	})
}

// changeFeed sends one client what changes.
type changeFeed struct {
	*server
	who       *principal
	out       *sse.Writer
	namespace string // "" is all
	wanted    []bool // by the order of kinds
	every     time.Duration

	at      eventstore.Position         // up to which it was sent
	resumed bool                        // at is where a former stream ended
	reports map[id.ID]*telemetry.Report // as they were sent
	held    held
}

func (f *changeFeed) wants(kind string) bool { return f.wanted[slices.Index(kinds, kind)] }

// run sends changes until ctx ends or the client has left: the first at once, the
// next not before every has passed.
func (f *changeFeed) run(ctx context.Context) {
	beat := time.NewTicker(sse.Heartbeat)
	defer beat.Stop()
	for {
		w, next := f.Runner.Wait()
		_, reported := f.Telemetry.Wait()
		pause, err := f.look(ctx, w)
		if err != nil || f.flush() != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		if !f.wants(kindWorker) {
			reported = nil
		}
		select {
		case <-ctx.Done():
			return
		case <-next:
		case <-reported:
		case <-beat.C:
			f.out.Comment("")
		}
	}
}

// look sends what differs from what was sent, and returns how long the next look
// can wait.
func (f *changeFeed) look(ctx context.Context, w *projections.World) (pause time.Duration, err error) {
	fresh, pause := !f.resumed, f.every
	f.resumed = true
	changed := changedThings{}
	if !fresh && w.Position > f.at {
		fresh = w.Position-f.at > changesReplayed
		if !fresh {
			if changed, err = f.changedSince(ctx, w); err != nil {
				return 0, err
			}
			fresh = len(changed.jobs)+len(changed.workers) > changesAtOnce
		}
		if fresh {
			pause = max(pause, changesCalm)
		}
	}
	f.at = max(f.at, w.Position)
	if fresh {
		f.send("reset", wire.Reset{Position: uint64(f.at)})
		f.totals(w)
		return pause, nil
	}
	if len(changed.jobs) > 0 {
		if err := f.sendJobs(ctx, w, changed); err != nil {
			return 0, err
		}
		f.totals(w)
	}
	f.sendWorkers(w, changed)
	return pause, nil
}

// changedThings are what events have changed.
type changedThings struct {
	jobs    map[id.ID]bool
	workers map[id.ID]bool
}

// changedSince collects what the events up to w have changed.
func (f *changeFeed) changedSince(ctx context.Context, w *projections.World) (changedThings, error) {
	c := changedThings{map[id.ID]bool{}, map[id.ID]bool{}}
	var records []*eventstore.Record
	for at := f.at + 1; at <= w.Position; {
		var err error
		if records, at, err = f.Store.ReadAll(ctx, records[:0], at, min(eventBatch, int(w.Position-at+1)), eventstore.Filter{}); err != nil {
			return c, err
		}
		for _, r := range records {
			kind, name := event.ParseStream(string(r.Stream))
			i, err := id.Parse(name)
			switch {
			case err != nil || r.Position > w.Position:
			case kind == kindJob:
				c.jobs[i] = true
			case kind == kindWorker && f.wants(kindWorker):
				c.workers[i] = true
			}
		}
	}
	return c, nil
}

// sendJobs sends the jobs that changed, as far as the client may see them. What
// happens to a job changes its worker too.
func (f *changeFeed) sendJobs(ctx context.Context, w *projections.World, changed changedThings) error {
	for i := range changed.jobs {
		j, ok := w.Jobs.ByID(i)
		if !ok { // it has left memory since
			continue
		}
		if j.Worker != 0 && f.wants(kindWorker) {
			changed.workers[j.Worker] = true
		}
		if namespace := w.Jobs.Namespace(j); !f.wants(kindJob) || !f.who.sees(namespace) || f.namespace != "" && f.namespace != namespace {
			continue
		}
		b, err := f.encodings.encode(shownJob, uint64(j.ID), w.Position, func() (any, error) { return f.view(ctx, w, &j) })
		if err != nil {
			return err
		}
		f.queue(kindJob, b)
	}
	return nil
}

// sendWorkers sends the workers that changed, and those that have reported what
// they use since they were sent.
func (f *changeFeed) sendWorkers(w *projections.World, changed changedThings) {
	if !f.wants(kindWorker) {
		return
	}
	if f.reports == nil {
		f.reports = map[id.ID]*telemetry.Report{}
	}
	for row := range w.Workers.All() {
		report, _ := f.Telemetry.Latest(row.ID)
		if changed.workers[row.ID] || report != nil && f.reports[row.ID] != report {
			f.send(kindWorker, f.workerView(w, row))
		}
		if report == nil {
			delete(f.reports, row.ID)
		} else {
			f.reports[row.ID] = report
		}
	}
}

// totals sends the counts and the queue.
func (f *changeFeed) totals(w *projections.World) {
	if f.wants(kindCounts) {
		f.send(kindCounts, counts(w, f.namespace))
	}
	if !f.wants(kindQueue) {
		return
	}
	in := &queueInput{Namespace: f.namespace, PageInput: PageInput{Limit: changesClasses}}
	f.send(kindQueue, &f.queueAt(w, f.who, in, 0).Body)
}

// send queues a message. Only the last of a look says its position: a client that
// is cut off among them goes on before them, and nothing is missed.
func (f *changeFeed) send(kind string, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		f.Logger.Error("cannot show a change", "kind", kind, "error", err)
		return
	}
	f.queue(kind, b)
}

func (f *changeFeed) queue(kind string, data []byte) {
	if f.held.kind != "" {
		f.out.Event(f.held.kind, "", f.held.data)
	}
	f.held = held{kind, data}
}

// flush sends what is queued.
func (f *changeFeed) flush() error {
	if f.held.kind != "" {
		f.out.Event(f.held.kind, strconv.FormatUint(uint64(f.at), 10), f.held.data)
	}
	f.held = held{}
	return f.out.Flush()
}

// held is the message queued last.
type held struct {
	kind string
	data []byte
}
