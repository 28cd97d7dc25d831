package embedded

import (
	"fmt"
	"testing"

	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/embedded/index"
)

// However few streams are written, no more ids are kept than two generations'.
func TestIDsAreForgottenThoughStreamsAreFew(t *testing.T) {
	h := newHeads(0)
	var first eventstore.EventID
	for p := eventstore.Position(1); p <= 5*generationSize; p++ {
		id := eventstore.NewEventID()
		if p == 1 {
			first = id
		}
		h.put("s", &head{origin: 1, revision: eventstore.Revision(p)})
		h.putID(id, p)
		h.turn(p, p-1)
		if kept := len(h.ids[0]) + len(h.ids[1]); kept > 2*generationSize {
			t.Fatalf("%d ids are kept after %d appends", kept, p)
		}
	}
	if p, sure := h.id(first); p != 0 || sure {
		t.Errorf("an id that was forgotten: at #%d, sure %v; the index must be asked", p, sure)
	}
	if h.stream("s") == nil {
		t.Error("the stream that is written to is forgotten")
	}
}

// However many streams there ever were, no more are remembered than two
// generations', and no more of their beginnings.
func TestStreamsAreForgotten(t *testing.T) {
	h, m := newHeads(0), newRunMaker(newMemIndex())
	remembered := func() (n int) {
		g := h.generations.Load()
		for _, g := range []*generation{g.newer, g.older} {
			g.streams.Range(func(any, any) bool { n++; return true })
		}
		return n
	}
	const many = 5 * generationSize
	for p := eventstore.Position(1); p <= many; p++ {
		stream := eventstore.StreamID(fmt.Sprint("s-", p))
		h.put(stream, &head{origin: p, revision: 1})
		h.turn(p, p-1)
		if _, err := m.origin(&eventstore.Record{Stream: stream, Revision: 1, Position: p}); err != nil {
			t.Fatal(err)
		}
		m.events++
		if p%1000 != 0 {
			continue
		}
		if err := m.write(m.index, index.Checkpoint{Position: p}); err != nil {
			t.Fatal(err)
		}
		if kept := len(m.origins[0]) + len(m.origins[1]); kept > 2*maxOrigins+2000 {
			t.Fatalf("%d beginnings are remembered of %d", kept, p)
		}
	}
	if n := remembered(); n > 2*generationSize {
		t.Errorf("%d streams are remembered of %d", n, many)
	}
}

// What sealed journals cost in memory does not grow with the streams that begin in
// them: which those are is read from the seals by who has to know.
func TestStreamsOfSealedJournalsAreNotInMemory(t *testing.T) {
	cfg := config(newDir(t))
	cfg.JournalBytes = 16 << 10
	s, _ := openStore(t, cfg)
	const streams = 4000
	for i := range streams / 100 {
		var appends []eventstore.Append
		for k := range 100 {
			appends = append(appends, one(fmt.Sprint("s-", 100*i+k), eventstore.NoStream, 1))
		}
		mustAppend(t, s, appends...)
	}
	check := func(s *Store) {
		t.Helper()
		journals, kept, passed := s.log.Journals(), 0, 0
		for _, j := range journals[:len(journals)-1] {
			if kept += cap(j.Meta); !mayBegin(j, eventstore.StreamID(fmt.Sprint("s-", streams-1))) {
				passed++
			}
		}
		if n := len(journals) - 1; n < 5 || kept > n*4*sealMetaBytes || passed < n/2 {
			t.Errorf("of %d sealed journals %d bytes are in memory; %d are known not to have the last stream", n, kept, passed)
		}
		for _, i := range []int{0, streams / 2, streams - 1} {
			v, err := s.scanStream(t.Context(), eventstore.StreamID(fmt.Sprint("s-", i)))
			if err != nil || v.revision != 1 {
				t.Errorf("stream %d has revision %d, %v", i, v.revision, err)
			}
		}
	}
	check(s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, _ = openStore(t, cfg)
	check(s)
}
