package eventstore

import (
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func golden() *Record {
	id, err := ParseEventID("019b3c2e-7d10-7000-8a4e-5b6c7d8e0000")
	if err != nil {
		panic(err)
	}
	return &Record{
		Position: 1, Revision: 300, Time: 0x0102030405060708, ID: id,
		Stream: "job-7f3k9qd2", Type: "JobSubmitted",
		Metadata: []byte{1, 2, 3}, Data: []byte("data"),
	}
}

// These bytes can never change: stored logs and signed tree heads rest on them.
func TestCanonicalFormIsFixed(t *testing.T) {
	got := hex.EncodeToString(golden().AppendCanonical(nil))
	const want = "0c6a6f622d3766336b39716432" + // job-7f3k9qd2
		"ac02" + // 300
		"019b3c2e7d1070008a4e5b6c7d8e0000" +
		"0c4a6f625375626d6974746564" + // JobSubmitted
		"0102030405060708" +
		"03010203" +
		"0464617461"
	if got != want {
		t.Errorf("canonical form\n got %s\nwant %s", got, want)
	}
}

func TestChainIsFixed(t *testing.T) {
	var c, d Chain
	c.AddRecord(golden())
	d.Add(golden().AppendCanonical(nil))
	const first = "921241a9513a9fa618ad656fc5f630bbcee349d7ace879d276746d3e1582a170"
	if c.Hash.String() != first || d.Hash != c.Hash {
		t.Errorf("h(1) = %s and %s, want %s", c.Hash, d.Hash, first)
	}
	c.AddRecord(golden())
	const second = "7d3dade375ff570ffaf069f3ff293718a1765e18d9f37bd2154fb9471f852e3b"
	if c.Hash.String() != second || c.Position != 2 {
		t.Errorf("h(2) = %s at %d, want %s", c.Hash, c.Position, second)
	}
}

func TestEventIDs(t *testing.T) {
	var g EventIDs
	now := time.UnixMilli(1_767_225_600_123)
	id := g.New(now)
	if !id.valid() || !id.Time().Equal(now) {
		t.Errorf("New gives %s of %v, want version 7 of %v", id, id.Time(), now)
	}
	if back, err := ParseEventID(id.String()); err != nil || back != id {
		t.Errorf("%s reads back as %s, %v", id, back, err)
	}
	if id.Add(3) != id.Next().Next().Next() {
		t.Errorf("Add(3) is %s, three Next are %s", id.Add(3), id.Next().Next().Next())
	}
	if later := g.New(now.Add(-time.Hour)); later.String() <= id.String() {
		t.Errorf("a clock that went back made %s after %s", later, id)
	}
	for _, bad := range []string{"", "019b3c2e", strings.Repeat("g", 36), "019b3c2e-7d10-4000-8a4e-5b6c7d8e0000"} {
		if id, err := ParseEventID(bad); err == nil {
			t.Errorf("ParseEventID(%q) = %s", bad, id)
		}
	}
}

func TestEventIDsAreUniqueUnderLoad(t *testing.T) {
	const goroutines, each = 8, 5000
	var g EventIDs
	made := make([][]EventID, goroutines)
	var wg sync.WaitGroup
	now := time.Now()
	for i := range made {
		wg.Go(func() {
			for range each {
				made[i] = append(made[i], g.New(now))
			}
		})
	}
	wg.Wait()
	seen := make(map[EventID]bool)
	for _, ids := range made {
		for i, id := range ids {
			id = EventID(slices.Concat(id[:10], make([]byte, 6))) // without what is random
			if seen[id] {
				t.Fatalf("%s was made twice", id)
			}
			if i > 0 && ids[i].String() <= ids[i-1].String() {
				t.Fatalf("%s came after %s", ids[i], ids[i-1])
			}
		}
	}
}

func TestFilter(t *testing.T) {
	for _, row := range []struct {
		name   string
		filter Filter
		want   bool
	}{
		{"the zero filter takes all", Filter{}, true},
		{"one of the prefixes suffices", Filter{Prefixes: []string{"worker-", "job-"}}, true},
		{"another prefix refuses", Filter{Prefixes: []string{"worker-"}}, false},
		{"one of the types suffices", Filter{Types: []string{"JobBound", "JobSubmitted"}}, true},
		{"another type refuses", Filter{Types: []string{"JobBound"}}, false},
		{"both must hold", Filter{Prefixes: []string{"job-"}, Types: []string{"JobBound"}}, false},
	} {
		if got := row.filter.Match(golden()); got != row.want {
			t.Errorf("%s: got %v", row.name, got)
		}
	}
}

func TestValidate(t *testing.T) {
	id := NewEventID()
	event := func(n int) Event { return Event{ID: id.Add(n), Type: "JobBound"} }
	one := func(s string, e ...Event) Append { return Append{[]Batch{{Stream: StreamID(s), Events: e}}} }
	many := Append{}
	for i := range manyBatches + 2 {
		many.Batches = append(many.Batches, Batch{Stream: StreamID(strings.Repeat("s", 1+i%(manyBatches+1)))})
	}
	for _, row := range []struct {
		name   string
		append Append
		want   string // part of the reason; empty: it is fine
	}{
		{"one event", one("job-1", event(0)), ""},
		{"two streams with consecutive ids", Append{[]Batch{
			{Stream: "a", Events: []Event{event(0), event(1)}}, {Stream: "b"}, {Stream: "c", Events: []Event{event(2)}},
		}}, ""},
		{"an assertion alone", one("job-1"), ""},
		{"no batch", Append{}, "0 batches"},
		{"no name", one("", event(0)), "0 bytes"},
		{"a name too long", one(strings.Repeat("x", MaxStreamID+1), event(0)), "129 bytes"},
		{"a name with a space", one("job 1", event(0)), "without space"},
		{"a name that is not ASCII", one("job-é", event(0)), "ASCII"},
		{"a stream named twice", Append{[]Batch{{Stream: "a", Events: []Event{event(0)}}, {Stream: "a"}}}, "two batches"},
		{"a stream named twice among many", many, "two batches"},
		{"no type", one("a", Event{ID: id}), "event type"},
		{"a type too long", one("a", Event{ID: id, Type: strings.Repeat("T", MaxEventType+1)}), "event type"},
		{"no id", one("a", Event{Type: "T"}), "not a UUID"},
		{"an id from the middle of an append first", one("a", event(1)), "count its events from 0"},
		{"ids with a gap", one("a", event(0), event(2)), "consecutive"},
		{"too much data", one("a", Event{ID: id, Type: "T", Data: make([]byte, MaxAppendBytes)}), "bytes"},
		{"too many events", one("a", make([]Event, MaxEventsAppend+1)...), "1025 events"},
	} {
		err := row.append.Validate()
		var bad *InvalidError
		switch {
		case row.want == "" && err != nil:
			t.Errorf("%s: %v", row.name, err)
		case row.want != "" && (!errors.As(err, &bad) || !strings.Contains(bad.Reason, row.want)):
			t.Errorf("%s: got %v, want %q", row.name, err, row.want)
		}
	}
}
