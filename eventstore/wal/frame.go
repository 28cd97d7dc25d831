package wal

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// A segment begins with an entry that is on disk before the journal has its
// name; frames follow. Each entry begins with its length as a uvarint, which is
// tidwall/wal's own framing. Numbers are big-endian.
//
// The first entry:
//
//	0   4     magic "HWJ1"
//	4   8     the journal's mark, random
//	12  4     CRC-32C of bytes 0 to 11
//
// A frame:
//
//	0   4     length of the body in bytes
//	4   8     the journal's mark: who writes into a body can't make it look like a frame
//	12  8     frame number, from 1, dense
//	20  8     position of its first record
//	28  4     count of its records
//	32  32    chain before its first record
//	64  4     CRC-32C of bytes 0 to 63 and of the body
//	68  n     body
const (
	// HeaderSize is the room that [Log.Append] wants before the body.
	HeaderSize = 68
	// MaxFrame bounds a frame, header included, in bytes.
	MaxFrame = 8 << 20

	atLength  = 0
	atMark    = 4
	atNumber  = 12
	atFirst   = 20
	atCount   = 28
	atChain   = 32
	atSum     = 64
	maxPrefix = 4 // bytes of the uvarint of MaxFrame

	beginMagic = "HWJ1"
	beginSize  = len(beginMagic) + markSize + 4
	beginBytes = 1 + beginSize // with its prefix
	markSize   = 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// mark is what all frames of a journal have in common, and nobody else knows.
type mark [markSize]byte

func newMark() (m mark) {
	_, _ = rand.Read(m[:]) // it never fails
	return m
}

// begin returns the first entry of the journal with mark m.
func (m mark) begin() []byte {
	b := append([]byte(beginMagic), m[:]...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// parseBegin reads the entry at the beginning of a segment.
func parseBegin(data []byte) (m mark, err error) {
	switch {
	case len(data) < beginBytes:
		return m, errShort
	case data[0] != byte(beginSize) || string(data[1:1+len(beginMagic)]) != beginMagic:
		return m, errBegin
	}
	copy(m[:], data[1+len(beginMagic):])
	if string(m.begin()) != string(data[1:beginBytes]) {
		return m, errSum
	}
	return m, nil
}

// Header is what the caller says of a frame.
type Header struct {
	First uint64   // position of its first record
	Count uint32   // records in it; the next frame's First is First + Count
	Chain [32]byte // hash chain before its first record; zero if the caller has none
}

// Frame is one frame as it was read. Body must not be changed.
type Frame struct {
	Header
	Number uint64 // 1, 2, 3, … in the whole log
	Body   []byte

	mark mark
}

// Next returns the position after the frame's last record.
func (f Frame) Next() uint64 { return f.First + uint64(f.Count) }

// seal fills in the header of frame, whose body stands behind it already.
func (h Header) seal(frame []byte, m mark, number uint64) {
	copy(frame[atMark:], m[:])
	binary.BigEndian.PutUint32(frame[atLength:], uint32(len(frame)-HeaderSize))
	binary.BigEndian.PutUint64(frame[atNumber:], number)
	binary.BigEndian.PutUint64(frame[atFirst:], h.First)
	binary.BigEndian.PutUint32(frame[atCount:], h.Count)
	copy(frame[atChain:], h.Chain[:])
	binary.BigEndian.PutUint32(frame[atSum:], checksum(frame))
}

func checksum(frame []byte) uint32 {
	sum := crc32.Update(0, castagnoli, frame[:atSum])
	return crc32.Update(sum, castagnoli, frame[HeaderSize:])
}

var (
	errShort  = errors.New("the frame is cut short")
	errLength = errors.New("a length is not one that was written")
	errBegin  = errors.New("there is no beginning of a journal of this version")
	errMark   = errors.New("the frame is of another journal")
	errSum    = errors.New("the checksum is wrong")
	errOrder  = errors.New("frame number or position do not follow the frame before")
)

// parse reads the frame at the beginning of data, prefix included, and returns
// how many bytes it takes.
func parse(data []byte) (Frame, int, error) {
	size, k := binary.Uvarint(data)
	switch {
	case k == 0:
		return Frame{}, 0, errShort
	case k < 0 || k != prefixLen(size) || size < HeaderSize || size > MaxFrame:
		return Frame{}, 0, errLength
	case uint64(len(data)-k) < size:
		return Frame{}, 0, errShort
	}
	f, err := parseFrame(data[k : k+int(size)])
	return f, k + int(size), err
}

func parseFrame(frame []byte) (Frame, error) {
	switch {
	case binary.BigEndian.Uint32(frame[atLength:]) != uint32(len(frame)-HeaderSize):
		return Frame{}, errLength
	case binary.BigEndian.Uint32(frame[atSum:]) != checksum(frame):
		return Frame{}, errSum
	}
	f := Frame{
		Number: binary.BigEndian.Uint64(frame[atNumber:]),
		Header: Header{
			First: binary.BigEndian.Uint64(frame[atFirst:]),
			Count: binary.BigEndian.Uint32(frame[atCount:]),
		},
		Body: frame[HeaderSize:],
	}
	copy(f.mark[:], frame[atMark:])
	copy(f.Chain[:], frame[atChain:])
	return f, nil
}

func prefixLen(size uint64) int {
	var b [binary.MaxVarintLen64]byte
	return binary.PutUvarint(b[:], size)
}
