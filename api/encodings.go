package api

import (
	"encoding/json"
	"sync/atomic"

	"github.com/hodei-jobs/hodei/eventstore"
)

// encodingSlots is how many encoded answers are kept for those who ask next.
const encodingSlots = 1024

// encodings keeps what was encoded for one reader of a stream for the others: a
// thousand that hear of an event at once are sent the same bytes. What is kept is
// replaced by what is newer; nothing of it is needed. Safe for concurrent use.
type encodings struct {
	slots [encodingSlots]atomic.Pointer[encoding]
}

type encoding struct {
	kind byte
	key  uint64
	at   eventstore.Position // of the World, or of the event itself
	data []byte              // shared, never changed
}

// encode returns the JSON of what view makes, of a thing as it was at a position.
func (s *encodings) encode(kind byte, key uint64, at eventstore.Position, view func() (any, error)) ([]byte, error) {
	slot := &s.slots[(key*31+uint64(kind))%encodingSlots]
	if one := slot.Load(); one != nil && one.kind == kind && one.key == key && one.at == at {
		return one.data, nil
	}
	v, err := view()
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	slot.Store(&encoding{kind, key, at, b})
	return b, nil
}

// The kinds of what is kept.
const (
	shownEvent byte = iota
	shownJob
)
