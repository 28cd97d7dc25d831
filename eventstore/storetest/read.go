package storetest

import (
	"fmt"
	"math"

	"github.com/hodei-jobs/hodei/eventstore"
)

// six writes six events to two streams.
func (p *proof) six() {
	p.Helper()
	p.must(to("job-1", eventstore.NoStream, "1", "2"), to("worker-1", eventstore.NoStream, "3"))
	p.must(to("job-1", eventstore.Exactly(2), "4"))
	p.must(to("worker-1", eventstore.Exactly(1), "5"), to("job-1", eventstore.Exactly(3), "6"))
}

var readCases = []testCase{
	{"a stream is read from a revision in both directions, up to the limit", func(p *proof) {
		p.six()
		for _, row := range []struct {
			from  eventstore.Revision
			limit int
			dir   eventstore.Direction
			want  []string
		}{
			{1, 9, eventstore.Forwards, []string{"1", "2", "4", "6"}},
			{0, 9, eventstore.Forwards, []string{"1", "2", "4", "6"}},
			{2, 2, eventstore.Forwards, []string{"2", "4"}},
			{4, 9, eventstore.Forwards, []string{"6"}},
			{5, 9, eventstore.Forwards, nil},
			{math.MaxUint64, 9, eventstore.Forwards, nil},
			{0, 9, eventstore.Backwards, []string{"6", "4", "2", "1"}},
			{0, 1, eventstore.Backwards, []string{"6"}},
			{3, 2, eventstore.Backwards, []string{"4", "2"}},
			{1, 9, eventstore.Backwards, []string{"1"}},
			{99, 9, eventstore.Backwards, []string{"6", "4", "2", "1"}},
			{math.MaxUint64, 1, eventstore.Backwards, []string{"6"}},
		} {
			same(p, fmt.Sprintf("from %d, %d at most, direction %d", row.from, row.limit, row.dir),
				p.stream("job-1", row.from, row.limit, row.dir), row.want...)
		}
		p.reopen()
		same(p, "after a start", p.stream("job-1", 3, 2, eventstore.Backwards), "4", "2")
	}},
	{"a stream that does not exist has no records and revision 0", func(p *proof) {
		p.six()
		for _, d := range []eventstore.Direction{eventstore.Forwards, eventstore.Backwards} {
			same(p, "nothing", p.stream("job-2", 0, 9, d))
			same(p, "nothing", p.stream("job", 1, 9, d))
		}
		if got := p.revision("job-2"); got != 0 {
			p.Errorf("it has revision %d", got)
		}
	}},
	{"records are appended to what the caller hands in", func(p *proof) {
		p.six()
		mine := &eventstore.Record{Data: []byte("mine")}
		got, next, err := p.store.ReadAll(p.ctx, []*eventstore.Record{mine}, 1, 2, eventstore.Filter{})
		if err != nil || next != 3 {
			p.Errorf("next is #%d, %v", next, err)
		}
		same(p, "all", texts(got), "mine", "1", "2")
		got, err = p.store.ReadStream(p.ctx, got, "job-1", 0, 1, eventstore.Backwards)
		if err != nil {
			p.Error(err)
		}
		same(p, "a stream", texts(got), "mine", "1", "2", "6")
	}},
	{"a filter passes streams that begin with a prefix and types that are named", filters},
	{"the log is read from any position in steps of any size", func(p *proof) {
		p.six()
		for from := eventstore.Position(1); from <= 7; from++ {
			for step := 1; step <= 7; step++ {
				got, err := scan(p.ctx, p.store, from, step, eventstore.Filter{})
				if err != nil {
					p.Fatal(err)
				}
				if len(got) != int(7-from) || len(got) > 0 && got[0].Position != from {
					p.Errorf("from #%d in steps of %d there are %d records", from, step, len(got))
				}
			}
		}
	}},
	{"the end is reached when next is one past the head", func(p *proof) {
		if got, next, err := p.store.ReadAll(p.ctx, nil, 1, 9, eventstore.Filter{}); len(got) != 0 || next != 1 || err != nil {
			p.Errorf("an empty log has %d records and goes on from #%d, %v", len(got), next, err)
		}
		p.six()
		none := eventstore.Filter{Types: []string{"Never"}}
		if got, next, err := p.store.ReadAll(p.ctx, nil, 7, 9, eventstore.Filter{}); len(got) != 0 || next != 7 || err != nil {
			p.Errorf("past the end there are %d records, it goes on from #%d, %v", len(got), next, err)
		}
		from := eventstore.Position(1)
		for from < 7 {
			got, next, err := p.store.ReadAll(p.ctx, nil, from, 9, none)
			if len(got) != 0 || next <= from || next > 7 || err != nil {
				p.Fatalf("of no type there are %d records, it goes on from #%d, %v", len(got), next, err)
			}
			from = next
		}
	}},
	{"reading one stream does not disturb another that grows", func(p *proof) {
		p.must(to("a", eventstore.NoStream, "1"))
		got, err := p.store.ReadStream(p.ctx, nil, "a", 1, 9, eventstore.Forwards)
		p.must(to("a", eventstore.Exactly(1), "2"))
		if err != nil {
			p.Error(err)
		}
		same(p, "what was read before", texts(got), "1")
	}},
}

func filters(p *proof) {
	typed := func(stream, typ, text string) {
		b := to(stream, eventstore.Any, text)
		b.Events[0].Type = typ
		p.must(b)
	}
	typed("job-1", "Submitted", "1")
	typed("job-10", "Started", "2")
	typed("worker-1", "Started", "3")
	typed("my-job-1", "Submitted", "4")
	typed("job-1", "Started", "5")
	typed("jo", "Started2", "6")
	for _, row := range []struct {
		filter eventstore.Filter
		want   []string
	}{
		{eventstore.Filter{}, []string{"1", "2", "3", "4", "5", "6"}},
		{eventstore.Filter{Prefixes: []string{"job-"}}, []string{"1", "2", "5"}},
		{eventstore.Filter{Prefixes: []string{"job-1"}}, []string{"1", "2", "5"}},
		{eventstore.Filter{Prefixes: []string{"worker-", "my-"}}, []string{"3", "4"}},
		{eventstore.Filter{Prefixes: []string{""}}, []string{"1", "2", "3", "4", "5", "6"}},
		{eventstore.Filter{Types: []string{"Started"}}, []string{"2", "3", "5"}},
		{eventstore.Filter{Types: []string{"Started2", "Submitted"}}, []string{"1", "4", "6"}},
		{eventstore.Filter{Prefixes: []string{"job-"}, Types: []string{"Started"}}, []string{"2", "5"}},
		{eventstore.Filter{Prefixes: []string{"none"}, Types: []string{"Started"}}, nil},
		{eventstore.Filter{Types: []string{"started"}}, nil},
		{eventstore.Filter{Prefixes: []string{"%", "job_"}}, nil}, // no wildcards of a database
	} {
		for _, step := range []int{1, 2, 100} {
			got, err := scan(p.ctx, p.store, 1, step, row.filter)
			if err != nil {
				p.Fatal(err)
			}
			same(p, fmt.Sprintf("%+v in steps of %d", row.filter, step), texts(got), row.want...)
		}
	}
}
