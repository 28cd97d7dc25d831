package embedded

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/embedded/index"
	"github.com/hodei-jobs/hodei/eventstore/wal"
)

// maxIDAhead is how far an event id may be ahead of log time and wall clock.
const maxIDAhead = time.Second

// draft is a frame being made: what has been judged to hold, but is not written.
type draft struct {
	first   eventstore.Position
	time    int64 // of its records
	latest  int64 // the highest time an event id may have, ms
	buf     []byte
	records []eventstore.Record
	starts  []int32
	runs    []index.Run
	chain   eventstore.Chain

	streams map[eventstore.StreamID]head               // streams that it appends to, without spans
	ids     map[eventstore.EventID]int                 // append ids in it → their first record's ordinal
	old     map[eventstore.EventID]eventstore.Position // append ids that the index knows
}

// begin makes an empty draft of the frame after t.
// The batch has so many events and appends at most.
func (d *draft) begin(t *tail, time, latest int64, events, appends int) {
	if d.streams == nil {
		d.streams = make(map[eventstore.StreamID]head)
		d.ids = make(map[eventstore.EventID]int)
		d.old = make(map[eventstore.EventID]eventstore.Position)
	}
	clear(d.streams)
	clear(d.ids)
	clear(d.old)
	d.first, d.time = t.head+1, time
	d.latest = (latest + int64(maxIDAhead)) / 1e6
	d.buf = append(d.buf[:0], make([]byte, wal.HeaderSize)...)
	d.records, d.starts = make([]eventstore.Record, 0, events), make([]int32, 0, appends) // part of the tail later
	d.runs = d.runs[:0]
	d.chain.Hash, d.chain.Position = t.chain, t.head
}

// judge decides one append as if all before it had been written, and takes it
// into the draft if it holds.
func (w *writer) judge(a *eventstore.Append) eventstore.Result {
	d := &w.draft
	id := a.FirstID()
	if !id.IsZero() {
		if r, known := w.repeat(id, a); known {
			return r
		}
		if id.Milli() > d.latest {
			return eventstore.Result{Err: &eventstore.InvalidError{Stream: a.Batches[0].Stream, Reason: fmt.Sprintf(
				"event id %s is of %s, more than %s ahead of the log's time", id, id.Time().Format(time.RFC3339Nano), maxIDAhead)}}
		}
	}
	for i := range a.Batches {
		b := &a.Batches[i]
		if b.Expect == eventstore.Any {
			continue
		}
		if actual := w.headOf(b.Stream).revision; actual != eventstore.Revision(b.Expect) {
			return eventstore.Result{Err: &eventstore.ConflictError{Stream: b.Stream, Expected: b.Expect, Actual: actual}}
		}
	}
	if id.IsZero() {
		return eventstore.Result{Time: d.time}
	}
	return w.enter(id, a)
}

// headOf returns a stream's head, the draft included; the zero head if there is
// no such stream.
func (w *writer) headOf(s eventstore.StreamID) head {
	if h, ok := w.draft.streams[s]; ok {
		return h
	}
	if h := w.store.heads.stream(s); h != nil {
		return *h
	}
	return head{}
}

// enter puts an append that holds into the draft.
func (w *writer) enter(id eventstore.EventID, a *eventstore.Append) eventstore.Result {
	d := &w.draft
	events, _ := a.Size()
	ordinal := len(d.records)
	d.ids[id] = ordinal
	d.starts = append(d.starts, int32(ordinal))
	d.buf = binary.AppendUvarint(d.buf, uint64(events))
	for i := range a.Batches {
		b := &a.Batches[i]
		if len(b.Events) == 0 {
			continue
		}
		h := w.headOf(b.Stream)
		position := d.first + eventstore.Position(len(d.records))
		if h.revision == 0 {
			h.origin = position
		}
		d.runs = append(d.runs, index.Run{
			Stream: b.Stream, Origin: h.origin, Revision: h.revision + 1, Position: position,
			Count: uint32(len(b.Events)), ID: b.Events[0].ID, AppendID: len(d.records) == ordinal,
		})
		for k := range b.Events {
			h.revision++
			d.record(b.Stream, h.revision, &b.Events[k])
		}
		d.streams[b.Stream] = head{origin: h.origin, revision: h.revision}
	}
	first := d.first + eventstore.Position(ordinal)
	return eventstore.Result{First: first, Position: first + eventstore.Position(events) - 1, Time: d.time}
}

func (d *draft) record(s eventstore.StreamID, r eventstore.Revision, e *eventstore.Event) {
	d.records = append(d.records, eventstore.Record{
		Position: d.first + eventstore.Position(len(d.records)), Revision: r, Time: d.time,
		ID: e.ID, Stream: s, Type: e.Type, Metadata: e.Metadata, Data: e.Data, Value: e.Value,
	})
	at := len(d.buf)
	d.buf = d.records[len(d.records)-1].AppendCanonical(d.buf)
	d.chain.Add(d.buf[at:])
}

