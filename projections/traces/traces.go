// Package traces tells OpenTelemetry of jobs that have ended. Nothing is measured
// for it: a job's trace is its stream of events, read once, when it ends.
//
//	job build-web            from its submission to its end; child of the request that submitted it
//	├── waiting              until it is permitted to start, once an attempt
//	└── attempt 1            from its start to its end
//	    ├── step 1: install
//	    └── step 2: test
//
// Ids of spans follow from job, attempt and step, so that what a job does is below
// its attempt ([Attempt] is given to it as TRACEPARENT), and a trace that is told
// twice is the same. Telling is best effort: spans wait in a bounded queue, and
// are dropped while nobody takes them.
package traces

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/hodei-jobs/hodei/aggregates/event"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections"
)

const (
	batch    = 1024            // records read in one go
	lastWait = 5 * time.Second // to hand over what is queued at the end
)

// ends are the events that may be a job's last.
var ends = []string{"JobSucceeded", "JobFailed", "JobCancelled", "JobTimedOut", "JobLost"}

// Config is what a Teller works with. All fields are required.
type Config struct {
	Store    eventstore.Store
	Wait     func() (*projections.World, <-chan struct{}) // the newest World, and what is closed when there is a newer one
	Exporter sdk.SpanExporter
	Version  string // of the server
}

// Teller tells of jobs. Run is called once.
type Teller struct {
	config   Config
	from     eventstore.Position // what comes after it is told
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

// New returns a Teller that tells of the jobs that end from now on.
func New(c Config) *Teller {
	t := &Teller{config: c}
	t.from, _ = c.Store.Wait()
	t.provider = sdk.NewTracerProvider(sdk.WithBatcher(c.Exporter), sdk.WithIDGenerator(given{}),
		sdk.WithSampler(sdk.ParentBased(sdk.AlwaysSample())), sdk.WithResource(service(c.Version)))
	t.tracer = t.provider.Tracer("github.com/hodei-jobs/hodei")
	return t
}

// Run tells until ctx ends, hands over what is queued, and returns ctx's error, or
// why the store can't be read.
func (t *Teller) Run(ctx context.Context) error {
	err := t.follow(ctx)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWait)
	defer cancel()
	_ = t.provider.Shutdown(last) // what nobody takes is dropped
	return err
}

func (t *Teller) follow(ctx context.Context) error {
	var records []*eventstore.Record
	for at := t.from; ; {
		w, next := t.config.Wait()
		for at < w.Position {
			var after eventstore.Position
			var err error
			records, after, err = t.config.Store.ReadAll(ctx, records[:0], at+1, int(min(batch, w.Position-at)), eventstore.Filter{Types: ends})
			if err != nil {
				return err
			}
			for _, r := range records {
				if err := t.tell(ctx, r); err != nil {
					return err
				}
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

// tell tells of the job of a record, if that was its last.
func (t *Teller) tell(ctx context.Context, last *eventstore.Record) error {
	m, err := event.Decode(last.Type, last.Data)
	if again, ok := m.(interface{ GetRetried() bool }); err != nil || ok && again.GetRetried() {
		return nil // a newer server wrote it, or it is not the last
	}
	_, name := event.ParseStream(string(last.Stream))
	job, err := id.Parse(name)
	if err != nil {
		return nil // no job's
	}
	records, err := t.config.Store.ReadStream(ctx, nil, last.Stream, 1, int(last.Revision), eventstore.Forwards)
	if err != nil {
		return err
	}
	s := story{tracer: t.tracer, job: job}
	for _, r := range records {
		if r.Revision > last.Revision {
			break
		}
		if err := s.take(r); errors.Is(err, event.ErrUnknown) {
			continue // a newer server wrote it
		} else if err != nil {
			return nil // its stream is frozen; there is nothing to tell
		}
	}
	s.end()
	return nil
}

// Attempt returns the W3C traceparent that what runs in an attempt goes on from:
// the attempt's span, in the trace of the job's submission. parent is what that came
// with; without one it began a trace of its own, with the id of its event.
func Attempt(parent string, submission eventstore.EventID, job id.ID, attempt uint32) string {
	const version, traceEnd, spanEnd = "00-", 35, 52
	span := spanOf(job, attempt, 0).String()
	if len(parent) < spanEnd {
		return version + trace.TraceID(submission).String() + "-" + span + "-01"
	}
	return parent[:traceEnd] + "-" + span + parent[spanEnd:]
}

// spanOf is the id of a span: of a job (attempt 0), an attempt or a step of it.
func spanOf(job id.ID, attempt, step uint32) (out trace.SpanID) {
	b := binary.BigEndian.AppendUint64(nil, uint64(job))
	b = binary.BigEndian.AppendUint32(b, attempt)
	sum := sha256.Sum256(binary.BigEndian.AppendUint32(b, step))
	copy(out[:], sum[:])
	return out
}

// given is a generator of ids that gives those of its context.
type given struct{}

type spanKey struct{}

type ids struct {
	trace trace.TraceID
	span  trace.SpanID
}

func withIDs(ctx context.Context, i ids) context.Context { return context.WithValue(ctx, spanKey{}, i) }

// NewIDs implements sdk.IDGenerator.
func (given) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	i, _ := ctx.Value(spanKey{}).(ids)
	return i.trace, i.span
}

// NewSpanID implements sdk.IDGenerator.
func (given) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	i, _ := ctx.Value(spanKey{}).(ids)
	return i.span
}
