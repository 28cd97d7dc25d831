package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hodei-jobs/hodei/eventstore"
)

var closeCases = []testCase{
	{"a closed store answers ErrClosed, and may be closed twice", func(p *proof) {
		p.six()
		p.closed = true
		_, next := p.store.Wait()
		if err := errors.Join(p.store.Close(), p.store.Close()); err != nil {
			p.Fatal(err)
		}
		p.happens("the channel of Wait is closed when the store closes", next)
		for name, err := range afterClose(p) {
			if !errors.Is(err, eventstore.ErrClosed) {
				p.Errorf("%s answers %v", name, err)
			}
		}
		if err := p.store.Err(); err != nil {
			p.Errorf("the store says that it failed: %v", err)
		}
	}},
	{"a store that works has not failed", func(p *proof) {
		p.six()
		select {
		case <-p.store.Failed():
			p.Error("the store says that it failed")
		default:
		}
		if err := p.store.Err(); err != nil {
			p.Error(err)
		}
	}},
	{"appends that were answered before a close are there after it", closing},
}

func afterClose(p *proof) map[string]error {
	ctx, s, errs := p.ctx, p.store, map[string]error{}
	_, errs["Append"] = s.Append(ctx, numbered(to("a", eventstore.Any, "x")).Batches...)
	_, errs["AppendEach"] = s.AppendEach(ctx, []eventstore.Append{numbered(to("a", eventstore.Any, "x"))})
	_, _, errs["ReadAll"] = s.ReadAll(ctx, nil, 1, 1, eventstore.Filter{})
	_, errs["ReadStream"] = s.ReadStream(ctx, nil, "job-1", 1, 1, eventstore.Forwards)
	_, errs["StreamRevision"] = s.StreamRevision(ctx, "job-1")
	_, errs["PositionAt"] = s.PositionAt(ctx, time.Now())
	_, errs["ChainAt"] = s.ChainAt(ctx, 1)
	errs["SaveSnapshot"] = s.SaveSnapshot(ctx, eventstore.Snapshot{Name: "world", Position: 1}, 1)
	_, _, _, errs["LoadSnapshot"] = s.LoadSnapshot(ctx, "world", "1", 0)
	_, errs["ListSnapshots"] = s.ListSnapshots(ctx, "world")
	return errs
}

// closing closes a store under writers. Each append is answered, or refused
// because the store is closed.
func closing(p *proof) {
	const writers = 6
	var (
		all   sync.WaitGroup
		mu    sync.Mutex
		acked = map[eventstore.Position]string{}
		begun = make(chan struct{}, writers)
	)
	for w := range writers {
		all.Go(func() {
			for i := 0; ; i++ {
				text := fmt.Sprintf("%d of %d", i, w)
				r, err := p.store.Append(context.WithoutCancel(p.ctx), numbered(to(fmt.Sprintf("s-%d", w), eventstore.Any, text)).Batches...)
				if err != nil {
					if !errors.Is(err, eventstore.ErrClosed) {
						p.Errorf("an append is answered: %v", err)
					}
					return
				}
				mu.Lock()
				acked[r.Position] = text
				mu.Unlock()
				if i == 2 {
					begun <- struct{}{}
				}
			}
		})
	}
	for range writers {
		<-begun
	}
	if err := p.store.Close(); err != nil {
		p.Error(err)
	}
	all.Wait()
	p.reopen()
	log := p.log()
	for at, text := range acked {
		if int(at) > len(log) || string(log[at-1].Data) != text {
			p.Fatalf("#%d was answered and is not there", at)
		}
	}
}
