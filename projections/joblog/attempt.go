package joblog

import "sync"

// attempt is one attempt's log while bytes may still come. Its lock is the only
// one held at a time: nothing else is locked, and nothing waited for, under it.
type attempt struct {
	key Key

	mu    sync.Mutex
	epoch uint64               // of the session that may append
	rose  func(durable uint64) // told after each sync, outside the lock; nil is nobody
	ring  ring                 // ring.end is the log's head
	index spans                // of what is durable
	next  chan struct{}        // closed at the next change; nil while nobody waits

	base    uint64 // what lies below is in the archive alone; ≤ durable
	durable uint64 // synced; ≤ taken
	taken   uint64 // handed to the journal; ≤ head
	pending int    // pieces above durable; PieceCost times them is at most the window
	queued  bool   // stands in the journal's list

	ended    bool // no more bytes come; the head is the end
	endTaken bool // the end was handed to the journal
	retired  bool // the end is durable; the log's registry has what is left of it
}

// take gives the log to a session and returns the head there is.
func (a *attempt) take(epoch uint64, rose func(uint64)) (head uint64, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case epoch < a.epoch:
		return 0, ErrFenced
	case a.ended:
		return a.ring.end, ErrEnded
	}
	a.epoch, a.rose = epoch, rose
	return a.ring.end, nil
}

// add appends a piece. It returns how many bytes were new, how the ring's cost
// changed, and whether the attempt must be put into the journal's list.
func (a *attempt) add(epoch uint64, p Piece, window, share int) (fresh, cost int, queue bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	head := a.ring.end
	switch {
	case epoch != a.epoch:
		return 0, 0, false, ErrFenced
	case p.Offset > head:
		return 0, 0, false, ErrGap
	case p.End() <= head:
		return 0, 0, false, nil // known already
	case a.ended:
		return 0, 0, false, ErrEnded
	case p.End() > a.durable+uint64(window), (a.pending+1)*PieceCost > window:
		return 0, 0, false, ErrWindow
	}
	before := a.ring.cost()
	p = p.Cut(head, p.End())
	a.ring.push(p)
	a.pending++
	a.ring.trim(a.durable, share)
	queue, a.queued = !a.queued, true
	a.wake()
	return len(p.Data), a.ring.cost() - before, queue, nil
}

// finish says that no more bytes come.
func (a *attempt) finish() (end uint64, queue bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.ended {
		a.ended = true
		queue, a.queued = !a.queued, true
		a.wake()
	}
	return a.ring.end, queue
}

// collect hands the journal what it has not got yet.
func (a *attempt) collect() (pieces []Piece, head uint64, end bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.queued = false
	if a.taken < a.ring.end {
		pieces = a.ring.read(nil, a.taken, a.ring.end, int(a.ring.end-a.taken))
		a.taken = a.ring.end
	}
	end = a.ended && !a.endTaken
	a.endTaken = a.ended
	return pieces, a.ring.end, end
}

// settle notes that everything up to durable is synced, the newest part of it
// where added says. It returns whom to tell, and how the ring's cost changed.
func (a *attempt) settle(durable uint64, added span, ended bool, share int) (rose func(uint64), cost int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	risen := durable > a.durable
	if risen {
		a.index = a.index.add(added)
	}
	a.durable = durable
	a.pending = a.ring.count(durable)
	a.retired = ended
	if ended {
		share = 0
	}
	before := a.ring.cost()
	a.ring.trim(durable, share)
	if risen || ended {
		a.wake()
	}
	if risen {
		rose = a.rose
	}
	return rose, a.ring.cost() - before
}

// trim brings the ring down to its share.
func (a *attempt) trim(share int) (cost int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	before := a.ring.cost()
	a.ring.trim(a.durable, share)
	return a.ring.cost() - before
}

// read returns what the ring has from the offset on, or else from where in the
// journal to read and up to which offset; where is none if that is the archive.
func (a *attempt) read(from uint64, limit int) (pieces []Piece, where spans, until uint64, inRing bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case from >= a.ring.start:
		return a.ring.read(nil, from, a.ring.end, limit), nil, 0, true
	case from < a.base:
		return nil, nil, a.base, false
	}
	return nil, a.index.find(from), a.ring.start, false
}

// places returns where a log that has ended lies.
func (a *attempt) places() (index spans, base uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.index, a.base
}

// wait returns the state and a channel that is closed when it changes.
func (a *attempt) wait() (head, durable uint64, next <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.retired {
		return a.ring.end, a.durable, nil
	}
	if a.next == nil {
		a.next = make(chan struct{})
	}
	return a.ring.end, a.durable, a.next
}

func (a *attempt) end() (end uint64, ended bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ring.end, a.ended
}

// wake tells those who wait. The lock is held.
func (a *attempt) wake() {
	if a.next != nil {
		close(a.next)
		a.next = nil
	}
}
