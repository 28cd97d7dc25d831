package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hodei-jobs/hodei/eventstore"
)

// metamorphic does the same to a store and to the naive one, at random, and
// compares every answer.
func metamorphic(t *testing.T, open func(*testing.T) Harness) {
	rapid.Check(t, func(rt *rapid.T) {
		h := open(t)
		m := &machine{harness: h, store: h.Store(), naive: newNaive()}
		defer func() { _ = m.store.Close() }() // many are opened in one test
		rt.Repeat(map[string]func(*rapid.T){
			"append":   m.append,
			"call":     m.call,
			"repeat":   m.repeat,
			"read":     m.readAll,
			"stream":   m.readStream,
			"position": m.positionAt,
			"snapshot": m.snapshot,
			"reopen":   func(*rapid.T) { m.store = h.Reopen() },
			"":         m.check,
		})
		if err := verify(t.Context(), m.store); err != nil {
			rt.Fatal(err)
		}
	})
}

type machine struct {
	harness Harness
	store   eventstore.Store
	naive   *naive
	sent    []eventstore.Append // to be repeated
	saved   []eventstore.Position
}

var (
	randomStreams = rapid.SampledFrom([]eventstore.StreamID{"a", "b", "job-1", "job-10", "job-2"})
	randomTypes   = rapid.SampledFrom([]string{"Submitted", "Started", "Sub"})
	randomFilters = rapid.Custom(func(t *rapid.T) eventstore.Filter {
		return eventstore.Filter{
			Prefixes: rapid.SliceOfN(rapid.SampledFrom([]string{"job-", "job-1", "a", ""}), 0, 2).Draw(t, "prefixes"),
			Types:    rapid.SliceOfN(randomTypes, 0, 2).Draw(t, "types"),
		}
	})
)

const (
	snapshotName = "world"
	snapshotKeep = 3
)

// draw makes an append that mostly holds.
func (m *machine) draw(t *rapid.T) eventstore.Append {
	streams := rapid.SliceOfNDistinct(randomStreams, 1, 3, rapid.ID).Draw(t, "streams")
	var batches []eventstore.Batch
	for _, s := range streams {
		b := eventstore.Batch{Stream: s, Expect: m.expectation(t, s)}
		for range rapid.IntRange(0, 3).Draw(t, "events") {
			b.Events = append(b.Events, eventstore.Event{
				Type:     randomTypes.Draw(t, "type"),
				Metadata: rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "metadata"),
				Data:     rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "data"),
			})
		}
		batches = append(batches, b)
	}
	if rapid.IntRange(0, 20).Draw(t, "malformed") == 20 {
		batches = append(batches, batches[0])
	}
	return numbered(batches...)
}

func (m *machine) expectation(t *rapid.T, s eventstore.StreamID) eventstore.Expectation {
	now := m.naive.revision(s)
	return rapid.SampledFrom([]eventstore.Expectation{
		eventstore.Exactly(now), eventstore.Any, eventstore.Exactly(now), eventstore.NoStream, eventstore.Exactly(now + 1),
	}).Draw(t, "expectation")
}

func (m *machine) append(t *rapid.T) { m.send(t, m.draw(t)) }

func (m *machine) call(t *rapid.T) {
	var appends []eventstore.Append
	for range rapid.IntRange(2, 4).Draw(t, "appends") {
		appends = append(appends, m.draw(t))
	}
	if rapid.Bool().Draw(t, "the first again") {
		appends = append(appends, appends[0])
	}
	m.send(t, appends...)
}

// repeat sends something again, as it was or with the same ids for something else.
func (m *machine) repeat(t *rapid.T) {
	if len(m.sent) == 0 {
		t.Skip("nothing was sent")
	}
	a := m.sent[rapid.IntRange(0, len(m.sent)-1).Draw(t, "which")]
	if rapid.Bool().Draw(t, "changed") {
		a = changed(a, func(b []eventstore.Batch) []eventstore.Batch {
			last := &b[len(b)-1]
			if len(last.Events) > 0 {
				last.Events[0].Data = append([]byte("not "), last.Events[0].Data...)
			}
			return b
		})
	}
	m.send(t, a)
}

func (m *machine) send(t *rapid.T, appends ...eventstore.Append) {
	results, err := m.store.AppendEach(t.Context(), appends)
	if err != nil || len(results) != len(appends) {
		t.Fatalf("%d appends have %d results, %v", len(appends), len(results), err)
	}
	for i, a := range appends {
		conflicts := m.naive.conflicts(a)
		want := m.naive.append(a, results[i].Time)
		if err := sameResult(results[i], want, conflicts); err != nil {
			t.Fatalf("append %d: %v\n got %+v\nwant %+v", i, err, results[i], want)
		}
		m.sent = append(m.sent, a)
	}
}

