package storetest

import (
	"fmt"
	"slices"

	"github.com/hodei-jobs/hodei/eventstore"
)

// original is an append over two streams with an assertion.
func original() eventstore.Append {
	return numbered(to("a", eventstore.NoStream, "1", "2"), at("free", 0), to("b", eventstore.NoStream, "3"))
}

var repeatCases = []testCase{
	{"a repeat gets the first answer and writes nothing, though its streams have moved on", func(p *proof) {
		a := original()
		first := p.mustAll(a)[0]
		p.repeats(a, first)
		p.must(to("a", eventstore.Exactly(2), "4"), to("free", eventstore.NoStream, "5"))
		p.repeats(a, first)
	}},
	{"a repeat is known after the store was opened again, and after much was written", func(p *proof) {
		a := original()
		first := p.mustAll(a)[0]
		p.reopen()
		p.repeats(a, first)
		var others []eventstore.Append
		for i := range 200 {
			others = append(others, numbered(to(fmt.Sprintf("s-%d", i), eventstore.NoStream, "x")))
		}
		answers := p.mustAll(others...)
		p.repeats(a, first)
		p.reopen()
		p.repeats(a, first)
		for i, other := range others {
			p.repeats(other, answers[i])
		}
	}},
	{"a repeat may have other metadata, expectations and assertions", func(p *proof) {
		a := original()
		first := p.mustAll(a)[0]
		p.repeats(changed(a, func(b []eventstore.Batch) []eventstore.Batch {
			b[0].Events[0].Metadata = []byte("another request")
			return b
		}), first)
		p.repeats(changed(a, func(b []eventstore.Batch) []eventstore.Batch {
			b[0].Expect, b[2].Expect = eventstore.Any, eventstore.Exactly(7)
			return b
		}), first)
		p.repeats(changed(a, func(b []eventstore.Batch) []eventstore.Batch {
			return []eventstore.Batch{b[0], at("else", 3), b[2]}
		}), first)
		p.repeats(changed(a, func(b []eventstore.Batch) []eventstore.Batch { return []eventstore.Batch{b[0], b[2]} }), first)
	}},
	{"a repeat in the same call is one too", func(p *proof) {
		a := original()
		results := p.mustAll(numbered(to("x", eventstore.Any, "0")), a, a)
		if results[1].Repeated || !results[2].Repeated || results[1].Position != 4 || results[2].Position != 4 || results[2].First != 2 {
			p.Errorf("the answers are %+v", results)
		}
		same(p, "the log", texts(p.log()), "0", "1", "2", "3")
	}},
	{"another use of an append's id is refused", otherUses},
	{"ids of a refused append are free", func(p *proof) {
		p.must(to("a", eventstore.NoStream, "0"))
		id := eventstore.NewEventID()
		p.isConflict(p.send(numberedFrom(id, to("a", eventstore.NoStream, "x")))[0].Err, "a", eventstore.NoStream, 1)
		got := p.mustAll(numberedFrom(id, to("a", eventstore.Exactly(1), "1"), to("b", eventstore.NoStream, "2")))[0]
		if got.Repeated || got.First != 2 {
			p.Errorf("the second try is answered %+v", got)
		}
	}},
}

// otherUses tries everything that is not a repeat though it has the id of one.
func otherUses(p *proof) {
	a := original()
	p.mustAll(a)
	uses := map[string]func(b []eventstore.Batch) []eventstore.Batch{
		"other data": func(b []eventstore.Batch) []eventstore.Batch {
			b[0].Events[1].Data = []byte("two")
			return b
		},
		"another type": func(b []eventstore.Batch) []eventstore.Batch {
			b[2].Events[0].Type = "Else"
			return b
		},
		"another stream": func(b []eventstore.Batch) []eventstore.Batch {
			b[2].Stream = "c"
			return b
		},
		"an event less": func(b []eventstore.Batch) []eventstore.Batch {
			b[2].Events = nil
			b[2].Expect = eventstore.Any
			return b
		},
		"an event more": func(b []eventstore.Batch) []eventstore.Batch {
			b[2].Events = append(b[2].Events, b[2].Events[0])
			return b
		},
		"events dealt to streams otherwise": func(b []eventstore.Batch) []eventstore.Batch {
			b[0].Events, b[2].Events = b[0].Events[:1], append(slices.Clone(b[0].Events[1:]), b[2].Events...)
			return b
		},
		"streams in another order": func(b []eventstore.Batch) []eventstore.Batch {
			b[0].Stream, b[2].Stream = b[2].Stream, b[0].Stream
			return b
		},
	}
	check := func() {
		p.Helper()
		for name, use := range uses {
			p.unchanged(func() { p.isInvalid(name, p.send(changed(a, use))[0].Err) })
		}
	}
	check()
	p.reopen()
	check()
	fresh := original()
	fresh.Batches[0].Expect, fresh.Batches[2].Expect = eventstore.Any, eventstore.Any
	results := p.send(fresh, changed(fresh, uses["other data"]))
	if results[0].Err != nil {
		p.Error(results[0].Err)
	}
	p.isInvalid("other data in the same call", results[1].Err)
}

// changed returns the append after a change to a copy of its batches, with the
// same first id.
func changed(a eventstore.Append, change func([]eventstore.Batch) []eventstore.Batch) eventstore.Append {
	copied := numberedFrom(a.FirstID(), a.Batches...)
	return numberedFrom(a.FirstID(), change(copied.Batches)...)
}

// repeats sends the append again, which must be answered as it was first.
func (p *proof) repeats(a eventstore.Append, first eventstore.Result) {
	p.Helper()
	p.unchanged(func() {
		p.Helper()
		got := p.send(a)[0]
		if !got.Repeated || got.Err != nil || got.First != first.First || got.Position != first.Position || got.Time != first.Time {
			p.Errorf("the repeat is answered %+v, the first was %+v", got, first)
		}
	})
}
