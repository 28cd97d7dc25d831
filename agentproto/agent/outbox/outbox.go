// Package outbox holds what attempts have written until the server has it safe.
//
// Each attempt has a Box: one run of bytes over both tags, cut by four cursors
// that only grow.
//
//	acked  ≤  sent  ≤  ready  ≤  written
//	  │        │        │          └ taken from the attempt's processes
//	  │        │        └ may go: credit was there, or enough has gathered
//	  │        └ handed to the connection
//	  └ durable on the server; what is below has left memory
//
// A new session moves sent back to what the server has, and the bytes go once
// more; so each byte is received once, in order, whatever breaks between.
//
// Boxes are bounded, one by one and together. A full one blocks the writer, so
// that back-pressure reaches the process that writes. Beside memory that is
// shared each box has a floor of its own: a quiet attempt is not held up by the
// floods of others.
package outbox

import (
	"errors"
	"sync"
	"time"
)

const (
	// AttemptBytes is what one attempt may hold.
	AttemptBytes = 4 << 20
	// AgentBytes is what all attempts may hold above their floors.
	AgentBytes = 16 << 20
	// FloorBytes is what each attempt may hold however much the others do.
	FloorBytes = 64 << 10
	// MessageBytes is the most that Take gives at once.
	MessageBytes = 32 << 10
)

// Tag names the stream that bytes came from.
type Tag uint8

const (
	Stdout Tag = 1 // also a terminal's output
	Stderr Tag = 2
	Usage  Tag = 3 // not output: the series of a box of its own
)

// Key names the attempt a box belongs to.
type Key struct {
	Job     string
	Attempt uint32
}

// Piece is what one message carries.
type Piece struct {
	Key    Key
	Tag    Tag
	Offset uint64 // of the first byte, counted over both tags
	Time   int64  // when the first byte was written, ns since 1970
	Data   []byte // must not be changed; stays valid
}

var (
	// ErrDropped is what a writer gets once the box was dropped or closed.
	ErrDropped = errors.New("outbox: nobody wants these bytes any more")
	// ErrAhead says that the server claims bytes it was never sent.
	ErrAhead = errors.New("outbox: the server acknowledges bytes that were never sent")
	// ErrHole says that the server lacks bytes it once acknowledged, which have
	// left memory.
	ErrHole = errors.New("outbox: the server lost bytes it had acknowledged")
)

// Outbox is the boxes of one agent. All methods, and those of its boxes, are
// safe for concurrent use; Take is meant for one sender.
type Outbox struct {
	wake chan struct{} // holds one: something may be taken

	mu       sync.Mutex
	room     sync.Cond // a writer waits for room in its box or in shared
	boxes    []*Box    // in the order they were opened
	turn     int       // index of the box that Take looks at first
	shared   int       // bytes held above the floors
	inFlight uint64    // what is sent and not acknowledged counts, of all boxes

	withheld                     bool // what has the tag Usage is not given
	attemptWindow, sessionWindow uint64
	pieceCost                    uint64 // what a piece counts beside its bytes
}

// New returns an outbox without a window: until SetWindow nothing can be taken.
func New() *Outbox {
	o := &Outbox{wake: make(chan struct{}, 1)}
	o.room.L = &o.mu
	return o
}

// Wake gets a value whenever Take may give something that it didn't before.
func (o *Outbox) Wake() <-chan struct{} { return o.wake }

// SetWindow bounds what is sent and not acknowledged, of one attempt and of all:
// the bytes, and the cost of each piece beside them. Zero windows stop Take: there
// is no session.
func (o *Outbox) SetWindow(attempt, session, pieceCost uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.attemptWindow, o.sessionWindow, o.pieceCost = attempt, session, pieceCost
	o.inFlight = 0
	for _, b := range o.boxes {
		o.inFlight += b.inFlight()
	}
	o.signal()
}

// Open adds the box of an attempt, at the end of the turn. An attempt's series has
// a box of its own with the same key.
func (o *Outbox) Open(key Key) *Box {
	b := &Box{out: o, key: key, credits: credits{have: maxCredits, since: time.Now()}}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.boxes = append(o.boxes, b)
	return b
}

// Take gives the next piece to send: of the attempt whose turn it is, of one
// tag, at most MessageBytes, within the windows. It never waits.
func (o *Outbox) Take() (Piece, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	counted := o.inFlight + o.pieceCost
	if counted >= o.sessionWindow {
		return Piece{}, false
	}
	for range o.boxes {
		b := o.boxes[o.turn%len(o.boxes)]
		o.turn = (o.turn + 1) % len(o.boxes)
		if piece, ok := b.take(min(MessageBytes, o.sessionWindow-counted)); ok {
			o.inFlight += uint64(len(piece.Data)) + o.pieceCost
			return piece, true
		}
	}
	return Piece{}, false
}

func (o *Outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// remove takes a box out of the turn; o.mu is held.
func (o *Outbox) remove(b *Box) {
	for i, other := range o.boxes {
		if other != b {
			continue
		}
		o.boxes = append(o.boxes[:i], o.boxes[i+1:]...)
		if o.turn > i {
			o.turn--
		}
		return
	}
}
