package traces

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/trace"

	"github.com/hodei-jobs/hodei/aggregates/event"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/eventstore"
)

// Numbers of spans that are no step of an attempt.
const waitingStep = 1 << 31

func service(version string) *resource.Resource {
	return resource.NewSchemaless(attribute.String("service.name", "hodei"), attribute.String("service.version", version))
}

// story makes the spans of one job out of its events.
type story struct {
	tracer trace.Tracer
	job    id.ID

	root, waiting, attempt, step span
	number                       uint32 // of the attempt
}

// span is one that has begun and not ended.
type span struct {
	ctx context.Context //nolint:containedctx // what its children begin from
	trace.Span
}

func (s *story) begin(parent context.Context, name string, i ids, at time.Time, attributes ...attribute.KeyValue) span {
	ctx, made := s.tracer.Start(withIDs(parent, i), name, trace.WithTimestamp(at), trace.WithAttributes(attributes...))
	return span{ctx, made}
}

// finish ends a span, if it has begun.
func (p *span) finish(at time.Time, fault string, attributes ...attribute.KeyValue) {
	if p.Span == nil {
		return
	}
	p.SetAttributes(attributes...)
	if fault != "" {
		p.SetStatus(codes.Error, fault)
	}
	p.End(trace.WithTimestamp(at))
	*p = span{}
}

// take goes on with a record of the job's stream.
func (s *story) take(r *eventstore.Record) error {
	m, err := event.Decode(r.Type, r.Data)
	if err != nil {
		return err
	}
	switch e := m.(type) {
	case *eventv1.JobSubmitted:
		s.submitted(r, e)
	case *eventv1.JobStarted:
		s.waiting.finish(r.When(), "")
		s.number = e.GetAttempt()
		s.attempt = s.begin(s.root.ctx, fmt.Sprintf("attempt %d", s.number), ids{span: spanOf(s.job, s.number, 0)}, r.When(), attribute.String("hodei.worker.id", e.GetWorkerId()))
	case *eventv1.StepStarted:
		s.stepStarted(r, e)
	case *eventv1.StepFinished:
		s.step.finish(r.When(), faultOf(e.GetState()), attribute.String("hodei.step.state", e.GetState()))
	case *eventv1.JobRequeued:
		s.waiting.finish(r.When(), "")
		s.wait(r.When(), e.GetAttempt())
	case *eventv1.JobSucceeded:
		s.attemptEnded(r, "succeeded", "", e.GetEnding(), false)
	case *eventv1.JobFailed:
		s.attemptEnded(r, "failed", event.Code(e.GetCause(), "failed"), e.GetEnding(), e.GetRetried())
	case *eventv1.JobTimedOut:
		s.attemptEnded(r, "timed_out", "time_limit", e.GetEnding(), e.GetRetried())
	case *eventv1.JobLost:
		s.attemptEnded(r, "lost", event.Code(e.GetCause(), "lost"), nil, e.GetRetried())
	case *eventv1.JobCancelled:
		s.attemptEnded(r, "cancelled", "", e.GetEnding(), false)
	}
	return nil
}

// submitted begins the trace: that of the request, or one of the job's own, whose
// id is that of the event.
func (s *story) submitted(r *eventstore.Record, e *eventv1.JobSubmitted) {
	ctx, i := context.Background(), ids{trace: trace.TraceID(r.ID), span: spanOf(s.job, 0, 0)}
	if metadata, err := event.DecodeMetadata(r.Metadata); err == nil && len(metadata.GetTraceparent()) == 25 {
		parent := metadata.GetTraceparent()
		ctx = trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: trace.TraceID(parent[:16]), SpanID: trace.SpanID(parent[16:24]), TraceFlags: trace.TraceFlags(parent[24]), Remote: true,
		}))
	}
	s.root = s.begin(ctx, "job "+e.GetName(), i, r.When(), attribute.String("hodei.job.id", s.job.String()), attribute.String("hodei.namespace", e.GetNamespace()))
	s.wait(r.When(), 1)
}

func (s *story) wait(at time.Time, attempt uint32) {
	s.waiting = s.begin(s.root.ctx, "waiting", ids{span: spanOf(s.job, attempt, waitingStep)}, at)
}

func (s *story) stepStarted(r *eventstore.Record, e *eventv1.StepStarted) {
	if s.attempt.Span == nil {
		return
	}
	name := fmt.Sprintf("step %d", e.GetStep())
	if e.GetName() != "" {
		name += ": " + e.GetName()
	}
	s.step = s.begin(s.attempt.ctx, name, ids{span: spanOf(s.job, s.number, e.GetStep())}, r.When())
}

func (s *story) attemptEnded(r *eventstore.Record, outcome, cause string, ending *eventv1.Ending, retried bool) {
	fault := faultOf(outcome)
	if fault != "" && cause != "" {
		fault = cause
	}
	attributes := []attribute.KeyValue{attribute.String("hodei.outcome", outcome)}
	if ending != nil && ending.ExitCode != nil {
		attributes = append(attributes, attribute.Int("hodei.exit_code", int(ending.GetExitCode())))
	}
	s.waiting.finish(r.When(), "")
	s.step.finish(r.When(), fault)
	s.attempt.finish(r.When(), fault, attributes...)
	if retried {
		return
	}
	s.root.finish(r.When(), fault, attributes...)
}

// end drops what has no end: a job that goes on is told of when it has ended. A
// span that is not ended is not handed over.
func (s *story) end() { *s = story{} }

// faultOf is what a span's status says of an outcome; "" is no fault.
func faultOf(outcome string) string {
	switch outcome {
	case "succeeded", "skipped", "cancelled":
		return ""
	}
	return outcome
}
