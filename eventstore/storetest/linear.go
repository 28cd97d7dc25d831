package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/hodei-jobs/hodei/eventstore"
)

// What clients do in a linearizability run, all at once, on a few streams.
const (
	linearClients = 6
	linearSteps   = 40
	linearStreams = 3
	linearTimeout = 60 * time.Second // for the checker
)

// step is one operation: a read of a stream's revision, a look at the head, or
// an append of one event to a stream if it and, maybe, another are as expected.
type step struct {
	kind    stepKind
	stream  int
	expect  eventstore.Revision
	also    int // a stream that is asserted to be at alsoRev; -1 for none
	alsoRev eventstore.Revision
}

type stepKind int

const (
	readRevision stepKind = iota
	lookAtHead
	appendOne
)

type answer struct {
	ok       bool // an append was written
	position eventstore.Position
	stream   int // of a conflict
	revision eventstore.Revision
}

// logState is the log as the checker sees it.
type logState struct {
	head      eventstore.Position
	revisions [linearStreams]eventstore.Revision
}

var linearModel = porcupine.Model{
	Init: func() any { return logState{} },
	Step: func(state, input, output any) (bool, any) {
		return state.(logState).step(input.(step), output.(answer))
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v: %+v", input, output) },
}

// step reports whether the answer can be that of a log in this state, and the
// state after it.
func (l logState) step(in step, out answer) (bool, any) {
	switch in.kind {
	case readRevision:
		return out.revision == l.revisions[in.stream], l
	case lookAtHead:
		return out.position == l.head, l
	}
	holds := l.revisions[in.stream] == in.expect && (in.also < 0 || l.revisions[in.also] == in.alsoRev)
	if !out.ok {
		return !holds && out.revision == l.revisions[out.stream], l
	}
	l.head++
	l.revisions[in.stream]++
	return holds && out.position == l.head, l
}

// linearizable lets clients append and read at once. Every answer must be
// explained by some order of one after the other that keeps to real time.
func linearizable(t *testing.T, open func(*testing.T) Harness) {
	p := newProof(t, open(t))
	began := time.Now()
	histories := make([][]porcupine.Operation, linearClients)
	seed := uint64(began.UnixNano())
	var all sync.WaitGroup
	for c := range linearClients {
		all.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(c)))
			var seen [linearStreams]eventstore.Revision
			for range linearSteps {
				in := draw(random, seen)
				call := time.Since(began)
				out, err := in.do(p.ctx, p.store)
				if err != nil {
					p.Error(err)
					return
				}
				in.learn(&seen, out)
				histories[c] = append(histories[c], porcupine.Operation{
					ClientId: c, Input: in, Output: out, Call: int64(call), Return: int64(time.Since(began)),
				})
			}
		})
	}
	all.Wait()
	var history []porcupine.Operation
	for _, h := range histories {
		history = append(history, h...)
	}
	if got := porcupine.CheckOperationsTimeout(linearModel, history, linearTimeout); got != porcupine.Ok {
		p.Errorf("whether the order of %d operations can be explained: %s (seed %d)", len(history), got, seed)
	}
	p.verify()
}

// draw chooses a step: mostly appends at the revision last seen, so that many
// hold and many don't.
func draw(random *rand.Rand, seen [linearStreams]eventstore.Revision) step {
	in := step{kind: appendOne, stream: random.IntN(linearStreams), also: -1}
	in.expect = seen[in.stream]
	switch random.IntN(8) {
	case 0, 1:
		in.kind = readRevision
	case 2:
		in.kind = lookAtHead
	case 3, 4:
		in.also = (in.stream + 1 + random.IntN(linearStreams-1)) % linearStreams
		in.alsoRev = seen[in.also]
	}
	return in
}

func linearStream(i int) eventstore.StreamID { return eventstore.StreamID(fmt.Sprintf("s-%d", i)) }

func (in step) do(ctx context.Context, s eventstore.Store) (out answer, err error) {
	switch in.kind {
	case readRevision:
		out.revision, err = s.StreamRevision(ctx, linearStream(in.stream))
		return out, err
	case lookAtHead:
		out.position, _ = s.Wait()
		return out, nil
	}
	batches := []eventstore.Batch{to(string(linearStream(in.stream)), eventstore.Exactly(in.expect), "x")}
	if in.also >= 0 {
		batches = append(batches, at(string(linearStream(in.also)), in.alsoRev))
	}
	result, err := s.Append(ctx, numbered(batches...).Batches...)
	var conflict *eventstore.ConflictError
	if errors.As(err, &conflict) {
		out.revision, out.stream = conflict.Actual, in.stream
		if in.also >= 0 && conflict.Stream == linearStream(in.also) {
			out.stream = in.also
		}
		return out, nil
	}
	return answer{ok: true, position: result.Position}, err
}

// learn takes from an answer what the client knows of revisions.
func (in step) learn(seen *[linearStreams]eventstore.Revision, out answer) {
	switch {
	case in.kind == readRevision:
		seen[in.stream] = out.revision
	case in.kind == appendOne && out.ok:
		seen[in.stream] = in.expect + 1
	case in.kind == appendOne:
		seen[out.stream] = out.revision
	}
}
