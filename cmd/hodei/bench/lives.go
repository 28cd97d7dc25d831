package bench

import (
	"context"
	"crypto/rand"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hodei-jobs/hodei/aggregates/event"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/eventstore"
)

// stepped is a job of two steps.
var stepped = spec.Spec{Steps: []spec.Step{{Name: "one", Run: "make"}, {Name: "two", Run: "make test"}}, Resources: trivial.Resources}.WithDefaults()

// livesAppend is how many lives one call appends.
const livesAppend = 512

// appendLives writes finished lives of 8 events as the aggregates decide them:
// submitted, bound, started, two steps begun and finished, succeeded.
func appendLives(ctx context.Context, store eventstore.Store, events int) (written int, err error) {
	var ids eventstore.EventIDs
	metadata := event.EncodeMetadata(&eventv1.Metadata{Actor: "bench", Source: "bench", RequestId: make([]byte, 16)})
	for written < events {
		appends := make([]eventstore.Append, livesAppend)
		for i := range appends {
			var raw [5]byte
			_, _ = rand.Read(raw[:])
			jobID := id.FromBytes(raw)
			messages, err := life(jobID)
			if err != nil {
				return written, err
			}
			next := ids.New(time.Now())
			batch := eventstore.Batch{Stream: eventstore.StreamID(event.JobStream(jobID)), Expect: eventstore.NoStream}
			for _, m := range messages {
				batch.Events = append(batch.Events, eventstore.Event{ID: next, Type: event.TypeOf(m), Metadata: metadata, Data: event.Encode(m)})
				next = next.Next()
			}
			appends[i].Batches = []eventstore.Batch{batch}
			written += len(messages)
		}
		results, err := store.AppendEach(ctx, appends)
		if err != nil {
			return written, err
		}
		for _, r := range results {
			if r.Err != nil {
				return written, r.Err
			}
		}
	}
	return written, nil
}

// life is one job's life, decided command by command.
func life(jobID id.ID) (all []proto.Message, err error) {
	const worker = "m2c8v0xk"
	var s job.State
	for _, c := range []job.Command{
		job.Submit{ID: jobID, Spec: stepped},
		job.Bind{Attempt: 1, Worker: worker, Decision: &eventv1.Decision{Policy: "binpack", PlanVersion: 1, Position: 1, Considered: 10,
			Best: []*eventv1.Candidate{{WorkerId: worker, Score: 0.5}}}},
		job.Start{Attempt: 1, Worker: worker},
		job.RecordStep{Attempt: 1, Worker: worker, Step: 1, Name: "one", State: job.StepRunning},
		job.RecordStep{Attempt: 1, Worker: worker, Step: 1, Name: "one", State: job.StepSucceeded, ExitCode: &exit0, Took: time.Second},
		job.RecordStep{Attempt: 1, Worker: worker, Step: 2, Name: "two", State: job.StepRunning},
		job.RecordStep{Attempt: 1, Worker: worker, Step: 2, Name: "two", State: job.StepSucceeded, ExitCode: &exit0, Took: time.Second},
		job.Finish{Attempt: 1, Worker: worker, Outcome: job.OutcomeSucceeded, Ending: ending},
	} {
		messages, err := s.Decide(c)
		if err != nil {
			return nil, err
		}
		for _, m := range messages {
			s = job.Evolve(s, m)
		}
		all = append(all, messages...)
	}
	return all, nil
}

func decode(r *eventstore.Record) error {
	_, err := event.Decode(r.Type, r.Data)
	return err
}
