package joblog

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/hodei-jobs/hodei/aggregates/id"
)

// A journal's seal says what is in the journal, so that opening the log reads the
// seals and only the newest journal. After a version byte, for each attempt:
//
//	┌──────────────┬─────────┬───────┬─────────────┬───────┬───────┬───────────────────────┐
//	│ job, 5 bytes │ attempt │ first │ end - first │ ended │ spans │ offset, entry of each │
//	└──────────────┴─────────┴───────┴─────────────┴───────┴───────┴───────────────────────┘
//	all but the job are uvarints; offsets and entries are differences to the one before
const (
	contentsVersion = 1
	maxSpansSealed  = 64      // of one attempt in one seal
	maxParts        = 1 << 15 // attempts in a seal; a journal with more is read when the log is opened
)

var errContents = errors.New("joblog: malformed seal")

// part is what one attempt has in a run of blocks or in a journal.
type part struct {
	key        Key
	first, end uint64 // offsets of its bytes
	ended      bool   // the log's end is in it too
	spans      spans
}

// contents are the parts of one journal, unless there are too many.
type contents struct {
	parts []*part
	byKey map[Key]*part
	many  bool
}

// add notes what was written.
func (c *contents) add(p part) {
	have := c.byKey[p.key]
	switch {
	case c.many:
		return
	case have == nil && len(c.parts) == maxParts:
		*c = contents{many: true}
		return
	case have == nil:
		if c.byKey == nil {
			c.byKey = map[Key]*part{}
		}
		c.byKey[p.key] = &p
		c.parts = append(c.parts, &p)
		return
	}
	have.end, have.ended = p.end, have.ended || p.ended
	for _, s := range p.spans {
		if n := len(have.spans); n == 0 || have.spans[n-1].entry != s.entry {
			have.spans = have.spans.add(s)
		}
	}
}

// encode writes what goes into the seal; nil if that is too much.
func (c *contents) encode() []byte {
	if c.many {
		return nil
	}
	buf := []byte{contentsVersion}
	for _, p := range c.parts {
		var job [8]byte
		binary.BigEndian.PutUint64(job[:], uint64(p.key.Job))
		buf = append(buf, job[3:]...)
		p.spans = p.spans.thin(maxSpansSealed)
		ended := uint64(0)
		if p.ended {
			ended = 1
		}
		for _, n := range []uint64{uint64(p.key.Attempt), p.first, p.end - p.first, ended, uint64(len(p.spans))} {
			buf = binary.AppendUvarint(buf, n)
		}
		last := span{offset: p.first}
		for _, s := range p.spans {
			buf = binary.AppendUvarint(buf, s.offset-last.offset)
			buf = binary.AppendUvarint(buf, s.entry-last.entry)
			last = s
		}
	}
	return buf
}

// decodeContents reads what encode wrote.
func decodeContents(data []byte) ([]part, error) {
	if len(data) == 0 || data[0] != contentsVersion {
		return nil, errContents
	}
	var parts []part
	for data = data[1:]; len(data) > 0; {
		if len(data) < 5 {
			return nil, errContents
		}
		p := part{key: Key{Job: id.FromBytes([5]byte(data))}}
		var n [5]uint64
		var ok bool
		data = data[5:]
		for i := range n {
			if n[i], data, ok = uvarint(data); !ok {
				return nil, errContents
			}
		}
		if n[0] > 1<<32-1 || n[1] > MaxOffset || n[2] > MaxOffset-n[1] || n[4] > maxSpansSealed {
			return nil, errContents
		}
		p.key.Attempt, p.first, p.end, p.ended = uint32(n[0]), n[1], n[1]+n[2], n[3] == 1
		last := span{offset: p.first}
		for range n[4] {
			var offset, entry uint64
			if offset, data, ok = uvarint(data); !ok {
				return nil, errContents
			}
			if entry, data, ok = uvarint(data); !ok {
				return nil, errContents
			}
			last = span{last.offset + offset, last.entry + entry}
			p.spans = append(p.spans, last)
		}
		parts = append(parts, p)
	}
	return parts, nil
}

// load reads from the journals which logs there are, where they lie and how they
// ended. What the journals hold is durable: opening them has synced it.
func (l *Log) load() error {
	for _, j := range l.journal.Journals() {
		l.size.Add(j.Bytes)
		if j.Sealed && len(j.Meta) > 0 {
			meta, err := j.ReadMeta()
			if err != nil {
				return err
			}
			parts, err := decodeContents(meta)
			if err != nil {
				return err
			}
			for _, p := range parts {
				if err := l.restore(p); err != nil {
					return err
				}
			}
			continue
		}
		found, err := l.scan(j.First, j.Next)
		if err != nil {
			return err
		}
		if !j.Sealed {
			l.writer.journal = found
		}
	}
	return l.loadArchive()
}

// scan reads the frames with the entries [from, to).
func (l *Log) scan(from, to uint64) (contents, error) {
	var found contents
	for frame, err := range l.journal.Frames(from) {
		if err != nil {
			return found, err
		}
		if frame.First >= to {
			break
		}
		for _, data := range blocks(frame.Body) {
			b, err := decodeBlock(data)
			if err != nil {
				return found, err
			}
			p := part{key: b.key, first: b.offset, end: b.end(), ended: b.kind == kindEnd}
			if len(b.pieces) > 0 {
				p.spans = spans{{b.offset, frame.First}}
			}
			if err := l.restore(p); err != nil {
				return found, err
			}
			found.add(p)
		}
	}
	return found, nil
}

// restore does with a part of a journal what was done when it was written.
func (l *Log) restore(p part) error {
	a, _, ended := l.registry.find(p.key)
	if a == nil && !ended {
		base, err := l.beginning(p)
		if err != nil {
			return err
		}
		a, _, ended = l.registry.open(p.key, base)
	}
	if ended {
		return fmt.Errorf("%w: job %s attempt %d goes on after its end", ErrDamaged, p.key.Job, p.key.Attempt)
	}
	if err := a.restore(p); err != nil {
		return err
	}
	if p.ended {
		l.registry.retire(a, p.end)
	}
	return nil
}

// restore adds a part of a journal.
func (a *attempt) restore(p part) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if p.first != a.durable {
		return fmt.Errorf("%w: job %s attempt %d goes on at %d after %d", ErrDamaged, p.key.Job, p.key.Attempt, p.first, a.durable)
	}
	for _, s := range p.spans {
		if n := len(a.index); n == 0 || a.index[n-1].entry != s.entry {
			a.index = a.index.add(s)
		}
	}
	a.durable, a.taken = p.end, p.end
	a.ring.reset(p.end)
	return nil
}
