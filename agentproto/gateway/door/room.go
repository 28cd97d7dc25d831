package door

import (
	"container/list"
	"errors"
	"sync"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/id"
)

const (
	maxStrangers = 256         // handshakes under way of whom it is not known who they are
	maxEach      = 2           // handshakes under way of one worker: one that was cut off, and the next
	fairRoom     = time.Second // that a handshake has though others wait
)

// ErrMadeRoom is what a handshake ends with that has taken long while others
// waited.
var ErrMadeRoom = errors.New("door: it made room for others")

// Room holds the handshakes under way until they prove who they are. It is safe
// for concurrent use.
type Room struct {
	limit int
	fair  time.Duration

	mu        sync.Mutex
	strangers list.List          // of *Place, the longest there first
	workers   map[id.ID][]*Place // of those who say that they are a worker; at most maxEach of each
}

// NewRoom returns a room for so many strangers, each of whom has a fair time before
// it may have to make room. Zeros mean 256 and one second.
func NewRoom(strangers int, fair time.Duration) *Room {
	if strangers <= 0 {
		strangers = maxStrangers
	}
	if fair <= 0 {
		fair = fairRoom
	}
	return &Room{limit: strangers, fair: fair, workers: map[id.ID][]*Place{}}
}

// Place is one handshake's. Only its handshake uses it.
type Place struct {
	room  *Room
	since time.Time
	end   func(error) // ends the handshake

	// Guarded by the room's mu.
	stranger *list.Element // nil: it has left, or is a worker's
	worker   id.ID
}

// Enter lets a handshake begin. If the room is full the one that has been there
// longest is ended, with ErrMadeRoom, once it has had its fair time; else nobody
// enters. End must not block.
func (r *Room) Enter(end func(error)) (*Place, bool) {
	p := &Place{room: r, since: time.Now(), end: end}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.strangers.Len() >= r.limit {
		oldest := r.strangers.Front().Value.(*Place)
		if p.since.Sub(oldest.since) < r.fair {
			return nil, false
		}
		oldest.expel()
	}
	p.stranger = r.strangers.PushBack(p)
	return p, true
}

// Claim says that the handshake is a worker's, by its id and key. Strangers are in
// its way no more, only other handshakes of the same worker: the oldest of too
// many is ended.
func (p *Place) Claim(worker id.ID) {
	r := p.room
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.stranger == nil {
		return // it had to make room
	}
	r.strangers.Remove(p.stranger)
	p.stranger = nil
	if same := r.workers[worker]; len(same) == maxEach {
		same[0].expel()
	}
	p.worker = worker
	r.workers[worker] = append(r.workers[worker], p)
}

// Leave ends the handshake's stay. It may be called again.
func (p *Place) Leave() {
	p.room.mu.Lock()
	defer p.room.mu.Unlock()
	p.leave()
}

func (p *Place) expel() {
	p.leave()
	p.end(ErrMadeRoom)
}

// leave takes it out of wherever it is; mu is held.
func (p *Place) leave() {
	r := p.room
	if p.stranger != nil {
		r.strangers.Remove(p.stranger)
		p.stranger = nil
		return
	}
	same := r.workers[p.worker]
	for i, other := range same {
		if other == p {
			same = append(same[:i:i], same[i+1:]...)
			break
		}
	}
	if r.workers[p.worker] = same; len(same) == 0 {
		delete(r.workers, p.worker)
	}
}

// Len is how many handshakes are under way.
func (r *Room) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.strangers.Len()
	for _, same := range r.workers {
		n += len(same)
	}
	return n
}
