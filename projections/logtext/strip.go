package logtext

import "bytes"

const esc = 0x1b

// Stripper takes escape sequences out of a text: CSI (colours, cursor), OSC
// (titles, links), DCS and their like, as ECMA-48 has them. It keeps its state, so
// a sequence may be cut anywhere. One that was left unfinished ends with its line,
// so that it can't hide the rest of a log. The zero value is ready.
type Stripper struct {
	state stripState
}

type stripState uint8

const (
	inText stripState = iota
	inEscape
	inControl   // CSI: parameters, then a final byte
	inString    // OSC, DCS, SOS, PM, APC: ends with BEL or ESC \
	inStringEnd // after an ESC in one
)

// Strip appends what is text of src to dst and returns it.
func (s *Stripper) Strip(dst, src []byte) []byte {
	for len(src) > 0 {
		if s.state == inText {
			text := src
			if i := bytes.IndexByte(src, esc); i >= 0 {
				text, s.state = src[:i], inEscape
				src = src[i+1:]
			} else {
				src = nil
			}
			dst = append(dst, text...)
			continue
		}
		b := src[0]
		src = src[1:]
		if s.step(b) {
			dst = append(dst, b)
		}
	}
	return dst
}

// step takes a byte inside of a sequence, and says whether it is text after all.
func (s *Stripper) step(b byte) (text bool) {
	switch {
	case b == '\n':
		s.state = inText
		return true
	case s.state == inString:
		switch b {
		case '\a':
			s.state = inText
		case esc:
			s.state = inStringEnd
		}
	case b == esc:
		s.state = inEscape
	case s.state == inStringEnd && b == '\\':
		s.state = inText
	case s.state == inControl:
		return s.control(b)
	default:
		return s.escape(b)
	}
	return false
}

func (s *Stripper) control(b byte) (text bool) {
	switch {
	case b >= 0x40 && b <= 0x7e:
		s.state = inText
	case b >= 0x20 && b < 0x40:
	default: // no sequence has this byte
		s.state = inText
		return true
	}
	return false
}

func (s *Stripper) escape(b byte) (text bool) {
	switch {
	case b == '[':
		s.state = inControl
	case b == ']' || b == 'P' || b == 'X' || b == '^' || b == '_':
		s.state = inString
	case b >= 0x20 && b < 0x30: // such as ( before a character set
		s.state = inEscape
	case b >= 0x30 && b < 0x7f:
		s.state = inText
	default:
		s.state = inText
		return true
	}
	return false
}