// sameResult compares two answers. Of several conflicts either may be named.
func sameResult(got, want eventstore.Result, conflicts []*eventstore.ConflictError) error {
	var conflict *eventstore.ConflictError
	var invalid *eventstore.InvalidError
	switch {
	case want.Err == nil && got.Err == nil:
		if got.First != want.First || got.Position != want.Position || got.Repeated != want.Repeated || got.Time != want.Time {
			return errors.New("another answer")
		}
		return nil
	case errors.As(want.Err, &conflict):
		if errors.As(got.Err, &conflict) {
			for _, c := range conflicts {
				if c.Stream == conflict.Stream && c.Expected == conflict.Expected && c.Actual == conflict.Actual && conflict.Head >= c.Head {
					return nil
				}
			}
		}
	case errors.As(want.Err, &invalid) && errors.As(got.Err, &invalid):
		return nil
	}
	return fmt.Errorf("another error: %w", got.Err)
}

func (m *machine) readAll(t *rapid.T) {
	from := eventstore.Position(rapid.IntRange(1, len(m.naive.records)+2).Draw(t, "from"))
	step := rapid.IntRange(1, 9).Draw(t, "step")
	f := randomFilters.Draw(t, "filter")
	got, err := scan(t.Context(), m.store, from, step, f)
	if err != nil {
		t.Fatal(err)
	}
	sameRecords(t, got, m.naive.all(from, f))
}

func (m *machine) readStream(t *rapid.T) {
	s := randomStreams.Draw(t, "stream")
	from := eventstore.Revision(rapid.IntRange(0, int(m.naive.revision(s))+2).Draw(t, "from"))
	limit := rapid.IntRange(1, 9).Draw(t, "limit")
	d := rapid.SampledFrom([]eventstore.Direction{eventstore.Forwards, eventstore.Backwards}).Draw(t, "direction")
	got, err := m.store.ReadStream(t.Context(), nil, s, from, limit, d)
	if err != nil {
		t.Fatal(err)
	}
	sameRecords(t, got, m.naive.stream(s, from, limit, d))
}

func sameRecords(t *rapid.T, got, want []*eventstore.Record) {
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i := range got {
		if err := sameRecord(got[i], want[i]); err != nil {
			t.Fatalf("record %d: %v", i, err)
		}
	}
}

func (m *machine) positionAt(t *rapid.T) {
	at := time.Now().UnixNano()
	if n := len(m.naive.records); n > 0 {
		at = m.naive.records[rapid.IntRange(0, n-1).Draw(t, "record")].Time + int64(rapid.IntRange(-1, 1).Draw(t, "off by"))
	}
	got, err := m.store.PositionAt(t.Context(), time.Unix(0, at))
	if want := positionAt(m.naive.records, at); err != nil || got != want {
		t.Fatalf("at %d it is #%d, %v; want #%d", at, got, err, want)
	}
}

// snapshot saves one at the head, and looks for one that was saved.
func (m *machine) snapshot(t *rapid.T) {
	head := m.naive.head()
	data := snapshotData(snapshotName, "1", head)
	if err := m.store.SaveSnapshot(t.Context(), eventstore.Snapshot{Name: snapshotName, Version: "1", Position: head, Data: data}, snapshotKeep); err != nil {
		t.Fatal(err)
	}
	if n := len(m.saved); n == 0 || m.saved[n-1] != head {
		m.saved = append(m.saved, head)
		m.saved = m.saved[max(0, len(m.saved)-snapshotKeep):]
	}
	at := eventstore.Position(rapid.IntRange(1, int(head)+1).Draw(t, "at or below"))
	var want eventstore.Position
	found := false
	for _, p := range m.saved {
		if p <= at {
			want, found = p, true
		}
	}
	got, ok, skipped, err := m.store.LoadSnapshot(t.Context(), snapshotName, "1", at)
	if err != nil || len(skipped) > 0 || ok != found || got.Position != want {
		t.Fatalf("at or below #%d loaded #%d, %v, %v, %v; saved are %v", at, got.Position, ok, skipped, err, m.saved)
	}
	if ok && string(got.Data) != string(snapshotData(snapshotName, "1", want)) {
		t.Fatalf("snapshot #%d holds %q", want, got.Data)
	}
}

// check compares what every step could have changed.
func (m *machine) check(t *rapid.T) {
	if head, _ := m.store.Wait(); head != m.naive.head() {
		t.Fatalf("the head is #%d, want #%d", head, m.naive.head())
	}
	s := randomStreams.Draw(t, "looked at")
	if got, err := m.store.StreamRevision(t.Context(), s); err != nil || got != m.naive.revision(s) {
		t.Fatalf("%s is at revision %d, %v; want %d", s, got, err, m.naive.revision(s))
	}
}
