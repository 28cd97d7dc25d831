package storetest

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hodei-jobs/hodei/eventstore"
)

var waitCases = []testCase{
	{"the channel is closed at the next commit, and the head is readable", func(p *proof) {
		if head, _ := p.store.Wait(); head != 0 {
			p.Errorf("an empty log ends at #%d", head)
		}
		for i := range 5 {
			before, next := p.store.Wait()
			select {
			case <-next:
				p.Fatalf("the channel is closed though #%d is the last", before)
			default:
			}
			r := p.must(to("a", eventstore.Any, fmt.Sprint(i)))
			p.happens("the channel is closed by a commit", next)
			head, _ := p.store.Wait()
			if head != r.Position || len(p.log()) != int(head) {
				p.Errorf("after #%d the head is #%d", r.Position, head)
			}
		}
	}},
	{"a channel that nobody waited for is closed all the same", func(p *proof) {
		_, next := p.store.Wait()
		for range 3 {
			p.must(to("a", eventstore.Any, "x"))
		}
		p.happens("an old channel is closed", next)
	}},
	{"who reads up to the head and then waits sees each record once, under many writers", subscribers},
}

func subscribers(p *proof) {
	const readers, writers, each = 4, 4, 40
	var all sync.WaitGroup
	for r := range readers {
		all.Go(func() {
			if err := subscribe(p, writers*each, 1+3*r); err != nil {
				p.Errorf("reader %d: %v", r, err)
			}
		})
	}
	for w := range writers {
		all.Go(func() {
			for i := range each {
				if _, err := p.store.Append(p.ctx, numbered(to(fmt.Sprintf("s-%d", w), eventstore.Exactly(eventstore.Revision(i)), "x")).Batches...); err != nil {
					p.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

// subscribe reads and waits until it has seen total records.
func subscribe(p *proof, total, step int) error {
	late := time.NewTimer(patience)
	defer late.Stop()
	var seen []*eventstore.Record
	from := eventstore.Position(1)
	for len(seen) < total {
		head, next := p.store.Wait()
		if head < from-1 {
			return fmt.Errorf("the head went back to #%d", head)
		}
		for from <= head {
			var err error
			if seen, from, err = p.store.ReadAll(p.ctx, seen, from, step, eventstore.Filter{}); err != nil {
				return err
			}
		}
		if len(seen) == total {
			break
		}
		select {
		case <-next:
		case <-late.C:
			return errors.New("was not woken")
		}
	}
	_, err := dense(seen)
	return err
}
