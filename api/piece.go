package api

import (
	"encoding/base64"
	"strconv"
	"unicode/utf8"

	"github.com/hodei-jobs/hodei/projections/joblog"
)

// Tags of the bytes written to standard output, also a terminal's, and to standard
// error.
const (
	stdoutTag = 1
	stderrTag = 2
)

// pieceData encodes a piece of a log as wire.LogPiece. It is written by hand
// since all output passes here. What it returns has no byte below space, so
// that output can't forge an event.
func pieceData(p *joblog.Piece) []byte {
	b := make([]byte, 0, len(p.Data)+len(p.Data)/8+48)
	if utf8.Valid(p.Data) {
		b = appendJSONString(append(b, `{"t":`...), p.Data)
	} else {
		b = append(b, `{"b":"`...)
		b = base64.StdEncoding.AppendEncode(b, p.Data)
		b = append(b, '"')
	}
	if p.Tag == stderrTag {
		b = append(b, `,"e":true`...)
	}
	b = strconv.AppendInt(append(b, `,"at":`...), p.Time, 10)
	return append(b, '}')
}

const hexDigits = "0123456789abcdef"

// appendJSONString appends valid UTF-8 as a JSON string.
func appendJSONString(b, text []byte) []byte {
	b = append(b, '"')
	start := 0
	for i, c := range text {
		if c >= 0x20 && c != '"' && c != '\\' && c != 0x7f {
			continue
		}
		b = append(b, text[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(append(b, text[start:]...), '"')
}
