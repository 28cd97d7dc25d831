package commands

import (
	"bytes"
	"encoding/hex"
)

// A traceparent is W3C trace context's: which trace a request belongs to.
//
//	00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
//	version, trace id (16 bytes), id of the caller's span (8), flags (1)
const (
	traceText  = 55 // characters of version 00; later ones may have more after a -
	traceBytes = 16 + 8 + 1
)

// ParseTraceparent returns what [Caller] keeps of the header. One that is not as
// the standard says is none: nil.
func ParseTraceparent(text string) []byte {
	if len(text) < traceText || text[2] != '-' || text[35] != '-' || text[52] != '-' {
		return nil
	}
	if version := text[:2]; version == "ff" || version == "00" && len(text) > traceText || len(text) > traceText && text[traceText] != '-' {
		return nil
	}
	digits := text[:2] + text[3:35] + text[36:52] + text[53:traceText]
	for _, c := range []byte(digits) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return nil
		}
	}
	trace, err := hex.DecodeString(digits[2:])
	if err != nil || bytes.Equal(trace[:16], make([]byte, 16)) || bytes.Equal(trace[16:24], make([]byte, 8)) {
		return nil
	}
	return trace
}

// FormatTraceparent writes what ParseTraceparent read, as version 00; "" for
// anything else.
func FormatTraceparent(trace []byte) string {
	if len(trace) != traceBytes {
		return ""
	}
	return "00-" + hex.EncodeToString(trace[:16]) + "-" + hex.EncodeToString(trace[16:24]) + "-" + hex.EncodeToString(trace[24:])
}
