// Package window counts pieces of a job's log that were sent and are not
// acknowledged. Both ends of the worker protocol count alike, so that a sender
// who keeps to its window is never told that it did not.
//
// A piece counts its bytes, and a fixed cost for what it takes beside them:
// otherwise a window of bytes would hold any number of tiny pieces.
package window

import "sort"

// Flight is the pieces of one attempt's log that are under way. The zero value
// has none. It has no lock.
type Flight struct {
	ends  []uint64 // offsets after their last bytes; ends[first:] are under way, in order
	first int
}

// Send adds a piece whose last byte lies before end. Ends rise.
func (f *Flight) Send(end uint64) { f.ends = append(f.ends, end) }

// Acknowledge forgets the pieces that end at or below have, and returns how many
// these are. A piece of which a part is acknowledged stays.
func (f *Flight) Acknowledge(have uint64) (pieces int) {
	held := f.ends[f.first:]
	pieces = sort.Search(len(held), func(i int) bool { return held[i] > have })
	f.first += pieces
	switch {
	case f.first == len(f.ends):
		f.ends, f.first = f.ends[:0], 0
		if cap(f.ends) > keptEnds {
			f.ends = nil
		}
	case f.first > len(f.ends)/2:
		f.ends = f.ends[:copy(f.ends, f.ends[f.first:])]
		f.first = 0
	}
	return pieces
}

// Clear forgets all pieces, and returns how many these were.
func (f *Flight) Clear() (pieces int) {
	pieces = f.Pieces()
	*f = Flight{}
	return pieces
}

// Pieces is how many are under way.
func (f *Flight) Pieces() int { return len(f.ends) - f.first }

// keptEnds is for how many pieces an attempt with none under way keeps room.
const keptEnds = 64
