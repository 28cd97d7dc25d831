package embedded

import (
	"errors"
	"testing"

	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/embedded/index"
)

// A read asks a damaged index, and before it has looked at the answer the index is
// made anew: the new one is not blamed, and the read is answered from it or from
// the log.
func TestANewIndexIsNotBlamedForTheOneBefore(t *testing.T) {
	asking, answer := make(chan struct{}), make(chan struct{})
	for _, row := range []struct {
		name string
		lie  func(eventstore.Position) (eventstore.Position, bool)
		read func(*Store) (int, error)
	}{
		{"a revision", func(p eventstore.Position) (eventstore.Position, bool) { return p + 1, true }, func(s *Store) (int, error) {
			r, err := s.StreamRevision(t.Context(), "s-0")
			return int(r), err
		}},
		{"a stream", func(p eventstore.Position) (eventstore.Position, bool) { return p + 12, true }, func(s *Store) (int, error) {
			records, err := s.ReadStream(t.Context(), nil, "s-0", 1, 100, eventstore.Forwards)
			return len(records), err
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			cfg := config(newDir(t))
			filledStore(t, cfg, 30)
			bad := &badIndex{memIndex: newMemIndex()}
			s, _ := openWith(t, cfg, bad)
			waitReady(t, s)
			forget(t, s)
			bad.origin = func(_ eventstore.StreamID, p eventstore.Position, _ bool) (eventstore.Position, bool) {
				asking <- struct{}{}
				<-answer
				return row.lie(p)
			}
			type answered struct {
				n   int
				err error
			}
			read := make(chan answered, 1)
			go func() {
				n, err := row.read(s)
				read <- answered{n, err}
			}()
			<-asking
			if err := s.index.condemn(s.index.state.Load(), errors.New("somebody else has found it damaged")); err == nil {
				t.Error("an append would not be refused")
			}
			waitReadyAgain := func() bool {
				state, err := s.index.usable()
				return err == nil && state.index != index.Index(bad)
			}
			waitFor(t, "the index is made anew", waitReadyAgain)
			anew, err := s.index.usable()
			if err != nil {
				t.Fatal(err)
			}
			answer <- struct{}{}
			if got := <-read; got.n != 12 || got.err != nil {
				t.Errorf("it has %d, %v; expected 12", got.n, got.err)
			}
			if now, err := s.index.usable(); now != anew || err != nil {
				t.Errorf("the new index is condemned: %v", err)
			}
		})
	}
}
