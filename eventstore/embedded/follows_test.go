package embedded

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/wal"
)

// graft appends a frame with a record of a stream of its own to a store's log,
// behind its back. Its checksum is right; the chain before it is what the caller
// says. It returns the chain after it.
func graft(t *testing.T, log *wal.Log, before eventstore.Hash) eventstore.Hash {
	t.Helper()
	id := eventstore.NewEventID()
	r := eventstore.Record{
		Position: eventstore.Position(log.Next()), Stream: eventstore.StreamID("grafted-" + id.String()), Revision: 1,
		ID: id, Type: "Noted", Time: 1 << 62,
	}
	frame := append(make([]byte, wal.HeaderSize), 1)
	frame = r.AppendCanonical(frame)
	if err := log.Append(wal.Header{First: log.Next(), Count: 1, Chain: before}, frame); err != nil {
		t.Fatal(err)
	}
	chain := eventstore.Chain{Hash: before, Position: r.Position - 1}
	chain.AddRecord(&r)
	return chain.Hash
}

// grafted makes a store whose log goes on with another chain than its own; in
// the newest journal or in a sealed one.
func grafted(t *testing.T, sealed bool) Config {
	t.Helper()
	cfg := config(newDir(t))
	filledStore(t, cfg, 3)
	log, rec, err := wal.Open(filepath.Join(cfg.Dir, logName), wal.Options{Check: checkBody})
	if err != nil {
		t.Fatal(err)
	}
	chain := graft(t, log, eventstore.Hash(rec.Meta)) // it goes on as it should
	chain[0]++
	chain = graft(t, log, chain)
	if sealed {
		if err := log.Roll(chain, sealMeta{lastTime: 1 << 62}.encode()); err != nil {
			t.Fatal(err)
		}
		chain = graft(t, log, chain)
	}
	if err := log.Close(chain[:]); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestAFrameOfAnotherChain(t *testing.T) {
	const want = "the chain before #8 is not that of the records before it"
	var damaged *eventstore.DamageError
	s, _, err := Open(t.Context(), grafted(t, false))
	if !errors.As(err, &damaged) || !strings.Contains(err.Error(), want) {
		t.Errorf("in the newest journal: %v", err)
	}
	if err == nil {
		_ = s.Close()
	}

	s, _, err = Open(t.Context(), grafted(t, true))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	waitFor(t, "the index isn't made from it", func() bool { return s.Err() != nil || s.Progress() == nil })
	if err := s.Err(); !errors.As(err, &damaged) || !strings.Contains(err.Error(), want) {
		t.Errorf("in a sealed journal: %v", err)
	}
	if err := s.VerifyAll(t.Context(), nil); !errors.As(err, &damaged) || !strings.Contains(err.Error(), want) {
		t.Errorf("in a sealed journal, verified: %v", err)
	}
}
