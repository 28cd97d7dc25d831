package telemetry

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/fields"
	"github.com/hodei-jobs/hodei/eventstore/wal"
)

// openingBits is how many offsets one opening of the journal has for itself. What
// an opening before handed out and a crash or a full disk kept off the disk is
// below them, so that no offset ever stands for two samples.
const openingBits = 36

// opening is where the journal goes on. A frame with it begins each journal.
type opening struct {
	offset   uint64              // samples have higher ones
	position eventstore.Position // the highest that a sample before has
}

// Highest returns the highest position of the log that the journal named when it
// was opened: it had been durable then.
func (t *Table) Highest() eventstore.Position { return t.highest }

// openingOf returns where to go on after what is on disk.
func openingOf(log *wal.Log) (o opening, err error) {
	journals := log.Journals()
	for len(journals) > 0 && journals[len(journals)-1].Frames == 0 {
		journals = journals[:len(journals)-1]
	}
	if len(journals) == 0 {
		return o, nil
	}
	var h history
	for f, err := range log.Frames(journals[len(journals)-1].First) {
		if err != nil {
			return o, err
		}
		if before, ok := parseOpening(f.Body); ok {
			o.offset, o.position = max(o.offset, before.offset), max(o.position, before.position)
			continue
		}
		records, err := h.frame(f.Body, f.Count)
		if err != nil {
			return o, err
		}
		last := records[len(records)-1]
		o.offset, o.position = max(o.offset, last.Offset), max(o.position, last.Position)
	}
	o.offset = (o.offset>>openingBits + 1) << openingBits
	return o, nil
}

func (o opening) append(b []byte) []byte {
	b = binary.AppendUvarint(append(b, frameOpens), o.offset)
	return binary.AppendUvarint(b, uint64(o.position))
}

func parseOpening(body []byte) (o opening, ok bool) {
	if len(body) == 0 || body[0] != frameOpens {
		return o, false
	}
	d := reader{fields.Reader{Rest: body[1:]}}
	o = opening{d.Uvarint(), eventstore.Position(d.Uvarint())}
	return o, !d.Bad && len(d.Rest) == 0
}

// note writes the opening. On a full disk samples are shown without an offset,
// until one of them is written.
func (j *journal) note() error {
	frame := j.opening.append(make([]byte, wal.HeaderSize))
	err := j.log.Append(wal.Header{First: j.log.Next(), Count: 1}, frame)
	if errors.Is(err, wal.ErrFull) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot write telemetry: %w", err)
	}
	j.noted()
	return nil
}

// stamp is called when something of this opening is on disk: from now on what
// placement sees has an offset that stands for nothing else.
func (t *Table) stamp() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.unstamped {
		t.unstamped = false
		t.show(&View{t.offset, t.View().nodes})
	}
}

// spanOf returns what a closed journal holds; of one that was not closed in
// order, that it may hold anything.
func spanOf(one wal.Journal) span {
	position, n := binary.Uvarint(one.Meta)
	if n <= 0 {
		return span{position: 1<<64 - 1, time: 1<<63 - 1}
	}
	time, _ := binary.Varint(one.Meta[n:])
	return span{eventstore.Position(position), time}
}
