// Package series is how what an attempt uses is written down second by second: by
// the agent that measures it, for whoever reads it later. A series is one run of
// bytes that only grows, and each sample is told by how it differs from the one
// before, so it is read from its beginning.
//
//	┌──────┬──────────────────────────┬───────┬─────┬────────┬───────────┬──────┬─────────┬────────────────┐
//	│ head │ time                     │ known │ CPU │ memory │ processes │ read │ written │ received, sent │
//	└──────┴──────────────────────────┴───────┴─────┴────────┴───────────┴──────┴─────────┴────────────────┘
//	 1 byte: which of the others follow; that the time does, always
//
// The time is the change of the distance to the sample before, a zigzag varint in
// ms; or, as for the first sample, ms since 1970 and the ms that the sample is of,
// uvarints. known is a byte. CPU (ms), memory (KiB) and processes are differences to
// the sample before, zigzag varints; the rest are bytes moved, uvarints. So an idle
// second takes 2 bytes, a busy one 5 to 10.
//
// Nothing here has a lock or a clock.
package series

import (
	"encoding/binary"
	"errors"
	"time"
)

// Known says what of a sample was measured, beside CPU, which always is.
type Known uint8

// What may be known.
const (
	Memory  Known = 1 << iota // and the number of processes
	Disk                      // Read, Written
	Network                   // Received, Sent

	allKnown = Memory | Disk | Network
)

// Sample is what an attempt's processes used. Fields that are not known are 0.
type Sample struct {
	Time  int64         // its end, ms since 1970; it rises from sample to sample
	Over  time.Duration // what it is of, whole ms, above 0; it may begin after the sample before ended
	Known Known

	CPU       time.Duration // used in it, whole ms
	Memory    uint64        // bytes at its end, whole KiB
	Processes uint32        // at its end

	Read, Written  uint64 // bytes from and to storage, in it
	Received, Sent uint64 // bytes over the network, in it
}

// MaxSample is how many bytes a sample takes at most.
const MaxSample = 2 + 9*binary.MaxVarintLen64

// The bits of the head: what follows.
const (
	hasStart = 1 << iota // a time of its own
	hasKnown
	hasCPU
	hasMemory
	hasProcesses
	hasRead
	hasWritten
	hasNetwork
)

// Bounds of what a sample can say: more is malformed.
const (
	maxTime  = 1 << 43 // ms: the year 2248
	maxValue = 1 << 53 // what JSON's numbers hold
)

// ErrMalformed is a series that no [Encoder] wrote.
var ErrMalformed = errors.New("series: malformed")

// state is what the next sample differs from.
type state struct {
	Sample
	begun bool
}

// Encoder writes a series. The zero value begins one.
type Encoder struct{ last state }

// Append appends a sample to buf. Parts of a ms or KiB are cut off.
func (e *Encoder) Append(buf []byte, s Sample) []byte {
	last, at := e.last, len(buf)
	over, before := s.Over.Milliseconds(), last.Over.Milliseconds()
	buf = append(buf, 0)
	var head byte
	if !last.begun || s.Time-last.Time != over {
		head |= hasStart
		buf = binary.AppendUvarint(buf, uint64(s.Time))
		buf = binary.AppendUvarint(buf, uint64(over))
	} else {
		buf = binary.AppendVarint(buf, over-before)
	}
	if s.Known != last.Known {
		head |= hasKnown
		buf = append(buf, byte(s.Known))
	}
	difference := func(bit byte, now, before int64) {
		if now != before {
			head |= bit
			buf = binary.AppendVarint(buf, now-before)
		}
	}
	difference(hasCPU, s.CPU.Milliseconds(), last.CPU.Milliseconds())
	difference(hasMemory, int64(s.Memory>>10), int64(last.Memory>>10))
	difference(hasProcesses, int64(s.Processes), int64(last.Processes))
	moved := func(bit byte, bytes ...uint64) {
		if bytes[0]|bytes[len(bytes)-1] == 0 {
			return
		}
		head |= bit
		for _, n := range bytes {
			buf = binary.AppendUvarint(buf, n)
		}
	}
	moved(hasRead, s.Read)
	moved(hasWritten, s.Written)
	moved(hasNetwork, s.Received, s.Sent)
	buf[at] = head
	e.last = state{s, true}
	return buf
}
