package segment

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"sort"
	"sync"

	"github.com/hodei-jobs/hodei/projections/joblog"
)

const (
	tailBytes = 64 << 10 // fetched at once from the end; a small segment is whole in it
	maxFetch  = 1 << 20  // bytes of frames fetched at once, if one frame is not more
)

// Fetch returns n bytes of the object from the offset on, fewer only where it ends.
type Fetch func(ctx context.Context, offset int64, n int) ([]byte, error)

// Reader reads one segment. It is safe for concurrent use. It holds the index,
// some 100 bytes a frame, and the frame that was read last.
type Reader struct {
	fetch   Fetch
	summary Summary
	entries []entry
	tail    []byte // the object from tailAt on
	tailAt  int64

	mu     sync.Mutex
	pieces []joblog.Piece // of the frame that was read last
	frame  int            // its number; -1 is none
}

// Open reads header, index and footer of a segment of size bytes, in one fetch if
// it is small and in two or three if not. Errors: ErrDamaged, fetch's.
func Open(ctx context.Context, fetch Fetch, size int64) (*Reader, error) {
	if size < headBytes+footBytes {
		return nil, damaged("it has %d bytes, fewer than an empty one", size)
	}
	r := &Reader{fetch: fetch, frame: -1, tailAt: max(0, size-tailBytes)}
	tail, err := r.get(ctx, r.tailAt, int(size-r.tailAt))
	if err != nil {
		return nil, err
	}
	r.tail = tail
	head, err := r.get(ctx, 0, headBytes)
	if err != nil {
		return nil, err
	}
	foot, err := parseFooter(tail[len(tail)-footBytes:], head, size)
	if err != nil {
		return nil, err
	}
	packed, err := r.get(ctx, foot.index, int(foot.stored))
	if err != nil {
		return nil, err
	}
	if sum(packed) != foot.sum {
		return nil, damaged("the sum of the index is wrong")
	}
	if err := r.load(head, foot, packed); err != nil {
		return nil, err
	}
	if r.tailAt > 0 {
		r.tail = nil // that of a small segment saves fetching its frames
	}
	return r, nil
}

func (r *Reader) load(head []byte, foot footer, packed []byte) error {
	k, first, err := parseHeader(head)
	if err != nil {
		return err
	}
	index, err := decoder.DecodeAll(packed, nil)
	if err != nil {
		return damaged("the index: %v", err)
	}
	if r.entries, err = parseIndex(index, foot.frames, first, foot.index); err != nil {
		return err
	}
	end, lines := first, uint64(0)
	if n := len(r.entries); n > 0 {
		end, lines = r.entries[n-1].end(), r.entries[n-1].line+r.entries[n-1].lines
	}
	if end-first != foot.raw || lines != foot.lines {
		return damaged("index and footer differ")
	}
	r.summary = Summary{Key: k, First: first, End: end, Lines: lines, Digest: foot.digest}
	return nil
}

// get fetches exactly n bytes, from what was fetched first if they are there.
func (r *Reader) get(ctx context.Context, offset int64, n int) ([]byte, error) {
	if offset >= r.tailAt && offset-r.tailAt+int64(n) <= int64(len(r.tail)) {
		return r.tail[offset-r.tailAt:][:n], nil
	}
	data, err := r.fetch(ctx, offset, n)
	if err == nil && len(data) != n {
		err = damaged("it ends before byte %d", offset+int64(n))
	}
	return data, err
}

// Summary says what the segment holds, as its footer has it: [Reader.Verify]
// compares the digest.
func (r *Reader) Summary() Summary { return r.summary }

// Read returns the segment's pieces from the offset on, at most limit bytes of
// them, at least one unless the offset is at its end or above, or below its
// beginning. The first and last are cut to fit. It fetches up to maxFetch bytes
// at once, or one frame. Data must not be changed. Errors: ErrDamaged, fetch's.
func (r *Reader) Read(ctx context.Context, from uint64, limit int) (pieces []joblog.Piece, err error) {
	if from < r.summary.First || from >= r.summary.End {
		return nil, nil
	}
	limit = max(1, limit)
	first := sort.Search(len(r.entries), func(i int) bool { return r.entries[i].end() > from })
	if have := r.cached(first); have != nil {
		return cut(nil, have, from, limit), nil
	}
	last, stored := first+1, r.entries[first].stored
	for last < len(r.entries) && r.entries[last].first < from+uint64(limit) && stored+r.entries[last].stored <= maxFetch {
		stored += r.entries[last].stored
		last++
	}
	data, err := r.get(ctx, r.entries[first].at, stored)
	if err != nil {
		return nil, err
	}
	for i := first; i < last; i++ {
		found, err := r.unpack(i, data[:r.entries[i].stored])
		if err != nil {
			return nil, err
		}
		data = data[r.entries[i].stored:]
		had := len(pieces)
		pieces = cut(pieces, found, from, limit)
		for _, p := range pieces[had:] {
			from, limit = from+uint64(len(p.Data)), limit-len(p.Data)
		}
	}
	return pieces, nil
}

