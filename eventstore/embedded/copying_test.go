package embedded

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/embedded/index"
)

// copied is an index in memory whose copy takes until its context ends or it may
// end, and which may have to wait for a copy in a write.
type copied struct {
	*badIndex
	begun  chan struct{}
	mayEnd chan struct{}
	ended  chan error
}

func newCopied() *copied {
	return &copied{
		badIndex: &badIndex{memIndex: newMemIndex()},
		begun:    make(chan struct{}, 1), mayEnd: make(chan struct{}), ended: make(chan error, 1),
	}
}

func (c *copied) Copy(ctx context.Context, _ string) (err error) {
	c.begun <- struct{}{}
	select {
	case <-ctx.Done():
	case <-c.mayEnd:
	}
	c.ended <- ctx.Err()
	return errors.New("it was only to take time")
}

// copyNow lets a store copy its index and returns once it does.
func copyNow(t *testing.T, ix *copied) *Store {
	t.Helper()
	s, _ := openWith(t, config(newDir(t)), ix)
	waitReady(t, s)
	for range copyEvery {
		s.index.journalEnded()
	}
	token(s.index.wake)
	<-ix.begun
	return s
}

// fill appends more events than may be unindexed.
func fill(ctx context.Context, s *Store) error {
	for n := 0; n <= 2*maxUnindexed; n += eventstore.MaxEventsAppend {
		if _, err := s.Append(ctx, one(fmt.Sprintf("s-%d", n), eventstore.NoStream, eventstore.MaxEventsAppend).Batches...); err != nil {
			return err
		}
	}
	return nil
}

// While the index is copied, which takes any time, appends and the index go on.
func TestAppendsGoOnWhileTheIndexIsCopied(t *testing.T) {
	ix := newCopied()
	s := copyNow(t, ix)
	before := s.index.indexed()
	appended := 0
	for ; appended <= 3*indexBatch; appended += eventstore.MaxEventsAppend {
		mustAppend(t, s, one(fmt.Sprintf("s-%d", appended), eventstore.NoStream, eventstore.MaxEventsAppend))
	}
	waitFor(t, "the index is written", func() bool { return s.index.indexed() >= before+2*indexBatch })
	close(ix.mayEnd)
	if err := <-ix.ended; err != nil {
		t.Errorf("the copy was given up: %v", err)
	}
}

// A write may have to wait for the copy. Then the copy is given up before appends
// would wait for the index.
func TestACopyIsGivenUpForAppends(t *testing.T) {
	ix := newCopied()
	ix.write = func() error {
		select {
		case <-ix.ended: // as if the copy's transaction was in the way
			ix.ended <- nil
		case <-ix.mayEnd:
		}
		return nil
	}
	s := copyNow(t, ix)
	filled := make(chan error, 1)
	go func() { filled <- fill(t.Context(), s) }()
	select {
	case err := <-filled:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(2 * time.Minute): // it would be for ever
		t.Error("appends wait for the copy")
	}
	close(ix.mayEnd)
}

// A copy stands in the way neither of a new index nor of the store's end.
func TestACopyIsEndedForANewIndexAndForTheEnd(t *testing.T) {
	ix := newCopied()
	s := copyNow(t, ix)
	_ = s.index.condemn(s.index.state.Load(), errors.New("somebody has found it damaged"))
	waitFor(t, "the index is made anew", func() bool {
		state, err := s.index.usable()
		return err == nil && state.index != index.Index(ix)
	})
	if err := <-ix.ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the copy ended with %v", err)
	}
	ix = newCopied()
	s = copyNow(t, ix)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ix.ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the copy ended with %v", err)
	}
}
