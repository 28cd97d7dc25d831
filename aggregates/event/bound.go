package event

import (
	"strings"
	"unicode/utf8"
)

// maxCode is how many bytes a code has.
const maxCode = 32

// Cut returns at most n bytes of a text for an event, as UTF-8. Aggregates let
// all foreign text pass it, so that nobody outside decides how much is stored.
func Cut(s string, n int) string {
	if len(s) <= n && utf8.ValidString(s) {
		return s
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// Code returns a foreign code for an event: 1 to 32 small letters and _, or
// otherwise if it is none.
func Code(s, otherwise string) string {
	if s == "" || len(s) > maxCode || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return otherwise
	}
	return s
}
