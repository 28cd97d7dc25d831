package outbox

import (
	"io"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/window"
)

const (
	batchBytes = 4 << 10 // so many go without credit
	runCost    = 32      // what remembering a run is counted as, so that runs are bounded too
	// timeGrain is how far apart the bytes of one run are written at most, unless
	// nothing was sent meanwhile that would have told their times.
	timeGrain = 100 * time.Millisecond
)

// Box is the output of one attempt that the server doesn't have safe yet.
// Everything in it is guarded by the outbox's lock.
type Box struct {
	out *Outbox
	key Key

	acked, sent, ready, written uint64

	flight window.Flight // pieces of [acked, sent)

	bytes spool
	runs  []run // of [acked, written), oldest first

	limit uint64 // bytes that are kept; 0 is no limit
	words func(lost uint64) []byte
	lost  uint64 // bytes that were not kept; above 0 the log has been cut
	tag   Tag    // of the byte written last
	last  byte   // that byte

	credits credits
	timer   *time.Timer // releases what waits for credit; nil if nothing does

	waiting int  // writers that wait for room
	closed  bool // no more is written
	dropped bool // nothing is kept any more
}

// run is bytes of one tag that were written together.
type run struct {
	offset uint64
	tag    Tag
	time   int64
}

// Writer returns a writer of one tag. Its Write returns when all bytes are in
// the box, and blocks while there is no room; ErrDropped once nobody wants them.
func (b *Box) Writer(tag Tag) io.Writer { return writer{b, tag} }

type writer struct {
	box *Box
	tag Tag
}

func (w writer) Write(p []byte) (int, error) {
	b := w.box
	b.out.mu.Lock()
	defer b.out.mu.Unlock()
	for done := 0; ; {
		if b.closed || b.dropped {
			return done, ErrDropped
		}
		if b.full() {
			b.lose(w.tag, len(p)-done)
			return len(p), nil
		}
		n := min(b.space(), len(p)-done)
		if b.limit > 0 {
			n = min(n, int(b.limit-b.written))
		}
		if n > 0 {
			b.add(w.tag, p[done:done+n], time.Now())
			done += n
		}
		if done == len(p) {
			return done, nil
		}
		if b.full() {
			continue
		}
		b.waiting++
		b.out.room.Wait()
		b.waiting--
	}
}

// space is how many bytes may be added now.
func (b *Box) space() int {
	own := AttemptBytes - b.used()
	shared := max(0, FloorBytes-b.used()) + AgentBytes - b.out.shared
	return min(own, shared) - runCost
}

func (b *Box) used() int { return int(b.written-b.acked) + runCost*len(b.runs) }

// change does something that may change what is held, and keeps the shared count.
func (b *Box) change(do func()) {
	before := max(0, b.used()-FloorBytes)
	do()
	b.out.shared += max(0, b.used()-FloorBytes) - before
}

func (b *Box) add(tag Tag, p []byte, now time.Time) {
	b.change(func() {
		if b.startsRun(tag, now) {
			b.runs = append(b.runs, run{offset: b.written, tag: tag, time: now.UnixNano()})
		}
		b.bytes.append(p)
		b.written += uint64(len(p))
		b.tag, b.last = tag, p[len(p)-1]
	})
	b.release(now)
}

// startsRun: another tag, a time too far from the run's, or a message of its own
// anyway because all before it has gone.
func (b *Box) startsRun(tag Tag, now time.Time) bool {
	if len(b.runs) == 0 || b.sent == b.written {
		return true
	}
	last := b.runs[len(b.runs)-1]
	return last.tag != tag || now.UnixNano()-last.time >= int64(timeGrain)
}

// release lets what is written go, or sees to it that the next credit will.
func (b *Box) release(now time.Time) {
	switch {
	case b.ready == b.written:
		return
	case b.sent < b.ready: // joins what has not been taken yet
	case b.written-b.ready >= batchBytes:
	case b.credits.take(now):
	default:
		b.arm(now)
		return
	}
	b.goesUpTo(b.written)
}

func (b *Box) goesUpTo(offset uint64) {
	b.ready = offset
	if b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
	b.out.signal()
}

