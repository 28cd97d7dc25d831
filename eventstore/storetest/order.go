package storetest

import (
	"fmt"
	"sync"
	"time"

	"github.com/hodei-jobs/hodei/eventstore"
)

var orderCases = []testCase{
	{"positions and revisions are dense in the order of commit, under many writers", func(p *proof) {
		const writers, each = 8, 25
		var all sync.WaitGroup
		for w := range writers {
			all.Go(func() {
				own, last := fmt.Sprintf("own-%d", w), eventstore.Position(0)
				for i := range each {
					r, err := p.store.Append(p.ctx, numbered(to(own, eventstore.Exactly(eventstore.Revision(i)), "x"), to("shared", eventstore.Any, own)).Batches...)
					if err != nil || r.First <= last || r.Position != r.First+1 {
						p.Errorf("append %d of %s is answered %+v, %v after #%d", i, own, r, err, last)
						return
					}
					last = r.Position
				}
			})
		}
		all.Wait()
		if p.head() != 2*writers*each || p.revision("shared") != writers*each {
			p.Errorf("the head is #%d, the shared stream at revision %d", p.head(), p.revision("shared"))
		}
	}},
	{"refused appends leave no gap", func(p *proof) {
		p.must(to("a", eventstore.NoStream, "1"))
		for range 3 {
			p.conflict("a", eventstore.NoStream, 1, to("b", eventstore.Any, "x", "x"), to("a", eventstore.NoStream, "x"))
			p.send(eventstore.Append{})
		}
		if got := p.must(to("a", eventstore.Exactly(1), "2")); got.First != 2 {
			p.Errorf("the next record is at #%d", got.First)
		}
	}},
	{"time never goes back, and is that of the answer", func(p *proof) {
		var last int64
		for i := range 10 {
			r := p.must(to("a", eventstore.Any, fmt.Sprint(i)))
			if i == 5 {
				p.reopen()
			}
			if r.Time < last {
				p.Errorf("append %d has the time %d, the one before %d", i, r.Time, last)
			}
			last = r.Time
		}
	}},
	{"time never goes back when the wall clock does", func(p *proof) {
		clock, ok := p.harness.(WallClock)
		if !ok {
			p.Skip("the harness cannot set the wall clock")
		}
		last := p.must(to("a", eventstore.Any, "0")).Time
		for i, by := range []time.Duration{-time.Hour, 2 * time.Second, -time.Minute, 0, -48 * time.Hour} {
			clock.SetWallClock(by)
			r := p.must(to("a", eventstore.Any, fmt.Sprint(i+1)))
			if r.Time < last {
				p.Errorf("after a step of %s the time is %d, before it was %d", by, r.Time, last)
			}
			last = r.Time
		}
		p.reopen()
		if r := p.must(to("a", eventstore.Any, "again")); r.Time < last {
			p.Errorf("after a start the time is %d, before it was %d", r.Time, last)
		}
	}},
	{"the position at a time is that of the last record at or before it", func(p *proof) {
		if got, err := p.store.PositionAt(p.ctx, time.Now()); got != 0 || err != nil {
			p.Errorf("an empty log is at #%d, %v", got, err)
		}
		for i := range 12 {
			p.must(to(fmt.Sprintf("s-%d", i%3), eventstore.Any, "x", "y"))
			p.must(to("t", eventstore.Any, "z"))
		}
		p.positions()
		p.reopen()
		p.positions()
	}},
	{"the chain is zero at 0, and there is none beyond the head", func(p *proof) {
		if got := p.chain(0); got != (eventstore.Hash{}) {
			p.Errorf("an empty log has the chain %s", got)
		}
		p.six()
		if got := p.chain(0); got != (eventstore.Hash{}) {
			p.Errorf("the chain at 0 is %s", got)
		}
		if got, err := p.store.ChainAt(p.ctx, p.head()+1); err == nil {
			p.Errorf("beyond the head the chain is %s", got)
		}
	}},
	{"the chain at a position does not change", func(p *proof) {
		p.six()
		at := p.head()
		before := p.chain(at)
		p.must(to("job-1", eventstore.Exactly(4), "7"), to("worker-1", eventstore.Exactly(2), "8"))
		p.reopen()
		if after := p.chain(at); after != before {
			p.Errorf("it was %s, it is %s", before, after)
		}
	}},
}

// positions compares PositionAt with what the records say, around each record's
// time.
func (p *proof) positions() {
	p.Helper()
	records := p.log()
	for _, r := range records {
		for _, t := range []int64{r.Time - 1, r.Time, r.Time + 1} {
			got, err := p.store.PositionAt(p.ctx, time.Unix(0, t))
			if want := positionAt(records, t); got != want || err != nil {
				p.Errorf("at %d it is #%d, %v; the records say #%d", t, got, err, want)
			}
		}
	}
	for _, far := range []struct {
		time time.Time
		want eventstore.Position
	}{
		{time.Time{}, 0},
		{time.Date(-4000, 1, 1, 0, 0, 0, 0, time.UTC), 0},
		{time.Date(1600, 1, 1, 0, 0, 0, 0, time.UTC), 0},
		{time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC), p.head()},
		{time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), p.head()},
		{time.Unix(1<<60, 0), p.head()},
		{time.Unix(-1<<60, 0), 0},
	} {
		if got, err := p.store.PositionAt(p.ctx, far.time); got != far.want || err != nil {
			p.Errorf("in the year %d it is #%d, %v, not #%d", far.time.Year(), got, err, far.want)
		}
	}
}

func positionAt(records []*eventstore.Record, t int64) (last eventstore.Position) {
	for _, r := range records {
		if r.Time <= t {
			last = r.Position
		}
	}
	return last
}
