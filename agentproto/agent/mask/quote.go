package mask

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonStyle is what a writer of JSON escapes beyond what it must.
type jsonStyle struct {
	html  bool // < > & for HTML, as Go does
	lines bool // U+2028 and U+2029, as Go does
	ascii bool // all beyond ASCII, as Python does
	slash bool // as PHP does
}

func jsonForms(secret []byte) [][]byte {
	var all [][]byte
	for _, style := range []jsonStyle{
		{html: true, lines: true}, {lines: true}, {}, {ascii: true}, {slash: true}, {ascii: true, slash: true},
	} {
		all = append(all, style.escape(secret))
	}
	return all
}

// escape is the text as it stands between the quotation marks of JSON. What is
// not UTF-8 becomes U+FFFD, as JSON can't carry it.
func (s jsonStyle) escape(text []byte) []byte {
	out := make([]byte, 0, len(text)+len(text)/4)
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && size == 1:
			out = append(out, `\ufffd`...)
		case r < utf8.RuneSelf:
			out = s.escapeASCII(out, byte(r))
		case s.ascii && r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = appendUnicode(appendUnicode(out, high), low)
		case s.ascii, s.lines && (r == '\u2028' || r == '\u2029'):
			out = appendUnicode(out, r)
		default:
			out = append(out, text[:size]...)
		}
		text = text[size:]
	}
	return out
}

func (s jsonStyle) escapeASCII(out []byte, b byte) []byte {
	switch {
	case b == '"' || b == '\\' || b == '/' && s.slash:
		return append(out, '\\', b)
	case b == '\n':
		return append(out, `\n`...)
	case b == '\r':
		return append(out, `\r`...)
	case b == '\t':
		return append(out, `\t`...)
	case b == '\b':
		return append(out, `\b`...)
	case b == '\f':
		return append(out, `\f`...)
	case b < ' ', s.ascii && b == 0x7f, s.html && (b == '<' || b == '>' || b == '&'):
		return appendUnicode(out, rune(b))
	}
	return append(out, b)
}

func appendUnicode(out []byte, r rune) []byte {
	return append(out, '\\', 'u', lowerHex[r>>12&15], lowerHex[r>>8&15], lowerHex[r>>4&15], lowerHex[r&15])
}

// goForms are what Go prints with %q and %+q, and Python with repr: of text, and
// of bytes.
func goForms(secret []byte) [][]byte {
	inner := func(quoted string) []byte { return []byte(quoted[1 : len(quoted)-1]) }
	return [][]byte{
		inner(strconv.Quote(string(secret))),
		inner(strconv.QuoteToASCII(string(secret))),
		pythonQuoted(secret, 0, false), pythonQuoted(secret, '\'', false),
		pythonQuoted(secret, 0, true), pythonQuoted(secret, '\'', true),
	}
}

// pythonQuoted escapes the quotation mark, and all beyond ASCII of bytes.
func pythonQuoted(secret []byte, quote byte, ascii bool) []byte {
	return each(secret, func(out []byte, b byte) []byte {
		switch {
		case b == '\\' || quote != 0 && b == quote:
			return append(out, '\\', b)
		case b == '\n':
			return append(out, `\n`...)
		case b == '\r':
			return append(out, `\r`...)
		case b == '\t':
			return append(out, `\t`...)
		case b < ' ' || b == 0x7f || b >= utf8.RuneSelf && ascii:
			return append(out, '\\', 'x', lowerHex[b>>4], lowerHex[b&15])
		}
		return append(out, b)
	})
}