// repeat answers an append whose first id is in the log or in the draft.
func (w *writer) repeat(id eventstore.EventID, a *eventstore.Append) (r eventstore.Result, known bool) {
	d := &w.draft
	var records []eventstore.Record
	if at, ok := d.ids[id]; ok {
		f := frame{first: d.first, records: d.records, starts: d.starts}
		records = f.appendAt(d.first + eventstore.Position(at))
	} else if p, ok := w.known(id); ok {
		f, err := w.store.frame(p)
		if err != nil {
			return eventstore.Result{Err: err}, true
		}
		records = f.appendAt(p)
	} else {
		return eventstore.Result{}, false
	}
	if !sameAppend(records, a) {
		return eventstore.Result{Err: &eventstore.InvalidError{
			Stream: a.Batches[0].Stream, Reason: fmt.Sprintf("event id %s was used for another append", id),
		}}, true
	}
	last := &records[len(records)-1]
	return eventstore.Result{
		First: records[0].Position, Position: last.Position, Time: last.Time, Repeated: true,
	}, true
}

// known returns where an append that began with id is, if it is in the log.
func (w *writer) known(id eventstore.EventID) (eventstore.Position, bool) {
	if p, _ := w.store.heads.id(id); p != 0 {
		return p, true
	}
	p, ok := w.draft.old[id]
	return p, ok
}

// sameAppend reports whether a is what was recorded: the same streams, count,
// types and data.
func sameAppend(records []eventstore.Record, a *eventstore.Append) bool {
	n := 0
	for i := range a.Batches {
		b := &a.Batches[i]
		for k := range b.Events {
			if n == len(records) {
				return false
			}
			r, e := &records[n], &b.Events[k]
			if r.Stream != b.Stream || r.ID != e.ID || r.Type != e.Type || !bytes.Equal(r.Data, e.Data) {
				return false
			}
			n++
		}
	}
	return n > 0 && n == len(records)
}

// question is what a batch must ask the index.
type question struct {
	streams []eventstore.StreamID
	ids     []eventstore.EventID
	runs    []index.Run           // the last of each stream; zero if there is none
	places  []eventstore.Position // of each id; zero if there is none
}

// prefetch asks the index, in one view, for what the batch needs and is not in
// memory. What it answers is checked against the log before it is believed.
// A returned error refuses the batch.
func (w *writer) prefetch(s *indexState, batch []item) error {
	var q question
	asked := make(map[eventstore.StreamID]bool)
	for _, t := range batch {
		a := t.append()
		if id := a.FirstID(); !id.IsZero() {
			if p, sure := w.store.heads.id(id); p == 0 && !sure {
				q.ids = append(q.ids, id)
			}
		}
		for i := range a.Batches {
			stream := a.Batches[i].Stream
			if !asked[stream] && w.store.heads.stream(stream) == nil {
				asked[stream] = true
				q.streams = append(q.streams, stream)
			}
		}
	}
	if len(q.streams)+len(q.ids) == 0 {
		return nil
	}
	if err := q.ask(s.index); err != nil {
		return w.store.index.condemn(s, err)
	}
	return w.believe(s, &q)
}

func (q *question) ask(ix index.Index) error {
	q.runs = make([]index.Run, len(q.streams))
	q.places = make([]eventstore.Position, len(q.ids))
	return ix.View(func(r index.Reader) error {
		for i, s := range q.streams {
			origin, ok := r.Origin(s)
			if !ok {
				continue
			}
			run, ok := r.RunAt(origin, math.MaxUint64)
			if !ok {
				return fmt.Errorf("the index knows where %s begins, but none of its records", s)
			}
			run.Origin = origin
			q.runs[i] = run
		}
		for i, id := range q.ids {
			q.places[i], _ = r.ByID(id)
		}
		return nil
	})
}

// believe checks the answers against the records they name and keeps them.
func (w *writer) believe(asked *indexState, q *question) error {
	s := w.store
	for i, run := range q.runs {
		if run.Count == 0 {
			continue
		}
		last := run.Revision + eventstore.Revision(run.Count) - 1
		if err := s.checkRun(asked, q.streams[i], run, last); err != nil {
			return err
		}
		s.heads.put(q.streams[i], &head{origin: run.Origin, revision: last})
	}
	for i, p := range q.places {
		if p == 0 {
			continue
		}
		f, err := s.frame(p)
		if err != nil && !errors.Is(err, errBeyond) {
			return err
		}
		if err != nil || f.at(p).ID != q.ids[i] || len(f.appendAt(p)) == 0 {
			return s.index.condemn(asked, fmt.Errorf("the index says that append %s is at #%d, where it is not", q.ids[i], p))
		}
		w.draft.old[q.ids[i]] = p
	}
	return nil
}
