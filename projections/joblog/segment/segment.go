// Package segment is the form in which logs of jobs last: a run of one attempt's
// log in one object, compressed, that can be read in the middle without reading
// what is before. Bytes, tags and times of pieces are kept exactly.
//
// A segment is a header, frames, the index and a footer; numbers outside of frames
// and the index are big-endian, all sums CRC-32C:
//
//	header, 30 bytes
//	0   4   magic "HJL1": this version
//	4   5   job
//	9   4   attempt
//	13  8   offset of its first byte in the attempt's log
//	21  5   0
//	26  4   sum of bytes 0 to 25
//
//	frame: one zstd frame by itself; inside, for each piece
//	        tag            1 byte
//	        time           since the piece before, ns, zigzag varint; the first since 1970
//	        length         uvarint
//	    then one byte that is endOfPieces, then the bytes of all pieces
//
//	index: one zstd frame; inside, for each frame, in order
//	        stored         bytes it takes, uvarint
//	        raw            bytes of log in it, uvarint
//	        lines          line feeds in it, uvarint
//	        earliest       time of a piece, ns since 1970, zigzag varint
//	        latest - earliest   uvarint
//	        sum            of the bytes it takes, 4 bytes
//
//	footer, 80 bytes
//	0   8   where the index begins
//	8   8   frames
//	16  8   bytes of log in the segment
//	24  8   line feeds in it
//	32  32  SHA-256 of the bytes of log in it
//	64  4   bytes the index takes
//	68  4   sum of the index
//	72  4   sum of bytes 0 to 71 and of the header
//	76  4   magic "1LJH"
//
// Every byte is under a sum, so any that is flipped is found when it is read. A
// frame closes at frameBytes; what a reader fetches at least is the footer, the
// index and one frame.
package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/klauspost/compress/zstd"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/projections/joblog"
)

const (
	magic     = "HJL1"
	endMagic  = "1LJH"
	headBytes = 30
	footBytes = 80

	frameBytes = 256 << 10 // of a frame, not compressed, from which on it closes
	// maxFrame bounds a frame, not compressed: what closes it is one piece and what
	// is said of it.
	maxFrame = frameBytes + joblog.MaxPiece + maxNote + 1
	// maxNote bounds what a frame says of one piece.
	maxNote = 1 + 2*binary.MaxVarintLen64

	maxIndex    = 64 << 20 // of the index, compressed or not: some 2,000,000 frames, 500 GB of log
	maxEntry    = 5*binary.MaxVarintLen64 + 4
	endOfPieces = 0 // no piece has this tag
)

// ErrDamaged says that bytes are not what was written.
var ErrDamaged = errors.New("segment: it is damaged")

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
}

// Summary is what a segment holds.
type Summary struct {
	Key    joblog.Key
	First  uint64   // offset of its first byte
	End    uint64   // offset after its last byte
	Lines  uint64   // line feeds in it
	Digest [32]byte // SHA-256 of its bytes of log
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func sum(data ...[]byte) (s uint32) {
	for _, d := range data {
		s = crc32.Update(s, castagnoli, d)
	}
	return s
}

// encoder and decoder are safe for concurrent use.
var (
	encoder = must(zstd.NewWriter(nil, zstd.WithEncoderConcurrency(2), zstd.WithWindowSize(512<<10), zstd.WithEncoderCRC(false)))
	decoder = must(zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(maxIndex)))
)

// must is for options that are constants.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// entry is what the index says of a frame.
type entry struct {
	at       int64  // where it begins in the object
	stored   int    // bytes it takes
	first    uint64 // offset of its first byte of log
	raw      int    // bytes of log
	line     uint64 // line feeds before it in the segment
	lines    uint64 // line feeds in it
	earliest int64
	latest   int64
	sum      uint32
}

func (e entry) end() uint64 { return e.first + uint64(e.raw) }

func appendHeader(buf []byte, k joblog.Key, first uint64) []byte {
	var job [8]byte
	binary.BigEndian.PutUint64(job[:], uint64(k.Job))
	buf = append(buf, magic...)
	buf = append(buf, job[3:]...)
	buf = binary.BigEndian.AppendUint32(buf, k.Attempt)
	buf = binary.BigEndian.AppendUint64(buf, first)
	buf = append(buf, 0, 0, 0, 0, 0)
	return binary.BigEndian.AppendUint32(buf, sum(buf))
}

