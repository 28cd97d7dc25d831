package joblog

import (
	"fmt"
)

// load reads the journals and makes of each attempt's blocks its index, its
// durable offset and its end. What the journal holds is durable: opening it has
// synced it.
func (l *Log) load() error {
	for frame, err := range l.journal.Frames(l.journal.First()) {
		if err != nil {
			return err
		}
		for _, data := range blocks(frame.Body) {
			b, err := decodeBlock(data)
			if err != nil {
				return err
			}
			if err := l.replay(b, frame.First); err != nil {
				return err
			}
		}
	}
	l.measure()
	return nil
}

// replay does with a block of the journal what was done when it was written.
func (l *Log) replay(b block, entry uint64) error {
	a, _, ended := l.registry.open(b.key)
	if ended {
		return fmt.Errorf("%w: job %s attempt %d goes on after its end", ErrDamaged, b.key.Job, b.key.Attempt)
	}
	if err := a.restore(b, entry); err != nil {
		return err
	}
	if b.kind == kindEnd {
		l.registry.retire(b.key, b.offset, a.places())
	}
	return nil
}

// restore adds a block of the journal.
func (a *attempt) restore(b block, entry uint64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if b.offset != a.durable {
		return fmt.Errorf("%w: job %s attempt %d goes on at %d after %d", ErrDamaged, b.key.Job, b.key.Attempt, b.offset, a.durable)
	}
	if n := len(a.index); b.kind == kindPieces && (n == 0 || a.index[n-1].entry != entry) {
		a.index = a.index.add(span{b.offset, entry})
	}
	a.durable, a.taken = b.end(), b.end()
	a.ring.reset(b.end())
	return nil
}

// measure notes the size of the journals.
func (l *Log) measure() {
	size := int64(0)
	for _, j := range l.journal.Journals() {
		size += j.Bytes
	}
	l.size.Store(size)
}
