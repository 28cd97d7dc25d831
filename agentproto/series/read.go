package series

import (
	"encoding/binary"
	"errors"
	"time"
)

// Decoder reads a series as its bytes come, cut wherever they are. The zero value
// is at the beginning. It holds no more than a sample.
type Decoder struct {
	last state
	rest []byte // of a sample that is not whole yet
	err  error
}

// Decode reads the bytes that follow and calls fn with each sample that is whole
// now. Bytes may be an agent's: whatever they are, it ends, and what it tells of
// rises in time. After ErrMalformed nothing more can be read.
func (d *Decoder) Decode(data []byte, fn func(Sample)) error {
	if d.err != nil {
		return d.err
	}
	if len(d.rest) > 0 {
		data = append(d.rest, data...)
	}
	for len(data) > 0 {
		s, n, err := d.last.next(data)
		switch {
		case errors.Is(err, errShort) && len(data) < MaxSample:
			d.rest = append([]byte(nil), data...)
			return nil
		case err != nil:
			d.err = ErrMalformed
			return d.err
		}
		d.last, data = state{s, true}, data[n:]
		fn(s)
	}
	d.rest = nil
	return nil
}

var errShort = errors.New("the sample is not whole")

// next reads the sample that follows, and how many bytes it has.
func (l state) next(data []byte) (s Sample, n int, err error) {
	r := reader{data: data[1:]}
	head := data[0]
	has := func(bit byte) bool { return head&bit != 0 }
	s = l.Sample
	over := l.Over.Milliseconds()
	if has(hasStart) {
		s.Time, over = int64(r.uvarint(maxTime)), int64(r.uvarint(maxTime))
	} else {
		over += r.varint()
		s.Time += over
	}
	if has(hasKnown) {
		s.Known = Known(r.one())
	}
	cpu, memory, processes := s.CPU.Milliseconds(), int64(s.Memory>>10), int64(s.Processes)
	r.change(has(hasCPU), &cpu)
	r.change(has(hasMemory), &memory)
	r.change(has(hasProcesses), &processes)
	s.Read, s.Written, s.Received, s.Sent = 0, 0, 0, 0
	r.moved(has(hasRead), &s.Read)
	r.moved(has(hasWritten), &s.Written)
	r.moved(has(hasNetwork), &s.Received, &s.Sent)
	switch {
	case r.err != nil:
		return s, 0, r.err
	case over <= 0 || over > maxTime || s.Time <= l.Time || s.Time > maxTime || !has(hasStart) && !l.begun,
		s.Known&^allKnown != 0, cpu < 0 || cpu > maxTime, memory < 0 || memory > maxValue>>10, processes < 0 || processes > 1<<31:
		return s, 0, ErrMalformed
	}
	s.Over, s.CPU = time.Duration(over)*time.Millisecond, time.Duration(cpu)*time.Millisecond
	s.Memory, s.Processes = uint64(memory)<<10, uint32(processes)
	return s, len(data) - len(r.data), nil
}

// reader reads numbers until one is not there or can't be.
type reader struct {
	data []byte
	err  error
}

func (r *reader) uvarint(most uint64) uint64 {
	v, n := binary.Uvarint(r.data)
	return uint64(taken(r, int64(v), n, v <= most))
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.data)
	return taken(r, v, n, v >= -maxValue && v <= maxValue)
}

func taken(r *reader, v int64, n int, fits bool) int64 {
	switch {
	case r.err != nil:
	case n == 0:
		r.err = errShort
	case n < 0 || !fits:
		r.err = ErrMalformed
	default:
		r.data = r.data[n:]
		return v
	}
	return 0
}

func (r *reader) one() byte {
	if r.err == nil && len(r.data) == 0 {
		r.err = errShort
	}
	if r.err != nil {
		return 0
	}
	b := r.data[0]
	r.data = r.data[1:]
	return b
}

func (r *reader) change(has bool, value *int64) {
	if has {
		*value += r.varint()
	}
}

func (r *reader) moved(has bool, values ...*uint64) {
	for _, v := range values {
		if has {
			*v = r.uvarint(maxValue)
		}
	}
}
