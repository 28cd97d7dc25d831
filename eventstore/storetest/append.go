package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hodei-jobs/hodei/eventstore"
)

var appendCases = []testCase{
	{"batches over several streams are written whole, in their order", func(p *proof) {
		got := p.must(to("a", eventstore.NoStream, "1", "2"), to("b", eventstore.Any, "3"), to("c", eventstore.NoStream, "4", "5"))
		if got.First != 1 || got.Position != 5 || got.Repeated {
			p.Errorf("the answer is %+v", got)
		}
		records := p.log()
		same(p, "the log", texts(records), "1", "2", "3", "4", "5")
		for _, r := range records {
			if r.Time != got.Time {
				p.Errorf("#%d has the time %d, the answer %d", r.Position, r.Time, got.Time)
			}
		}
	}},
	{"if one stream of several is not as expected nothing is written", func(p *proof) {
		p.must(to("b", eventstore.NoStream, "1"))
		p.unchanged(func() {
			p.conflict("b", eventstore.NoStream, 1, to("a", eventstore.NoStream, "x"), to("b", eventstore.NoStream, "y"))
			p.conflict("b", eventstore.NoStream, 1, to("b", eventstore.NoStream, "y"), to("a", eventstore.NoStream, "x"))
			p.conflict("b", eventstore.Exactly(2), 1, to("a", eventstore.Any, "x"), to("c", eventstore.Any, "x"), to("b", eventstore.Exactly(2), "y"))
		})
		if got := p.revision("a"); got != 0 {
			p.Errorf("a refused append made a stream of revision %d", got)
		}
	}},
	{"an append is durable and readable when it is answered", func(p *proof) {
		for i := range 20 {
			got := p.must(to("a", eventstore.Exactly(eventstore.Revision(i)), fmt.Sprint(i)))
			if head := p.head(); head != got.Position {
				p.Fatalf("answered #%d, the head is #%d", got.Position, head)
			}
			if r := p.revision("a"); r != eventstore.Revision(i+1) {
				p.Fatalf("after %d appends the stream is at revision %d", i+1, r)
			}
			same(p, "the newest", p.stream("a", 0, 1, eventstore.Backwards), fmt.Sprint(i))
		}
	}},
	{"what was written is there when the store is opened again", func(p *proof) {
		p.must(to("a", eventstore.NoStream, "1", "2"), to("b", eventstore.NoStream, "3"))
		p.must(to("a", eventstore.Exactly(2), "4"))
		before, chain := p.log(), p.chain(p.head())
		p.reopen()
		after := p.log()
		if len(after) != len(before) || p.chain(p.head()) != chain {
			p.Fatalf("there were %d records, there are %d", len(before), len(after))
		}
		for i := range after {
			if err := sameRecord(after[i], before[i]); err != nil {
				p.Error(err)
			}
		}
		if got := p.must(to("a", eventstore.Exactly(3), "5")); got.First != 5 {
			p.Errorf("the log goes on at #%d", got.First)
		}
	}},
	{"what was handed in comes back unchanged, to the byte", func(p *proof) {
		contents := map[string]eventstore.Event{
			"empty":  {Type: "E"},
			"zeroes": {Type: strings.Repeat("T", eventstore.MaxEventType), Metadata: []byte{0, 0}, Data: []byte{0}},
			"binary": {Type: "~!", Metadata: bytes.Repeat([]byte{0xff, 0, '\n'}, 300), Data: bytes.Repeat([]byte{1, 2, 0xfe}, 100_000)},
		}
		for stream, want := range contents {
			a := numbered(eventstore.Batch{Stream: eventstore.StreamID(stream), Events: []eventstore.Event{want}})
			p.mustAll(a)
			want.ID = a.FirstID()
			contents[stream] = want
		}
		p.reopen()
		for _, r := range p.log() {
			want := contents[string(r.Stream)]
			if r.ID != want.ID || r.Type != want.Type || !bytes.Equal(r.Metadata, want.Metadata) || !bytes.Equal(r.Data, want.Data) {
				p.Errorf("the event of %s came back as another", r.Stream)
			}
		}
	}},
	{"a decoded value is handed on as it is, or not at all", func(p *proof) {
		type decoded struct{ n int }
		value := &decoded{7}
		a := numbered(to("a", eventstore.NoStream, "1"))
		a.Batches[0].Events[0].Value = value
		p.mustAll(a)
		if got := p.log()[0].Value; got != nil && got != value {
			p.Errorf("the value came back as %v", got)
		}
		p.reopen()
		if got := p.log()[0].Value; got != nil {
			p.Errorf("a value that was only in memory is %v after a start", got)
		}
	}},
	{"nothing is written if the context had ended before", func(p *proof) {
		ctx, cancel := context.WithCancel(p.ctx)
		cancel()
		p.unchanged(func() {
			if _, err := p.store.Append(ctx, numbered(to("a", eventstore.NoStream, "x")).Batches...); !errors.Is(err, context.Canceled) {
				p.Errorf("the answer is %v", err)
			}
		})
	}},
	{"the error of Append is that of its result", func(p *proof) {
		p.must(to("a", eventstore.NoStream, "1"))
		result, err := p.store.Append(p.ctx, numbered(to("a", eventstore.NoStream, "2")).Batches...)
		if err == nil || result.Err == nil || result.Err.Error() != err.Error() || result.Position != 0 || result.First != 0 {
			p.Errorf("the result is %+v, the error %v", result, err)
		}
	}},
}

