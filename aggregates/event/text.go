package event

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxText is how many characters of one foreign text a description shows.
const maxText = 120

// Printable returns foreign text for a terminal or a page: control characters and
// bytes that are no UTF-8 as \x1b, marks that are invisible or change the
// direction of writing as \u202e. It is one line afterwards.
func Printable(s string) string {
	if strings.IndexFunc(s, unprintable) < 0 && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i, width := 0, 0; i < len(s); i += width {
		var r rune
		r, width = utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && width == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case !unprintable(r):
			b.WriteRune(r)
		case r < utf8.RuneSelf:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	return b.String()
}

// unprintable reports controls, format characters (the bidi marks among them),
// and all white space but the blank.
func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// text is Printable, cut to maxText characters.
func text(s string) string {
	n := 0
	for i := range s {
		if n++; n > maxText {
			return Printable(s[:i]) + "…"
		}
	}
	return Printable(s)
}

// because returns ": reason", or nothing for an empty reason.
func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + text(reason)
}

// count returns "1 job" or "3 jobs".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// Duration returns how long something took, in at most two units: 350ms, 12.4s,
// 4m02s, 1h05m, 3d04h.
func Duration(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < 0:
		return "-" + Duration(max(-d, -(d+1)))
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
	case d < time.Minute && d%time.Second < 100*time.Millisecond:
		return strconv.Itoa(int(d/time.Second)) + "s"
	case d < time.Minute:
		return strconv.FormatFloat(float64(d/(100*time.Millisecond))/10, 'f', 1, 64) + "s"
	case d < time.Hour:
		return two(d, time.Minute, "m", time.Second, "s")
	case d < day:
		return two(d, time.Hour, "h", time.Minute, "m")
	}
	return two(d, day, "d", time.Hour, "h")
}

func two(d, large time.Duration, l string, small time.Duration, s string) string {
	rest := d % large / small
	if rest == 0 {
		return fmt.Sprintf("%d%s", d/large, l)
	}
	return fmt.Sprintf("%d%s%02d%s", d/large, l, rest, s)
}

func nanoseconds(ns int64) string { return Duration(time.Duration(ns)) }
