package joblog

import (
	"encoding/binary"
	"errors"
	"iter"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/eventstore/wal"
)

// A frame of the journal is a batch: what all attempts added to their logs since
// the last one. It is a run of blocks, one or more an attempt, each with its
// length before it (4 bytes, big-endian). A block is one entry of the journal;
// the journal adds checksum and order.
//
//	┌──────┬──────────────┬─────────────────┬─────────────────┐
//	│ kind │ job, 5 bytes │ attempt uvarint │ offset uvarint  │
//	└──────┴──────────────┴─────────────────┴─────────────────┘
//	kind pieces: then, until the entry ends, pieces that follow each other
//	┌─────┬─────────────────────┬────────────────┬───────┐
//	│ tag │ time since the last │ length uvarint │ bytes │
//	└─────┴─────────────────────┴────────────────┴───────┘
//	      the first: since 1970, ns, zigzag varint
//	kind end: nothing more; offset is the length of the log
const (
	kindPieces = 1
	kindEnd    = 2

	blockPrefix = 4
	maxBlock    = 64 << 10 // bytes of log in a block; a piece may be as large
)

var errBlock = errors.New("joblog: malformed block")

// block is an entry of the journal, decoded.
type block struct {
	kind   byte
	key    Key
	offset uint64
	pieces []Piece // share the entry's bytes
}

func (b block) end() uint64 {
	if n := len(b.pieces); n > 0 {
		return b.pieces[n-1].End()
	}
	return b.offset
}

// appendHead writes what all blocks begin with.
func appendHead(buf []byte, kind byte, k Key, offset uint64) []byte {
	var job [8]byte
	binary.BigEndian.PutUint64(job[:], uint64(k.Job))
	buf = append(buf, kind)
	buf = append(buf, job[3:]...)
	buf = binary.AppendUvarint(buf, uint64(k.Attempt))
	return binary.AppendUvarint(buf, offset)
}

// appendPieces writes a block of pieces that follow each other.
func appendPieces(buf []byte, k Key, pieces []Piece) []byte {
	buf = appendHead(buf, kindPieces, k, pieces[0].Offset)
	last := int64(0)
	for _, p := range pieces {
		buf = append(buf, p.Tag)
		buf = binary.AppendVarint(buf, p.Time-last)
		buf = binary.AppendUvarint(buf, uint64(len(p.Data)))
		buf = append(buf, p.Data...)
		last = p.Time
	}
	return buf
}

// blocks yields what the blocks of a frame begin with, and their whole bytes.
func blocks(body []byte) iter.Seq2[block, []byte] {
	return func(yield func(block, []byte) bool) {
		for len(body) >= blockPrefix {
			n := binary.BigEndian.Uint32(body)
			body = body[blockPrefix:]
			if uint64(n) > uint64(len(body)) {
				return
			}
			b, _, err := decodeHead(body[:n])
			if err == nil && !yield(b, body[:n]) {
				return
			}
			body = body[n:]
		}
	}
}

// checkFrame tells whether a frame is one that the writer could have written.
func checkFrame(f wal.Frame) error {
	count := uint32(0)
	rest := len(f.Body)
	for _, data := range blocks(f.Body) {
		if _, err := decodeBlock(data); err != nil {
			return err
		}
		count++
		rest -= blockPrefix + len(data)
	}
	if rest != 0 || count != f.Count {
		return errBlock
	}
	return nil
}

// decodeHead reads what all blocks begin with and returns the rest.
func decodeHead(data []byte) (b block, rest []byte, err error) {
	if len(data) < 6 || (data[0] != kindPieces && data[0] != kindEnd) {
		return b, nil, errBlock
	}
	b.kind = data[0]
	b.key.Job = id.FromBytes([5]byte(data[1:6]))
	rest = data[6:]
	attempt, rest, ok := uvarint(rest)
	if !ok || attempt > 1<<32-1 {
		return b, nil, errBlock
	}
	b.key.Attempt = uint32(attempt)
	if b.offset, rest, ok = uvarint(rest); !ok || b.offset > MaxOffset {
		return b, nil, errBlock
	}
	return b, rest, nil
}

// decodeBlock reads a whole block.
func decodeBlock(data []byte) (block, error) {
	b, rest, err := decodeHead(data)
	if err != nil {
		return b, err
	}
	offset, last := b.offset, int64(0)
	for b.kind == kindPieces && len(rest) > 0 {
		p := Piece{Tag: rest[0], Offset: offset}
		delta, n := binary.Varint(rest[1:])
		if n <= 0 {
			return b, errBlock
		}
		size, after, ok := uvarint(rest[1+n:])
		if !ok || size > uint64(len(after)) {
			return b, errBlock
		}
		last += delta
		p.Time, p.Data, rest = last, after[:size:size], after[size:]
		offset += size
		b.pieces = append(b.pieces, p)
	}
	if len(rest) > 0 {
		return b, errBlock
	}
	return b, nil
}

func uvarint(data []byte) (v uint64, rest []byte, ok bool) {
	v, n := binary.Uvarint(data)
	if n <= 0 {
		return 0, nil, false
	}
	return v, data[n:], true
}
