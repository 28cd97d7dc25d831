package embedded

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/hodei-jobs/hodei/eventstore"
)

// waiting fills a store whose index is stuck, until an append waits for it. The
// index goes on when release is called.
func waiting(t *testing.T) (s *Store, answered <-chan error, release func()) {
	t.Helper()
	stuck := make(chan struct{})
	slow := &badIndex{memIndex: newMemIndex(), write: func() error {
		<-stuck
		return nil
	}}
	s, _ = openWith(t, config(newDir(t)), slow)
	waitReady(t, s)
	for n := 0; n <= maxUnindexed; n += eventstore.MaxEventsAppend {
		mustAppend(t, s, one(fmt.Sprintf("s-%d", n), eventstore.NoStream, eventstore.MaxEventsAppend))
	}
	answers := make(chan error, 1)
	go func() {
		_, err := s.Append(context.Background(), one("last", eventstore.NoStream, 1).Batches...)
		answers <- err
	}()
	waitFor(t, "the append is taken", func() bool { return len(s.writer.turn) == 1 && len(s.writer.in) == 0 })
	select {
	case err := <-answers:
		t.Errorf("an append is answered with %v though the index is far behind", err)
	default:
	}
	return s, answers, func() { close(stuck) }
}

// An append that waits for the index is written when the store closes, though the
// index does not move: it was taken.
func TestAnAppendThatWaitsForTheIndexIsWrittenAtTheEnd(t *testing.T) {
	s, answered, release := waiting(t)
	head, _ := s.Wait()
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	if err := <-answered; err != nil {
		t.Error(err)
	}
	if now, _ := s.Wait(); now != head+1 {
		t.Errorf("the head is #%d, expected #%d", now, head+1)
	}
	release()
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// An append that waits for the index is refused when the index is found damaged:
// it might wait for long.
func TestAnAppendThatWaitsForTheIndexIsRefusedWhenItIsDamaged(t *testing.T) {
	s, answered, release := waiting(t)
	defer release()
	_ = s.index.condemn(s.index.state.Load(), errors.New("somebody has found it damaged"))
	var refused *eventstore.ReadOnlyError
	if err := <-answered; !errors.As(err, &refused) {
		t.Errorf("it is answered with %v", err)
	}
}
