package wal

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// A frame, as it stands in a segment; numbers are big-endian:
//
//	uvarint   length of what follows (tidwall/wal's own framing)
//	0   4     magic "HWF1"
//	4   4     length of the body in bytes
//	8   8     frame number, from 1, dense
//	16  8     position of its first record
//	24  4     count of its records
//	28  32    chain before its first record
//	60  4     CRC-32C of bytes 0 to 59 and of the body
//	64  n     body
const (
	// HeaderSize is the room that [Log.Append] wants before the body.
	HeaderSize = 64
	// MaxFrame bounds a frame, header included, in bytes.
	MaxFrame = 8 << 20

	frameMagic = "HWF1"
	atLength   = 4
	atNumber   = 8
	atFirst    = 16
	atCount    = 24
	atChain    = 28
	atSum      = 60
	maxPrefix  = 4 // bytes of the uvarint of MaxFrame
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

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
}

// Next returns the position after the frame's last record.
func (f Frame) Next() uint64 { return f.First + uint64(f.Count) }

// seal fills in the header of frame, whose body stands behind it already.
func (h Header) seal(frame []byte, number uint64) {
	copy(frame, frameMagic)
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
	errMagic  = errors.New("there is no frame")
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
	case string(frame[:len(frameMagic)]) != frameMagic:
		return Frame{}, errMagic
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
	copy(f.Chain[:], frame[atChain:])
	return f, nil
}

func prefixLen(size uint64) int {
	var b [binary.MaxVarintLen64]byte
	return binary.PutUvarint(b[:], size)
}
