package storetest

import (
	"bytes"
	"slices"

	"github.com/hodei-jobs/hodei/eventstore"
)

// naive is what a store has to answer, written as plainly as can be: a list of
// records that each question goes through from its beginning. It is the oracle of
// the random cases. It is not safe for concurrent use.
type naive struct {
	records []*eventstore.Record
	written map[eventstore.EventID]eventstore.Result // by an append's first id
}

func newNaive() *naive { return &naive{written: map[eventstore.EventID]eventstore.Result{}} }

func (n *naive) head() eventstore.Position { return eventstore.Position(len(n.records)) }

func (n *naive) revision(s eventstore.StreamID) (r eventstore.Revision) {
	for _, record := range n.records {
		if record.Stream == s {
			r++
		}
	}
	return r
}

// append judges one append and writes it, if it holds, with that time.
func (n *naive) append(a eventstore.Append, time int64) eventstore.Result {
	if err := a.Validate(); err != nil {
		return eventstore.Result{Err: err}
	}
	if first, known := n.written[a.FirstID()]; known {
		if !n.isRepeat(first, a) {
			return eventstore.Result{Err: &eventstore.InvalidError{Stream: a.Batches[0].Stream, Reason: "its id was used for another append"}}
		}
		first.Repeated = true
		return first
	}
	if conflicts := n.conflicts(a); len(conflicts) > 0 {
		return eventstore.Result{Err: conflicts[0]}
	}
	return n.write(a, time)
}

// conflicts returns what is not as the append expects.
func (n *naive) conflicts(a eventstore.Append) (out []*eventstore.ConflictError) {
	for _, b := range a.Batches {
		if actual := n.revision(b.Stream); b.Expect != eventstore.Any && b.Expect != eventstore.Exactly(actual) {
			out = append(out, &eventstore.ConflictError{Stream: b.Stream, Expected: b.Expect, Actual: actual, Head: n.head()})
		}
	}
	return out
}

// isRepeat compares an append with what was written under its id.
func (n *naive) isRepeat(first eventstore.Result, a eventstore.Append) bool {
	were := n.records[first.First-1 : first.Position]
	for _, b := range a.Batches {
		for _, e := range b.Events {
			if len(were) == 0 || were[0].Stream != b.Stream || were[0].Type != e.Type || !bytes.Equal(were[0].Data, e.Data) {
				return false
			}
			were = were[1:]
		}
	}
	return len(were) == 0
}

func (n *naive) write(a eventstore.Append, time int64) eventstore.Result {
	result := eventstore.Result{Time: time}
	for _, b := range a.Batches {
		revision := n.revision(b.Stream)
		for _, e := range b.Events {
			revision++
			n.records = append(n.records, &eventstore.Record{
				Position: n.head() + 1, Revision: revision, Time: time, ID: e.ID, Stream: b.Stream,
				Type: e.Type, Metadata: e.Metadata, Data: e.Data, Value: e.Value,
			})
			if result.First == 0 {
				result.First = n.head()
			}
			result.Position = n.head()
		}
	}
	if result.First > 0 {
		n.written[a.FirstID()] = result
	}
	return result
}

// all returns the records from a position on that pass.
func (n *naive) all(from eventstore.Position, f eventstore.Filter) (out []*eventstore.Record) {
	for _, r := range n.records {
		if r.Position >= from && f.Match(r) {
			out = append(out, r)
		}
	}
	return out
}

func (n *naive) stream(s eventstore.StreamID, from eventstore.Revision, limit int, d eventstore.Direction) (out []*eventstore.Record) {
	for _, r := range n.records {
		inside := r.Revision >= from
		if d == eventstore.Backwards {
			inside = r.Revision <= from || from == 0
		}
		if r.Stream == s && inside {
			out = append(out, r)
		}
	}
	if d == eventstore.Backwards {
		slices.Reverse(out)
	}
	return out[:min(limit, len(out))]
}
