package embedded

import (
	"testing"

	"github.com/hodei-jobs/hodei/eventstore"
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
