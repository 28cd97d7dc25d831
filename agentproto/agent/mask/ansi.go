package mask

import "bytes"

const (
	escape = 0x1b
	bell   = 0x07
	// maxSequence is how many bytes a control sequence has at most. What comes
	// after them is text, so that one without an end hides no more than this.
	maxSequence = 4096
)

// Where in a control sequence a byte stands.
const (
	ground      uint8 = iota // in none
	escaped                  // after ESC
	designating              // ESC and intermediate bytes, as in ESC ( B
	controlling              // ESC [, a CSI
	stringing                // ESC ] (an OSC), ESC P, ESC X, ESC ^ or ESC _
)

// sequence reads the control sequences of terminals (ECMA-48). It needs no look
// ahead: what turns out not to be a sequence ends where that shows, and what was
// read of it stays skipped.
//
//	ESC [ 20–3F* 40–7E            CSI: colours, cursor
//	ESC ] P X ^ _ … BEL | ESC \   strings: titles, links
//	ESC 20–2F+ 30–7E              character sets
//	ESC 30–7E                     the rest
type sequence struct {
	state  uint8
	length uint16 // bytes of the sequence so far
}

// takes reports whether the byte belongs to a sequence. ESC begins a new one
// wherever it stands.
func (s *sequence) takes(b byte) bool {
	if b == escape {
		*s = sequence{escaped, 1}
		return true
	}
	if s.state == ground {
		return false
	}
	if s.length == maxSequence {
		s.state = ground
		return false
	}
	s.length++
	next, belongs := s.after(b)
	s.state = next
	return belongs
}

func (s *sequence) after(b byte) (state uint8, belongs bool) {
	intermediate, final := b >= 0x20 && b <= 0x2f, b >= 0x30 && b <= 0x7e
	switch s.state {
	case escaped:
		switch {
		case b == '[':
			return controlling, true
		case b == ']' || b == 'P' || b == 'X' || b == '^' || b == '_':
			return stringing, true
		case intermediate:
			return designating, true
		}
		return ground, final
	case designating:
		if intermediate {
			return designating, true
		}
		return ground, final
	case controlling:
		if b >= 0x20 && b <= 0x3f {
			return controlling, true
		}
		return ground, final
	}
	switch b {
	case bell:
		return ground, true
	case '\n': // no title has one; a stray beginning must not hide lines
		return ground, false
	}
	return stringing, true
}

// past is the state after the data.
func (s sequence) past(data []byte) sequence {
	for len(data) > 0 {
		if s.state == ground {
			at := bytes.IndexByte(data, escape)
			if at < 0 {
				return s
			}
			data = data[at:]
		}
		s.takes(data[0])
		data = data[1:]
	}
	return s
}

// plain appends what is not in a sequence to text, and where each byte stood to
// positions.
func (s sequence) plain(data, text []byte, positions []int32) ([]byte, []int32) {
	for at := 0; at < len(data); {
		if s.state != ground {
			if !s.takes(data[at]) {
				text, positions = append(text, data[at]), append(positions, int32(at))
			}
			at++
			continue
		}
		n := bytes.IndexByte(data[at:], escape)
		if n < 0 {
			n = len(data) - at
		}
		text = append(text, data[at:at+n]...)
		for range n {
			positions = append(positions, int32(at))
			at++
		}
		if at < len(data) {
			s.takes(data[at])
			at++
		}
	}
	return text, positions
}