// callCases are of several appends in one call.
var callCases = []testCase{
	{"appends of one call are judged in order, each seeing those before it", func(p *proof) {
		results := p.send(
			numbered(to("a", eventstore.NoStream, "1")),
			numbered(to("a", eventstore.Exactly(1), "2"), to("b", eventstore.NoStream, "3")),
			numbered(to("a", eventstore.NoStream, "x")),
			numbered(at("a", 2), at("b", 1), to("c", eventstore.NoStream, "4")),
			numbered(at("a", 1), to("d", eventstore.NoStream, "x")),
		)
		for i, want := range []eventstore.Result{{First: 1, Position: 1}, {First: 2, Position: 3}, {}, {First: 4, Position: 4}, {}} {
			if got := results[i]; got.First != want.First || got.Position != want.Position {
				p.Errorf("append %d is answered %+v", i, got)
			}
		}
		p.isConflict(results[2].Err, "a", eventstore.NoStream, 2)
		p.isConflict(results[4].Err, "a", eventstore.Exactly(1), 2)
		same(p, "the log", texts(p.log()), "1", "2", "3", "4")
	}},
	{"a conflict or a malformed append drops only that one", func(p *proof) {
		p.must(to("a", eventstore.NoStream, "1"))
		results := p.send(
			numbered(to("a", eventstore.NoStream, "x")),
			eventstore.Append{},
			numbered(to("b", eventstore.NoStream, "2")),
			numbered(to("not a name", eventstore.NoStream, "x")),
			numbered(to("c", eventstore.NoStream, "3")),
		)
		p.isConflict(results[0].Err, "a", eventstore.NoStream, 1)
		p.isInvalid("no batches", results[1].Err)
		p.isInvalid("a name with a space", results[3].Err)
		if results[2].Err != nil || results[4].Err != nil {
			p.Errorf("the others are answered %v and %v", results[2].Err, results[4].Err)
		}
		same(p, "the log", texts(p.log()), "1", "2", "3")
	}},
	{"a call may have no appends", func(p *proof) {
		if results, err := p.store.AppendEach(p.ctx, nil); err != nil || len(results) != 0 {
			p.Errorf("the answer is %v, %v", results, err)
		}
	}},
	{"a call may be larger than what is written at once", func(p *proof) {
		const appends, size = 80, 64 << 10
		big := strings.Repeat("x", size)
		var all []eventstore.Append
		for i := range appends {
			all = append(all, numbered(to(fmt.Sprintf("s-%d", i%7), eventstore.Exactly(eventstore.Revision(i/7)), big)))
		}
		for i, r := range p.mustAll(all...) {
			if r.Position != eventstore.Position(i+1) || r.First != r.Position {
				p.Fatalf("append %d is answered %+v", i, r)
			}
		}
	}},
}
