package embedded

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/wal"
)

// These bytes can never change: they are in every data folder.
func TestBodyIsFixed(t *testing.T) {
	id, err := eventstore.ParseEventID("019b3c2e-7d10-7000-8a4e-5b6c7d8e0000")
	if err != nil {
		t.Fatal(err)
	}
	s := &Store{heads: newHeads(0)}
	w := newWriter(s)
	w.draft.begin(&tail{head: 6}, 0x0102030405060708, 0x7fffffffffffffff/2, 4, 2)
	a := eventstore.Append{Batches: []eventstore.Batch{
		{Stream: "a", Events: []eventstore.Event{{ID: id, Type: "T", Data: []byte("d")}, {ID: id.Next(), Type: "U"}}},
		{Stream: "b", Expect: eventstore.Any, Events: []eventstore.Event{{ID: id.Add(2), Type: "V", Metadata: []byte("m")}}},
	}}
	b := eventstore.Append{Batches: []eventstore.Batch{
		{Stream: "a", Expect: 2, Events: []eventstore.Event{{ID: id.Add(3), Type: "W"}}},
	}}
	for _, a := range []eventstore.Append{a, b} {
		if r := w.judge(&a); r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	const time = "0102030405060708"
	const want = "03" +
		"0161" + "01" + "019b3c2e7d1070008a4e5b6c7d8e0000" + "0154" + time + "00" + "0164" +
		"0161" + "02" + "019b3c2e7d1070008a4e5b6c7d8e0001" + "0155" + time + "00" + "00" +
		"0162" + "01" + "019b3c2e7d1070008a4e5b6c7d8e0002" + "0156" + time + "016d" + "00" +
		"01" +
		"0161" + "03" + "019b3c2e7d1070008a4e5b6c7d8e0003" + "0157" + time + "00" + "00"
	body := w.draft.buf[wal.HeaderSize:]
	if got := hex.EncodeToString(body); got != want {
		t.Errorf("body\n got %s\nwant %s", got, want)
	}
	f, err := decode(wal.Frame{Header: wal.Header{First: 7, Count: 4}, Body: body})
	if err != nil || len(f.records) != 4 || len(f.appendAt(7)) != 3 || len(f.appendAt(10)) != 1 || f.appendAt(8) != nil {
		t.Fatalf("decoded %+v, %v", f, err)
	}
	for cut := range body {
		if _, err := decode(wal.Frame{Header: wal.Header{First: 7, Count: 4}, Body: body[:cut]}); err == nil {
			t.Errorf("a body cut to %d bytes was taken", cut)
		}
	}
}

func TestExpectations(t *testing.T) {
	s, _ := openStore(t, config(newDir(t)))
	mustAppend(t, s, one("there", eventstore.NoStream, 2))
	for _, row := range []struct {
		name   string
		stream string
		expect eventstore.Expectation
		actual eventstore.Revision // of the conflict; with ok, it holds
		ok     bool
	}{
		{"no stream, and there is none", "new", eventstore.NoStream, 0, true},
		{"no stream, but there is one", "there", eventstore.NoStream, 2, false},
		{"the exact revision", "there", eventstore.Exactly(2), 0, true},
		{"an older revision", "there", eventstore.Exactly(2), 4, false},
		{"a newer revision", "there", eventstore.Exactly(9), 4, false},
		{"any revision", "there", eventstore.Any, 0, true},
		{"a revision of no stream", "nowhere", eventstore.Exactly(1), 0, false},
	} {
		before, _ := s.Wait()
		_, err := s.Append(t.Context(), one(row.stream, row.expect, 2).Batches...)
		var conflict *eventstore.ConflictError
		if row.ok {
			if err != nil {
				t.Errorf("%s: %v", row.name, err)
			}
			continue
		}
		if !errors.As(err, &conflict) || conflict.Actual != row.actual || conflict.Head != before {
			t.Errorf("%s: %v at head %d, expected a conflict with revision %d", row.name, err, before, row.actual)
		}
		if after, _ := s.Wait(); after != before {
			t.Errorf("%s: something was written", row.name)
		}
	}
	all(t, s)
}

func TestAssertionsHoldOrNothingIsWritten(t *testing.T) {
	s, _ := openStore(t, config(newDir(t)))
	mustAppend(t, s, one("leader", eventstore.NoStream, 1))
	with := func(expect eventstore.Expectation) eventstore.Append {
		a := one("job", eventstore.Any, 1)
		a.Batches = append(a.Batches, eventstore.Batch{Stream: "leader", Expect: expect})
		return a
	}
	results, err := s.AppendEach(t.Context(), []eventstore.Append{
		with(eventstore.Exactly(1)), with(eventstore.Exactly(2)),
		{Batches: []eventstore.Batch{{Stream: "leader", Expect: eventstore.Exactly(1)}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var conflict *eventstore.ConflictError
	if results[0].Err != nil || results[0].Position != 2 {
		t.Errorf("an assertion that holds: %+v", results[0])
	}
	if !errors.As(results[1].Err, &conflict) || conflict.Stream != "leader" {
		t.Errorf("an assertion that doesn't: %+v", results[1])
	}
	if results[2].Err != nil || results[2].Position != 0 {
		t.Errorf("an assertion alone: %+v", results[2])
	}
	if n := len(all(t, s)); n != 2 {
		t.Errorf("%d records, expected 2", n)
	}
}

func TestAppendsOfOneCallAreJudgedInOrder(t *testing.T) {
	s, _ := openStore(t, config(newDir(t)))
	results, err := s.AppendEach(t.Context(), []eventstore.Append{
		one("a", eventstore.NoStream, 1), one("a", eventstore.NoStream, 1), one("a", eventstore.Exactly(1), 1), {},
	})
	if err != nil {
		t.Fatal(err)
	}
	var conflict *eventstore.ConflictError
	if !errors.As(results[1].Err, &conflict) || conflict.Actual != 1 || conflict.Head != 2 {
		t.Errorf("a conflict with the append before it: %+v", results[1].Err)
	}
	var bad *eventstore.InvalidError
	if results[0].Position != 1 || results[2].Position != 2 || !errors.As(results[3].Err, &bad) {
		t.Errorf("results %+v", results)
	}
}

func TestARepeatGetsTheFirstAnswer(t *testing.T) {
	cfg := config(newDir(t))
	cfg.JournalBytes = 2 << 10
	s, _ := openStore(t, cfg)
	a := one("job", eventstore.NoStream, 2)
	a.Batches = append(a.Batches, eventstore.Batch{
		Stream: "key", Expect: eventstore.NoStream, Events: []eventstore.Event{event(a.FirstID().Add(2), "k")},
	})
	inOne := mustAppend(t, s, a, a) // the repeat is in the same frame
	first := inOne[0]
	check := func(when string, s *Store) {
		t.Helper()
		got := mustAppend(t, s, a)[0]
		if !got.Repeated || got.Position != first.Position || got.First != first.First || got.Time != first.Time {
			t.Errorf("%s: %+v, expected %+v", when, got, first)
		}
		for _, row := range []struct {
			name   string
			change func(*eventstore.Append)
		}{
			{"other data", func(a *eventstore.Append) { a.Batches[0].Events[1].Data = []byte("other") }},
			{"another stream", func(a *eventstore.Append) { a.Batches[1].Stream = "lock" }},
			{"fewer events", func(a *eventstore.Append) { a.Batches = a.Batches[:1] }},
			{"another type", func(a *eventstore.Append) { a.Batches[0].Events[0].Type = "Other" }},
		} {
			changed := eventstore.Append{Batches: append([]eventstore.Batch(nil), a.Batches...)}
			changed.Batches[0].Events = append([]eventstore.Event(nil), a.Batches[0].Events...)
			row.change(&changed)
			_, err := s.Append(t.Context(), changed.Batches...)
			var bad *eventstore.InvalidError
			if !errors.As(err, &bad) || !strings.Contains(bad.Reason, "used for another append") {
				t.Errorf("%s, with %s: %v", when, row.name, err)
			}
		}
	}
	if !inOne[1].Repeated || inOne[1].Position != first.Position {
		t.Errorf("in the same call: %+v", inOne[1])
	}
	check("at once", s)
	for range 40 {
		mustAppend(t, s, one("filler", eventstore.Any, 1))
	}
	check("when its journal is sealed", s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again, _ := openStore(t, cfg)
	check("after a restart", again)
	if n := len(all(t, again)); n != 43 {
		t.Errorf("%d records, expected 43", n)
	}
}

func TestIDsFromTheFutureAreRefused(t *testing.T) {
	s, _ := openStore(t, config(newDir(t)))
	var ids eventstore.EventIDs
	_, err := s.Append(t.Context(), eventstore.Batch{
		Stream: "a", Events: []eventstore.Event{event(ids.New(time.Now().Add(10*time.Second)), "x")},
	})
	var bad *eventstore.InvalidError
	if !errors.As(err, &bad) || !strings.Contains(bad.Reason, "ahead of the log's time") {
		t.Errorf("an id of the future: %v", err)
	}
}

// A panic in an append is recovered by whoever called it, such as a server of
// HTTP; it must not leave the store waiting for ever.
func TestAPanicEndsTheStore(t *testing.T) {
	cfg := config(newDir(t))
	broken := false
	cfg.Clock = func() time.Time {
		if broken {
			panic("no clock")
		}
		return time.Now()
	}
	s, _ := openStore(t, cfg)
	broken = true
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_, _ = s.Append(t.Context(), one("a", eventstore.Any, 1).Batches...)
	}()
	var failed *eventstore.FailedError
	if _, err := s.Append(t.Context(), one("a", eventstore.Any, 1).Batches...); !errors.As(err, &failed) {
		t.Errorf("an append after a panic: %v", err)
	}
}