func parseHeader(head []byte) (k joblog.Key, first uint64, err error) {
	switch {
	case len(head) != headBytes || string(head[:4]) != magic:
		return k, 0, damaged("it does not begin like one of this version")
	case binary.BigEndian.Uint32(head[26:]) != sum(head[:26]):
		return k, 0, damaged("the sum of the header is wrong")
	}
	k = joblog.Key{Job: id.FromBytes([5]byte(head[4:9])), Attempt: binary.BigEndian.Uint32(head[9:])}
	return k, binary.BigEndian.Uint64(head[13:]), nil
}

func appendEntry(buf []byte, e entry) []byte {
	buf = binary.AppendUvarint(buf, uint64(e.stored))
	buf = binary.AppendUvarint(buf, uint64(e.raw))
	buf = binary.AppendUvarint(buf, e.lines)
	buf = binary.AppendVarint(buf, e.earliest)
	buf = binary.AppendUvarint(buf, uint64(e.latest-e.earliest))
	return binary.BigEndian.AppendUint32(buf, e.sum)
}

// parseIndex returns the frames' entries; they cover [headBytes, end) exactly.
func parseIndex(data []byte, count, first uint64, end int64) ([]entry, error) {
	if count > uint64(len(data)) {
		return nil, damaged("the index has %d bytes for %d frames", len(data), count)
	}
	entries := make([]entry, 0, count)
	e := entry{at: headBytes, first: first}
	for range count {
		var n [5]uint64
		for i := range n {
			v, size := binary.Uvarint(data)
			if size <= 0 {
				return nil, damaged("the index is cut short")
			}
			n[i], data = v, data[size:]
		}
		if len(data) < 4 || n[0] > maxFrame*2 || n[1] > maxFrame {
			return nil, damaged("an entry of the index has impossible lengths")
		}
		e.stored, e.raw, e.lines = int(n[0]), int(n[1]), n[2]
		e.earliest = int64(n[3]>>1) ^ -int64(n[3]&1)
		e.latest = e.earliest + int64(n[4])
		e.sum, data = binary.BigEndian.Uint32(data), data[4:]
		entries = append(entries, e)
		e.at, e.first, e.line = e.at+int64(e.stored), e.end(), e.line+e.lines
	}
	if len(data) > 0 || e.at != end {
		return nil, damaged("the frames do not fill the segment")
	}
	return entries, nil
}

// footer is the last bytes of a segment.
type footer struct {
	index  int64
	frames uint64
	raw    uint64
	lines  uint64
	digest [32]byte
	stored uint32
	sum    uint32
}

func (f footer) append(buf, head []byte) []byte {
	at := len(buf)
	for _, n := range []uint64{uint64(f.index), f.frames, f.raw, f.lines} {
		buf = binary.BigEndian.AppendUint64(buf, n)
	}
	buf = append(buf, f.digest[:]...)
	buf = binary.BigEndian.AppendUint32(buf, f.stored)
	buf = binary.BigEndian.AppendUint32(buf, f.sum)
	buf = binary.BigEndian.AppendUint32(buf, sum(buf[at:], head))
	return append(buf, endMagic...)
}

// parseFooter reads the footer of an object of size bytes.
func parseFooter(foot, head []byte, size int64) (f footer, err error) {
	switch {
	case len(foot) != footBytes || string(foot[76:]) != endMagic:
		return f, damaged("it does not end like one")
	case binary.BigEndian.Uint32(foot[72:]) != sum(foot[:72], head):
		return f, damaged("the sum of the footer is wrong")
	}
	f = footer{
		index: int64(binary.BigEndian.Uint64(foot)), frames: binary.BigEndian.Uint64(foot[8:]),
		raw: binary.BigEndian.Uint64(foot[16:]), lines: binary.BigEndian.Uint64(foot[24:]), digest: [32]byte(foot[32:]),
		stored: binary.BigEndian.Uint32(foot[64:]), sum: binary.BigEndian.Uint32(foot[68:]),
	}
	if f.index < headBytes || f.stored > maxIndex || f.index+int64(f.stored)+footBytes != size {
		return f, damaged("it has %d bytes, another number than was written", size)
	}
	return f, nil
}
