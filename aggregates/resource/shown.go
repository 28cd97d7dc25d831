package resource

import (
	"math"
	"strconv"
)

// Unit is a unit in which sizes are shown to people, as a power of 1024.
type Unit int

var unitNames = []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}

// roundedUp is from where a size is shown in the next unit: 1024 of the one, as
// it would be rounded.
const roundedUp = 1023.95

func (u Unit) String() string { return unitNames[u] }

// Unit returns the unit that suits a size.
func (b Bytes) Unit() Unit {
	u := 0
	for v := float64(b); v >= roundedUp && u < len(unitNames)-1; u++ {
		v /= 1024
	}
	return Unit(u)
}

// In returns a size in a unit, without naming it, with at most one decimal.
func (b Bytes) In(u Unit) string {
	v := float64(b) / math.Pow(1024, float64(u))
	if v >= 100 || v == math.Trunc(v) {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'f', 1, 64)
}

// Shown returns a size for people, rounded: 412 MiB, 1.5 GiB.
func (b Bytes) Shown() string { return b.In(b.Unit()) + " " + b.Unit().String() }

// Of returns a size and what it is a part of, for people: 8.0 of 8 GiB, 412 MiB of
// 2 GiB.
func (b Bytes) Of(whole Bytes) string {
	if u := whole.Unit(); u == b.Unit() {
		return b.In(u) + " of " + whole.Shown()
	}
	return b.Shown() + " of " + whole.Shown()
}
