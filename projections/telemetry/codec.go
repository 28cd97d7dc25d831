package telemetry

import (
	"encoding/binary"
	"errors"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/fields"
)

// A frame of the journal holds samples, each as what it differs by from the
// worker's sample before. Numbers are varints; a difference is signed.
//
//	byte      1 if nothing is presumed from frames before, else 0; 2 if it is no
//	          frame of samples but says where an opening of the journal begins:
//	          the offset before its first sample, and the highest position of all
//	          samples before
//	offset    of its first sample
//	each sample:
//	  worker      its number in order of first appearance since the last such
//	              frame; if it is a new one, its id follows
//	  position    of the log at arrival, difference to the sample before
//	  time        ns since 1970, difference to the sample before
//	  mask        which gauges of the machine are known, a bit each
//	  gauges      those known, differences to the same worker's before
//	  n           attempts
//	  each attempt:
//	    which       1 + its index in the worker's sample before; 0: job and
//	                number follow
//	    mask        which gauges are known, and the flags
//	    processes   their number
//	    gauges      those known, differences to the same attempt's before
const (
	frameContinues = 0
	frameBegins    = 1
	frameOpens     = 2

	nodeGauges    = 4
	attemptGauges = 8

	maskStalled = 1 << attemptGauges
	maskInput   = 1 << (attemptGauges + 1)

	maxFrameAttempts = 1 << 16 // of one sample; more were never written
)

// Record is a sample as the journal holds it.
type Record struct {
	Offset   uint64              // as of [View]
	Position eventstore.Position // of the log when it arrived
	Time     int64               // ns since 1970
	Worker   id.ID
	Sample
}

var errFrame = errors.New("it is not a frame of samples")

// history is what differences refer to. Writer and reader keep the same one.
type history struct {
	numbers  map[id.ID]uint64
	workers  []known
	position eventstore.Position
	time     int64
}

type known struct {
	id   id.ID
	last Sample
}

func (h *history) reset() { *h = history{numbers: make(map[id.ID]uint64)} }

// number returns a worker's number; isNew if it has just got it.
func (h *history) number(worker id.ID) (n uint64, isNew bool) {
	n, ok := h.numbers[worker]
	if !ok {
		n = uint64(len(h.workers))
		h.numbers[worker] = n
		h.workers = append(h.workers, known{id: worker})
	}
	return n, !ok
}

// append appends a record's form to b.
func (h *history) append(b []byte, r *Record) []byte {
	n, isNew := h.number(r.Worker)
	b = binary.AppendUvarint(b, n)
	if isNew {
		b = binary.AppendUvarint(b, uint64(r.Worker))
	}
	b = binary.AppendVarint(b, int64(r.Position-h.position))
	b = binary.AppendVarint(b, r.Time-h.time)
	h.position, h.time = r.Position, r.Time
	last := &h.workers[n].last
	b = appendGauges(b, 0, nil, r.Sample.gauges(), last.gauges())
	b = binary.AppendUvarint(b, uint64(len(r.Attempts)))
	for i := range r.Attempts {
		b = r.Attempts[i].append(b, last.Attempts, i)
	}
	*last = r.Sample
	return b
}

func (a *Attempt) append(b []byte, before []Attempt, i int) []byte {
	var last Attempt
	if at := find(before, a, i); at >= 0 {
		last = before[at]
		b = binary.AppendUvarint(b, uint64(at)+1)
	} else {
		b = binary.AppendUvarint(b, 0)
		b = binary.AppendUvarint(b, uint64(a.Job))
		b = binary.AppendUvarint(b, uint64(a.Attempt))
	}
	mask := uint64(0)
	if a.Stalled {
		mask |= maskStalled
	}
	if a.WaitsForInput {
		mask |= maskInput
	}
	return appendGauges(b, mask, &a.Processes, a.gauges(), last.gauges())
}

