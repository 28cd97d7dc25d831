package api

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/hodei-jobs/hodei/aggregates/event"
	"github.com/hodei-jobs/hodei/api/sse"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/eventstore"
)

// followEvents streams every event after a position, then each new one once
// reads of anything include it.
func (s *server) followEvents(ctx context.Context, out *sse.Writer, after eventstore.Position, f eventstore.Filter) {
	beat := time.NewTicker(sse.Heartbeat)
	defer beat.Stop()
	for at := after + 1; ; {
		w, next := s.Runner.Wait()
		var err error
		if at, err = s.sendEvents(ctx, out, at, w.Position, f); err != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-next:
		case <-beat.C:
			out.Comment("")
		}
	}
}

// sendEvents sends the events from one position to another, both included, and
// returns where to go on. An error means that the stream can't.
func (s *server) sendEvents(ctx context.Context, out *sse.Writer, at, head eventstore.Position, f eventstore.Filter) (eventstore.Position, error) {
	var records []*eventstore.Record
	for at <= head && ctx.Err() == nil {
		var err error
		if records, at, err = s.Store.ReadAll(ctx, records[:0], at, min(eventBatch, int(head-at+1)), f); err != nil {
			return at, err
		}
		for _, r := range records {
			if r.Position > head { // it comes again
				at = head + 1
				break
			}
			b, err := s.encodings.encode(shownEvent, uint64(r.Position), r.Position, func() (any, error) { return eventView(r), nil })
			if err != nil {
				s.Logger.Error("cannot show an event", "position", uint64(r.Position), "error", err)
				return at, err
			}
			out.Event("", strconv.FormatUint(uint64(r.Position), 10), b)
			if out.Buffered() >= flushBytes {
				if err := out.Flush(); err != nil {
					return at, err
				}
			}
		}
	}
	return at, out.Flush()
}

// eventView is a record as it is shown. One of a type this server doesn't know
// (it was written by a newer one) is shown without its content.
func eventView(r *eventstore.Record) wire.Event {
	v := wire.Event{
		Position: uint64(r.Position), Time: r.When(), Stream: string(r.Stream), Revision: uint64(r.Revision),
		Type: r.Type, ID: uuid.UUID(r.ID).String(), Text: r.Type, Data: json.RawMessage("{}"),
	}
	if m, err := event.DecodeMetadata(r.Metadata); err == nil {
		v.Actor, v.Source = m.GetActor(), m.GetSource()
		if len(m.GetRequestId()) == 16 {
			v.Request = uuid.UUID(m.GetRequestId()).String()
		}
	}
	if m, err := message(r); err == nil {
		v.Text, v.Data = event.Describe(m), eventData(m)
	}
	return v
}

// message is the record's decoded event.
func message(r *eventstore.Record) (proto.Message, error) {
	if m, ok := r.Value.(proto.Message); ok {
		return m, nil
	}
	return event.Decode(r.Type, r.Data)
}
