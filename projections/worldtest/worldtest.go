// Package worldtest makes logs for tests of read models and of those who read
// them: event by event, or at random by what the aggregates themselves decide.
package worldtest

import (
	"google.golang.org/protobuf/proto"

	"github.com/hodei-jobs/hodei/aggregates/event"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections"
)

// Epoch is the time of the first record, in ns since 1970.
const Epoch = 1_767_225_600_000_000_000

// Log is a log in memory. It is not safe for concurrent use.
type Log struct {
	Records []*eventstore.Record
	Now     int64 // the next record's time, ns since 1970
	Values  bool  // records have their values, as those that were appended by this process

	revisions map[string]eventstore.Revision
}

// New returns an empty log.
func New() *Log { return &Log{Now: Epoch, revisions: make(map[string]eventstore.Revision)} }

// Add appends events to a stream and returns the position of the last.
func (l *Log) Add(stream string, events ...proto.Message) eventstore.Position {
	for _, m := range events {
		r := l.AddRaw(stream, event.TypeOf(m), event.Encode(m))
		if l.Values {
			r.Value = m
		}
	}
	return l.Head()
}

// AddRaw appends a record with any data.
func (l *Log) AddRaw(stream, typ string, data []byte) *eventstore.Record {
	l.revisions[stream]++
	r := &eventstore.Record{
		Position: l.Head() + 1, Revision: l.revisions[stream], Time: l.Now,
		Stream: eventstore.StreamID(stream), Type: typ, Data: data,
	}
	l.Records = append(l.Records, r)
	return r
}

// Head returns the position of the last record.
func (l *Log) Head() eventstore.Position { return eventstore.Position(len(l.Records)) }

// World returns what follows from the whole log.
func (l *Log) World() *projections.World { return l.WorldAt(l.Head()) }

// WorldAt returns what follows from the log up to a position.
func (l *Log) WorldAt(p eventstore.Position) *projections.World {
	w := projections.NewWorld()
	l.Apply(w, p)
	return w
}

// Apply takes w to a position.
func (l *Log) Apply(w *projections.World, p eventstore.Position) {
	for _, r := range l.Records[w.Position:p] {
		w.Apply(r)
	}
}