func (r *Reader) cached(frame int) []joblog.Piece {
	r.mu.Lock()
	defer r.mu.Unlock()
	if frame != r.frame {
		return nil
	}
	return r.pieces
}

// unpack checks and decodes a frame.
func (r *Reader) unpack(i int, packed []byte) ([]joblog.Piece, error) {
	e := r.entries[i]
	if sum(packed) != e.sum {
		return nil, damaged("the sum of frame %d is wrong", i)
	}
	data, err := decoder.DecodeAll(packed, make([]byte, 0, e.raw+e.raw/8))
	if err != nil {
		return nil, damaged("frame %d: %v", i, err)
	}
	pieces, err := parseFrame(data, e)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.pieces, r.frame = pieces, i
	r.mu.Unlock()
	return pieces, nil
}

// parseFrame reads the pieces of a frame.
func parseFrame(data []byte, e entry) (pieces []joblog.Piece, err error) {
	rest, time, at := data, int64(0), e.first
	for len(rest) > 0 && rest[0] != endOfPieces {
		delta, n := binary.Varint(rest[1:])
		if n <= 0 {
			return nil, damaged("a frame is malformed")
		}
		size, m := binary.Uvarint(rest[1+n:])
		if m <= 0 || size > joblog.MaxPiece {
			return nil, damaged("a frame is malformed")
		}
		time += delta
		pieces = append(pieces, joblog.Piece{Tag: rest[0], Offset: at, Time: time})
		at, rest = at+size, rest[1+n+m:]
	}
	if len(rest) == 0 || len(rest)-1 != e.raw || at != e.end() {
		return nil, damaged("a frame is malformed")
	}
	for i, body := range pieces {
		end := at
		if i+1 < len(pieces) {
			end = pieces[i+1].Offset
		}
		pieces[i].Data = rest[1+body.Offset-e.first : 1+end-e.first : 1+end-e.first]
	}
	return pieces, nil
}

// cut appends what lies in [from, from+limit).
func cut(to, pieces []joblog.Piece, from uint64, limit int) []joblog.Piece {
	until := from + uint64(limit)
	i := sort.Search(len(pieces), func(i int) bool { return pieces[i].End() > from })
	for ; i < len(pieces) && pieces[i].Offset < until; i++ {
		to = append(to, pieces[i].Cut(from, until))
	}
	return to
}

// LineAt returns from what offset on to look for the line, counted from 0 within
// the segment, and how many line feeds lie before that offset.
func (r *Reader) LineAt(line uint64) (from, before uint64) {
	i := sort.Search(len(r.entries), func(i int) bool { return r.entries[i].line+r.entries[i].lines >= line })
	if i == len(r.entries) {
		return r.summary.End, r.summary.Lines
	}
	return r.entries[i].first, r.entries[i].line
}

// TimeAt returns from what offset on there are bytes that were written at or
// after the time, in ns since 1970: all before it are older. Clocks that went
// back make it return an earlier one.
func (r *Reader) TimeAt(time int64) (from uint64) {
	for _, e := range r.entries {
		if e.latest >= time {
			return e.first
		}
	}
	return r.summary.End
}

// Verify reads the whole segment and compares its digest and its lines. Errors:
// ErrDamaged, fetch's.
func (r *Reader) Verify(ctx context.Context) error {
	hash, lines := sha256.New(), uint64(0)
	for at := r.summary.First; at < r.summary.End; {
		pieces, err := r.Read(ctx, at, maxFetch)
		if err != nil {
			return err
		}
		for _, p := range pieces {
			hash.Write(p.Data)
			lines += uint64(bytes.Count(p.Data, []byte{'\n'}))
			at += uint64(len(p.Data))
		}
	}
	if [32]byte(hash.Sum(nil)) != r.summary.Digest || lines != r.summary.Lines {
		return damaged("its bytes have another digest")
	}
	return nil
}
