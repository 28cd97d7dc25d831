package joblog

import "sort"

// pieceCost is what a piece costs in memory beside its bytes.
const pieceCost = 80

// ring holds the newest pieces of one attempt's log. It is addressed by offsets
// that only grow: start ≤ end, and pieces cover exactly [start, end). It has no
// lock; its owner is the attempt.
type ring struct {
	pieces []Piece // pieces[first:] are held, in order and without a gap
	first  int
	start  uint64 // offset of the first byte held
	end    uint64 // offset after the last byte held
}

// reset makes an empty ring whose next byte has this offset.
func (r *ring) reset(offset uint64) { *r = ring{start: offset, end: offset} }

// cost is the memory the ring holds, in bytes.
func (r *ring) cost() int {
	return int(r.end-r.start) + (len(r.pieces)-r.first)*pieceCost
}

// push appends a piece that begins at end.
func (r *ring) push(p Piece) {
	r.pieces = append(r.pieces, p)
	r.end += uint64(len(p.Data))
}

// trim drops the oldest pieces until the ring costs at most keep bytes, but no
// byte at or above the offset below.
func (r *ring) trim(below uint64, keep int) {
	for r.first < len(r.pieces) && r.cost() > keep {
		end := r.pieces[r.first].End()
		if end > below {
			break
		}
		r.pieces[r.first] = Piece{} // frees its bytes
		r.first++
		r.start = end
	}
	if r.first == len(r.pieces) {
		r.pieces, r.first = nil, 0
		return
	}
	if r.first > len(r.pieces)/2 {
		r.pieces = append(make([]Piece, 0, len(r.pieces)-r.first), r.pieces[r.first:]...)
		r.first = 0
	}
}

// count returns how many of the pieces end above the offset.
func (r *ring) count(offset uint64) int {
	held := r.pieces[r.first:]
	return len(held) - sort.Search(len(held), func(i int) bool { return held[i].End() > offset })
}

// read appends to buf what the ring has of [from, to), at most limit bytes; the
// first and last piece are cut to fit. From must be at or above start.
func (r *ring) read(buf []Piece, from, to uint64, limit int) []Piece {
	held := r.pieces[r.first:]
	i := sort.Search(len(held), func(i int) bool { return held[i].End() > from })
	for ; i < len(held) && limit > 0 && held[i].Offset < to; i++ {
		p := held[i].Cut(from, min(to, max(held[i].Offset, from)+uint64(limit)))
		limit -= len(p.Data)
		buf = append(buf, p)
	}
	return buf
}

// End is the offset after the piece's last byte.
func (p Piece) End() uint64 { return p.Offset + uint64(len(p.Data)) }

// Cut returns the part of the piece that lies in [from, to). It shares the bytes.
func (p Piece) Cut(from, to uint64) Piece {
	if to < p.End() {
		p.Data = p.Data[:to-p.Offset]
	}
	if from > p.Offset {
		p.Data = p.Data[from-p.Offset:]
		p.Offset = from
	}
	return p
}
