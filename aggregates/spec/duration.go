package spec

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time, written as 30s, 5m or 1h30m: whole numbers with
// the units d h m s ms us ns, each at most once, the larger first.
type Duration time.Duration

// Units of Duration.
const (
	Second = Duration(time.Second)
	Minute = 60 * Second
	Hour   = 60 * Minute
	Day    = 24 * Hour
)

// DurationHelp says how a duration is written.
const DurationHelp = "whole numbers with units, such as 30s, 5m or 1h30m"

var durationUnits = []struct {
	name string
	size Duration
}{
	{"d", Day}, {"h", Hour}, {"m", Minute}, {"s", Second},
	{"ms", Second / 1000}, {"us", Second / 1_000_000}, {"ns", 1},
}

// maxDurationDays is the longest duration that is read: some 100 years.
const maxDurationDays = 36_500

// ParseDuration reads a duration; it is never negative.
func ParseDuration(s string) (Duration, error) {
	if s == "0" || s == "0s" {
		return 0, nil
	}
	bad := func() (Duration, error) { return 0, fmt.Errorf("%s is not a duration", quote(s)) }
	var total Duration
	next := 0 // the largest unit that may still come
	if s == "" {
		return bad()
	}
	for rest := s; rest != ""; {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		n, err := strconv.ParseUint(rest[:digits], 10, 63)
		if err != nil {
			return bad()
		}
		rest = rest[digits:]
		unit := rest[:len(rest)-len(strings.TrimLeft(rest, "dhmsun"))]
		rest = rest[len(unit):]
		for next < len(durationUnits) && durationUnits[next].name != unit {
			next++
		}
		if next == len(durationUnits) {
			return bad()
		}
		size := durationUnits[next].size
		if n > uint64(maxDurationDays*Day/size) {
			return 0, fmt.Errorf("%s is longer than %d days", quote(s), maxDurationDays)
		}
		total += Duration(n) * size
		next++
	}
	return total, nil
}

// String returns the notation with the fewest units.
func (d Duration) String() string {
	if d <= 0 {
		return "0s"
	}
	var b strings.Builder
	for _, u := range durationUnits {
		if n := d / u.size; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			d %= u.size
		}
	}
	return b.String()
}

// Std returns the duration as package time has it.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// MarshalText writes what String returns; it also serves JSON.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what ParseDuration does.
func (d *Duration) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDuration(string(text))
	return err
}
