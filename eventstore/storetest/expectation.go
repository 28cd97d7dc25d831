package storetest

import (
	"errors"
	"fmt"

	"github.com/hodei-jobs/hodei/eventstore"
)

var expectationCases = []testCase{
	{"each expectation holds for its revision alone, and a conflict says which there was", func(p *proof) {
		p.must(to("three", eventstore.NoStream, "1", "2", "3"))
		for _, row := range []struct {
			stream string
			expect eventstore.Expectation
			actual eventstore.Revision
			holds  bool
		}{
			{"none-1", eventstore.NoStream, 0, true},
			{"none-2", eventstore.Any, 0, true},
			{"none-3", eventstore.Exactly(0), 0, true},
			{"none-4", eventstore.Exactly(1), 0, false},
			{"three", eventstore.NoStream, 3, false},
			{"three", eventstore.Exactly(2), 3, false},
			{"three", eventstore.Exactly(4), 3, false},
			{"three", eventstore.Any - 1, 3, false},
			{"three", eventstore.Exactly(3), 3, true},
			{"three", eventstore.Any, 4, true},
		} {
			if row.holds {
				p.must(to(row.stream, row.expect, "x"))
				if got := p.revision(row.stream); got != row.actual+1 {
					p.Errorf("%s is at revision %d after an append at %d", row.stream, got, row.actual)
				}
				continue
			}
			p.unchanged(func() { p.conflict(row.stream, row.expect, row.actual, to(row.stream, row.expect, "x")) })
		}
	}},
	{"an assertion holds or the whole append is refused; it writes nothing", func(p *proof) {
		p.must(to("a", eventstore.NoStream, "1", "2"))
		p.must(at("a", 2), to("b", eventstore.NoStream, "3"), at("never", 0), to("any", eventstore.Any))
		p.unchanged(func() {
			p.conflict("a", eventstore.Exactly(1), 2, to("c", eventstore.NoStream, "x"), at("a", 1))
			p.conflict("a", eventstore.Exactly(1), 2, at("a", 1), to("c", eventstore.NoStream, "x"))
			p.conflict("never", eventstore.Exactly(1), 0, to("c", eventstore.NoStream, "x"), at("never", 1))
		})
		if p.revision("a") != 2 || p.revision("never") != 0 || p.revision("any") != 0 || p.revision("b") != 1 {
			p.Error("an assertion changed a stream")
		}
	}},
	{"an append of assertions alone is answered with position 0", func(p *proof) {
		p.must(to("a", eventstore.NoStream, "1"))
		p.unchanged(func() {
			if got := p.must(at("a", 1), at("b", 0), to("c", eventstore.Any)); got.Position != 0 || got.First != 0 || got.Repeated {
				p.Errorf("the answer is %+v", got)
			}
			p.conflict("b", eventstore.Exactly(1), 0, at("a", 1), at("b", 1))
		})
	}},
	{"a reader who has seen the head of a conflict knows why", func(p *proof) {
		p.must(to("other", eventstore.NoStream, "1", "2"))
		cause := p.must(to("a", eventstore.NoStream, "3"))
		got := p.conflict("a", eventstore.NoStream, 1, to("a", eventstore.NoStream, "x"))
		if got.Head < cause.Position || got.Head > p.head() {
			p.Errorf("the conflict names head #%d; its cause is #%d, the head #%d", got.Head, cause.Position, p.head())
		}
		results := p.send(numbered(to("b", eventstore.NoStream, "4")), numbered(to("b", eventstore.NoStream, "x")))
		got = p.isConflict(results[1].Err, "b", eventstore.NoStream, 1)
		if got.Head < results[0].Position || got.Head > p.head() {
			p.Errorf("a conflict within a call names head #%d; its cause is #%d, the head #%d", got.Head, results[0].Position, p.head())
		}
	}},
	{"expectations hold after the store was opened again", func(p *proof) {
		p.must(to("a", eventstore.NoStream, "1", "2"))
		p.reopen()
		p.conflict("a", eventstore.NoStream, 2, to("a", eventstore.NoStream, "x"))
		p.conflict("b", eventstore.Exactly(1), 0, to("b", eventstore.Exactly(1), "x"))
		p.must(to("a", eventstore.Exactly(2), "3"), to("b", eventstore.NoStream, "4"))
	}},
	{"names that begin alike are different streams", func(p *proof) {
		for i, stream := range []string{"a", "a-1", "a-10", "a-", "A", "a~"} {
			if got := p.must(to(stream, eventstore.NoStream, fmt.Sprint(i))); got.Position != eventstore.Position(i+1) {
				p.Errorf("%s is answered %+v", stream, got)
			}
		}
		same(p, "a-1", p.stream("a-1", 1, 9, eventstore.Forwards), "1")
	}},
}

// conflict appends batches, which must be refused because of the stream.
func (p *proof) conflict(stream string, expected eventstore.Expectation, actual eventstore.Revision, batches ...eventstore.Batch) *eventstore.ConflictError {
	p.Helper()
	result := p.send(numbered(batches...))[0]
	if result.Position != 0 || result.First != 0 || result.Repeated {
		p.Errorf("a refused append is answered %+v", result)
	}
	return p.isConflict(result.Err, stream, expected, actual)
}

func (p *proof) isConflict(err error, stream string, expected eventstore.Expectation, actual eventstore.Revision) *eventstore.ConflictError {
	p.Helper()
	var got *eventstore.ConflictError
	if !errors.As(err, &got) {
		p.Fatalf("expected a conflict with %s, got: %v", stream, err)
	}
	if string(got.Stream) != stream || got.Expected != expected || got.Actual != actual {
		p.Errorf("expected a conflict of %s, expected %d, actual %d; got %+v", stream, expected, actual, *got)
	}
	return got
}

func (p *proof) isInvalid(what string, err error) {
	p.Helper()
	var invalid *eventstore.InvalidError
	if !errors.As(err, &invalid) {
		p.Errorf("%s: expected that it is invalid, got: %v", what, err)
	}
}