// find returns where in before the attempt is, or -1. It is most often at i.
func find(before []Attempt, a *Attempt, i int) int {
	same := func(n int) bool { return before[n].Job == a.Job && before[n].Attempt == a.Attempt }
	if i < len(before) && same(i) {
		return i
	}
	for n := range before {
		if same(n) {
			return n
		}
	}
	return -1
}

func appendGauges(b []byte, mask uint64, processes *uint32, gauges, last []*Gauge) []byte {
	for i, g := range gauges {
		if g.Known {
			mask |= 1 << i
		}
	}
	b = binary.AppendUvarint(b, mask)
	if processes != nil {
		b = binary.AppendUvarint(b, uint64(*processes))
	}
	for i, g := range gauges {
		if g.Known {
			b = binary.AppendVarint(b, int64(g.N-last[i].N))
		}
	}
	return b
}

func (s *Sample) gauges() []*Gauge {
	return []*Gauge{&s.AgentMemory, &s.CPU, &s.Memory, &s.DiskFree}
}

func (a *Attempt) gauges() []*Gauge {
	return []*Gauge{
		&a.CPU, &a.CPUTime, &a.Memory, &a.PeakMemory,
		&a.NetReceived, &a.NetSent, &a.DiskRead, &a.DiskWritten,
	}
}

// frame reads a frame's body, which holds count records.
func (h *history) frame(body []byte, count uint32) ([]Record, error) {
	if _, ok := parseOpening(body); ok {
		return nil, nil
	}
	if len(body) == 0 || body[0] > frameBegins {
		return nil, errFrame
	}
	if body[0] == frameBegins {
		h.reset()
	}
	d := reader{fields.Reader{Rest: body[1:]}}
	offset := d.Uvarint()
	var records []Record
	for i := range count {
		r := Record{Offset: offset + uint64(i)}
		h.record(&d, &r)
		if d.Bad {
			return nil, errFrame
		}
		records = append(records, r)
	}
	if len(d.Rest) > 0 {
		return nil, errFrame
	}
	return records, nil
}

func (h *history) record(d *reader, r *Record) {
	n := d.Uvarint()
	if n == uint64(len(h.workers)) {
		h.number(id.ID(d.Uvarint()))
	}
	if n >= uint64(len(h.workers)) {
		d.Bad = true
		return
	}
	r.Worker = h.workers[n].id
	r.Position = h.position + eventstore.Position(d.Varint())
	r.Time = h.time + d.Varint()
	h.position, h.time = r.Position, r.Time
	last := &h.workers[n].last
	d.gauges(d.Uvarint(), r.Sample.gauges(), last.gauges())
	attempts := d.Uvarint()
	if attempts > maxFrameAttempts || attempts > uint64(len(d.Rest)) {
		d.Bad = true
		return
	}
	if attempts > 0 {
		r.Attempts = make([]Attempt, attempts)
	}
	for i := range r.Attempts {
		r.Attempts[i].read(d, last.Attempts)
	}
	*last = r.Sample
}

func (a *Attempt) read(d *reader, before []Attempt) {
	var last Attempt
	switch at := d.Uvarint(); {
	case at == 0:
		a.Job, a.Attempt = id.ID(d.Uvarint()), uint32(d.Uvarint())
	case at <= uint64(len(before)):
		last = before[at-1]
		a.Job, a.Attempt = last.Job, last.Attempt
	default:
		d.Bad = true
	}
	mask := d.Uvarint()
	a.Stalled, a.WaitsForInput = mask&maskStalled != 0, mask&maskInput != 0
	a.Processes = uint32(d.Uvarint())
	d.gauges(mask, a.gauges(), last.gauges())
}

// reader reads samples.
type reader struct{ fields.Reader }

func (d *reader) gauges(mask uint64, gauges, last []*Gauge) {
	for i, g := range gauges {
		if mask&(1<<i) != 0 {
			*g = Measured(last[i].N + uint64(d.Varint()))
		}
	}
}
