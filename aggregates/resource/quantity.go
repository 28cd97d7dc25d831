// Package resource is what jobs need and workers have: processor time, memory,
// disk, and labels. Amounts are whole numbers (thousandths of a CPU, bytes) with
// one notation.
package resource

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// CPU is processor time in thousandths of a CPU. It is written as 2 or 500m.
type CPU uint64

// Bytes is a size. It is written with a binary unit, as 512Mi or 2Gi, or with B
// if it is no whole number of Ki.
type Bytes uint64

const (
	milli = 1000 // a CPU
	one   = 1    // of a size's smallest unit

	// MaxCPU and MaxBytes bound what may be asked for or offered, so that sums
	// stay far from overflow.
	MaxCPU   CPU   = 1_000_000 * milli
	MaxBytes Bytes = 1 << 53

	maxFraction = 6  // digits after the point
	maxLength   = 32 // characters of a quantity
)

var units = []struct {
	suffix string
	factor Bytes
}{
	{"Pi", 1 << 50}, {"Ti", 1 << 40}, {"Gi", 1 << 30}, {"Mi", 1 << 20}, {"Ki", 1 << 10}, {"B", one},
}

// CPUHelp and BytesHelp say how a quantity is written.
const (
	CPUHelp   = "such as 2 or 500m"
	BytesHelp = "a number and a unit, such as 512Mi or 2Gi"
)

// ParseCPU reads 2, 0.5 or 500m.
func ParseCPU(s string) (CPU, error) {
	number, factor := s, uint64(milli)
	if cut, ok := strings.CutSuffix(s, "m"); ok {
		number, factor = cut, 1
	}
	v, ok := scale(number, factor)
	if !ok {
		return 0, fmt.Errorf("%s is not a number of CPUs", quote(s))
	}
	if CPU(v) > MaxCPU {
		return 0, fmt.Errorf("%s is more than %s CPUs", quote(s), MaxCPU)
	}
	return CPU(v), nil
}

// ParseBytes reads 512Mi, 1.5Gi or 100B.
func ParseBytes(s string) (Bytes, error) {
	if s == "0" {
		return 0, nil
	}
	for _, u := range units {
		number, found := strings.CutSuffix(s, u.suffix)
		if !found {
			continue
		}
		v, ok := scale(number, uint64(u.factor))
		switch {
		case !ok:
			return 0, fmt.Errorf("%s is not a size", quote(s))
		case Bytes(v) > MaxBytes:
			return 0, fmt.Errorf("%s is more than %s", quote(s), MaxBytes)
		}
		return Bytes(v), nil
	}
	return 0, fmt.Errorf("%s is not a size", quote(s))
}

// String returns the shortest notation, such as 2 or 500m.
func (c CPU) String() string {
	if c%milli == 0 {
		return strconv.FormatUint(uint64(c/milli), 10)
	}
	return strconv.FormatUint(uint64(c), 10) + "m"
}

// String returns the notation with the largest unit that fits without a rest.
func (b Bytes) String() string {
	if b == 0 {
		return "0"
	}
	for _, u := range units {
		if b%u.factor == 0 {
			return strconv.FormatUint(uint64(b/u.factor), 10) + u.suffix
		}
	}
	return strconv.FormatUint(uint64(b), 10) + "B"
}

// MarshalText writes what String returns; it also serves JSON.
func (c CPU) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// MarshalText writes what String returns; it also serves JSON.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText reads what ParseCPU does.
func (c *CPU) UnmarshalText(text []byte) (err error) {
	*c, err = ParseCPU(string(text))
	return err
}

// UnmarshalText reads what ParseBytes does.
func (b *Bytes) UnmarshalText(text []byte) (err error) {
	*b, err = ParseBytes(string(text))
	return err
}

// UnmarshalJSON reads a string or a plain number of CPUs.
func (c *CPU) UnmarshalJSON(data []byte) error {
	if s, ok := bytes.CutPrefix(data, []byte(`"`)); ok {
		var text string
		if err := json.Unmarshal(data, &text); err != nil {
			return fmt.Errorf("%s is not a string", quote(string(s)))
		}
		return c.UnmarshalText([]byte(text))
	}
	return c.UnmarshalText(data)
}

// scale returns number × factor if number is a plain decimal number, the product
// is whole and fits.
func scale(number string, factor uint64) (uint64, bool) {
	if len(number) > maxLength {
		return 0, false
	}
	whole, fraction, point := strings.Cut(number, ".")
	if whole == "" || (point && fraction == "") || len(fraction) > maxFraction {
		return 0, false
	}
	w, ok := digits(whole)
	f, okFraction := digits(fraction)
	if !ok || !okFraction {
		return 0, false
	}
	high, low := bits.Mul64(w, factor)
	if high != 0 {
		return 0, false
	}
	power := uint64(1)
	for range len(fraction) {
		power *= 10
	}
	high, part := bits.Mul64(f, factor)
	if high != 0 || part%power != 0 {
		return 0, false
	}
	sum, carry := bits.Add64(low, part/power, 0)
	return sum, carry == 0
}

// digits reads a run of decimal digits; none is 0.
func digits(s string) (uint64, bool) {
	var v uint64
	for i := range len(s) {
		d := uint64(s[i] - '0')
		if d > 9 || v > (1<<63)/10 {
			return 0, false
		}
		v = v*10 + d
	}
	return v, true
}

func quote(s string) string {
	if len(s) > maxLength {
		s = s[:maxLength] + "…"
	}
	return strconv.Quote(s)
}