func (b *Box) arm(now time.Time) {
	if b.timer != nil {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(b.credits.next(now), func() {
		b.out.mu.Lock()
		defer b.out.mu.Unlock()
		if b.timer == timer {
			b.timer = nil
			b.release(time.Now())
		}
	})
	b.timer = timer
}

// take gives up to limit bytes of one run; see Outbox.Take.
func (b *Box) take(limit uint64) (Piece, bool) {
	counted := b.inFlight() + b.out.pieceCost
	if counted >= b.out.attemptWindow {
		return Piece{}, false
	}
	end := min(b.ready, b.sent+min(limit, b.out.attemptWindow-counted))
	if b.sent >= end {
		return Piece{}, false
	}
	i := b.runAt(b.sent)
	if b.out.withheld && b.runs[i].tag == Usage {
		return Piece{}, false
	}
	if i+1 < len(b.runs) {
		end = min(end, b.runs[i+1].offset)
	}
	data := b.bytes.slice(int(b.sent-b.acked), int(end-b.acked))
	piece := Piece{Key: b.key, Tag: b.runs[i].tag, Offset: b.sent, Time: b.runs[i].time, Data: data}
	b.sent += uint64(len(data))
	b.flight.Send(b.sent)
	return piece, true
}

// inFlight is what the box counts against the windows.
func (b *Box) inFlight() uint64 {
	return b.sent - b.acked + b.out.pieceCost*uint64(b.flight.Pieces())
}

// land takes what is under way off the count: it arrived, or never will.
func (b *Box) land() {
	b.out.inFlight -= b.inFlight()
	b.flight.Clear()
	b.sent = b.acked
}

// runAt is the index of the run that holds the byte at offset.
func (b *Box) runAt(offset uint64) int {
	low, high := 0, len(b.runs)
	for low+1 < high {
		if mid := (low + high) / 2; b.runs[mid].offset <= offset {
			low = mid
		} else {
			high = mid
		}
	}
	return low
}

// Ack says that the server has everything below have safe. One that is older
// than the last is ignored. ErrAhead: it was never sent; nothing changes.
func (b *Box) Ack(have uint64) error {
	b.out.mu.Lock()
	defer b.out.mu.Unlock()
	if have > b.sent {
		return ErrAhead
	}
	b.forget(have)
	return nil
}

// Resume begins a session: the server has everything below have, and the rest
// goes from there. ErrAhead and ErrHole say that it can't be continued.
func (b *Box) Resume(have uint64) error {
	b.out.mu.Lock()
	defer b.out.mu.Unlock()
	switch {
	case have > b.written:
		return ErrAhead
	case have < b.acked:
		return ErrHole
	}
	b.land()
	b.ready = max(b.ready, have)
	b.out.inFlight += have - b.acked
	b.sent = have
	b.forget(have)
	b.out.signal()
	return nil
}

// forget drops what is below have, which is at most sent.
func (b *Box) forget(have uint64) {
	if have <= b.acked {
		return
	}
	b.change(func() {
		b.bytes.drop(int(have - b.acked))
		b.out.inFlight -= have - b.acked + b.out.pieceCost*uint64(b.flight.Acknowledge(have))
		b.acked = have
		if b.acked == b.written {
			b.runs = b.runs[:0]
		} else {
			b.runs = b.runs[b.runAt(have):]
		}
	})
	b.out.room.Broadcast()
	b.out.signal()
}

// Close says that no more is written; all that is there may go.
func (b *Box) Close() {
	b.out.mu.Lock()
	defer b.out.mu.Unlock()
	if b.lost > 0 && !b.closed && !b.dropped {
		b.say(b.tag, b.lost)
	}
	b.closed = true
	b.goesUpTo(b.written)
	b.out.room.Broadcast()
}

// Drop gives up the box: what it holds is lost and its writers are let go. It
// may be called again.
func (b *Box) Drop() {
	b.out.mu.Lock()
	defer b.out.mu.Unlock()
	if b.dropped {
		return
	}
	b.dropped = true
	b.land()
	b.change(func() {
		b.bytes, b.runs = spool{}, nil
		b.acked, b.sent = b.written, b.written
	})
	b.goesUpTo(b.written)
	b.out.remove(b)
	b.out.room.Broadcast()
}

// Written is the offset after the last byte written.
func (b *Box) Written() uint64 {
	b.out.mu.Lock()
	defer b.out.mu.Unlock()
	return b.written
}

// Sent reports whether the box is closed and all of it was handed to the
// connection in this session, or is withheld.
func (b *Box) Sent() bool {
	b.out.mu.Lock()
	defer b.out.mu.Unlock()
	return b.closed && (b.sent == b.written || b.out.withheld && b.tag == Usage)
}

// Stalled reports whether a writer waits for room.
func (b *Box) Stalled() bool {
	b.out.mu.Lock()
	defer b.out.mu.Unlock()
	return b.waiting > 0
}
