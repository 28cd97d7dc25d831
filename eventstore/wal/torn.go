package wal

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// place is where a frame is expected: the number and the position it must have.
type place struct{ number, first uint64 }

func (p place) holds(f Frame) bool { return f.Number == p.number && f.First == p.first }

func (p *place) pass(f Frame) { p.number, p.first = f.Number+1, f.Next() }

// damage looks at a tail that does not begin with the frame expected at p and
// returns why it must not be cut off; empty if it is what a crash leaves behind.
//
// A crash can tear only the last frame, for each was synced before the next was
// written. So a good frame further on is proof of damage. So is a tail that one
// flipped bit makes whole: chance does not do that to a torn frame.
func damage(tail []byte, m mark, p place, check func(Frame) error) string {
	if goodFrameIn(tail, m, p) {
		return "there is a good frame after a bad one"
	}
	whole := func(f Frame) bool { return f.mark == m && p.holds(f) && check(f) == nil }
	if oneBitFromWhole(tail, whole) {
		return "one bit of the last frame is flipped"
	}
	return ""
}

// goodFrameIn reports whether a frame of this journal that could stand at p or
// later is anywhere in tail, its uvarint prefix aside.
func goodFrameIn(tail []byte, m mark, p place) bool {
	for at := atMark; at < len(tail); at++ {
		i := bytes.Index(tail[at:], m[:])
		if i < 0 || len(tail)-at-i < HeaderSize-atMark {
			return false
		}
		at += i
		rest := tail[at-atMark:]
		size := uint64(HeaderSize) + uint64(binary.BigEndian.Uint32(rest[atLength:]))
		if size > MaxFrame || size > uint64(len(rest)) ||
			binary.BigEndian.Uint64(rest[atNumber:]) < p.number ||
			binary.BigEndian.Uint64(rest[atFirst:]) < p.first {
			continue
		}
		if _, err := parseFrame(rest[:size]); err == nil {
			return true
		}
	}
	return false
}

// oneBitFromWhole reports whether flipping one bit of tail makes its first frame
// whole. It takes time linear in the frame: the bits that say where the frame
// ends are tried, that of any other follows from the checksum, which is linear.
func oneBitFromWhole(tail []byte, whole func(Frame) bool) bool {
	data := slices.Clone(tail[:min(len(tail), maxPrefix+MaxFrame)])
	try := func(bit int) bool {
		data[bit/8] ^= 1 << (bit % 8)
		defer func() { data[bit/8] ^= 1 << (bit % 8) }()
		f, _, err := parse(data)
		return err == nil && whole(f)
	}
	for bit := range 8 * min(len(data), maxPrefix+atMark) {
		if try(bit) {
			return true
		}
	}
	size, k := binary.Uvarint(data)
	if k <= 0 || size < HeaderSize || uint64(len(data)-k) < size {
		return false
	}
	frame := data[k : k+int(size)]
	syndrome := checksum(frame) ^ binary.BigEndian.Uint32(frame[atSum:])
	if syndrome&(syndrome-1) == 0 { // at most one bit: it is the stored sum that may be flipped
		for bit := range 32 {
			if try(8*(k+atSum) + bit) {
				return true
			}
		}
	}
	at, bit, ok := flippedBit(syndrome, len(frame)-4)
	if !ok {
		return false
	}
	if at >= atSum {
		at += 4 // the sum does not cover itself
	}
	return try(8*(k+at) + bit)
}

// flippedBit finds the bit of an n-byte message whose flip changes its CRC-32C
// by syndrome. A flip in the last byte changes it by a table entry; one that is
// k bytes further ahead by what k zero bytes make of that entry, which is undone
// here step by step.
func flippedBit(syndrome uint32, n int) (at, bit int, ok bool) {
	for at := n - 1; at >= 0; at-- {
		for bit := range 8 {
			if syndrome == castagnoli[1<<bit] {
				return at, bit, true
			}
		}
		i := beforeZero[syndrome>>24]
		syndrome = (syndrome^castagnoli[i])<<8 | uint32(i)
	}
	return 0, 0, false
}

// beforeZero inverts the top bytes of the CRC's table, which are all different.
var beforeZero = func() (inverse [256]byte) {
	for i, entry := range castagnoli {
		inverse[entry>>24] = byte(i)
	}
	return inverse
}()
