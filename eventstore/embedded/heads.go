package embedded

import (
	"sort"
	"sync"
	"sync/atomic"

	"github.com/hodei-jobs/hodei/eventstore"
)

// generationSize is how many streams, or appends, a generation takes before the
// next one begins, if the index has caught up.
const generationSize = 1 << 16

// span is consecutive records of one stream.
type span struct {
	position eventstore.Position
	revision eventstore.Revision
	count    uint32
}

// head is what is known of a stream: where it began, its revision, and where
// the records are that the index does not have yet. It is immutable.
type head struct {
	origin   eventstore.Position
	revision eventstore.Revision
	spans    []span // ascending; the newest of the stream, without a gap
}

// visible returns the stream's revision for a reader who sees the log up to p.
func (h *head) visible(p eventstore.Position) eventstore.Revision {
	r := h.revision
	for i := len(h.spans) - 1; i >= 0 && h.spans[i].position > p; i-- {
		r = h.spans[i].revision - 1
	}
	return r
}

// span returns the span with revision r; ok is false if only the index has it.
func (h *head) span(r eventstore.Revision) (span, bool) {
	i := sort.Search(len(h.spans), func(i int) bool { return h.spans[i].revision > r }) - 1
	if i < 0 {
		return span{}, false
	}
	return h.spans[i], true
}

// with returns the head after s was written; spans up to indexed are dropped.
func (h *head) with(s span, indexed eventstore.Position) *head {
	spans := h.spans
	n := sort.Search(len(spans), func(i int) bool {
		return spans[i].position+eventstore.Position(spans[i].count) > indexed+1
	})
	if n > len(spans)/2 { // copy, so that the front of the array is freed
		spans = append(make([]span, 0, 2*(len(spans)-n)+1), spans[n:]...)
	}
	return &head{h.origin, s.revision + eventstore.Revision(s.count) - 1, append(spans, s)}
}

// heads are the streams and append ids that were touched lately. Whatever is not
// in the index is here; what is not here is in the index or nowhere. Only the
// writer changes it; readers look streams up without a lock.
type heads struct {
	generations atomic.Pointer[generations]

	// Owned by the writer.
	ids   [2]map[eventstore.EventID]eventstore.Position // newer and older, by first id of an append
	maxID int64                                         // the highest time of an id that may be in the index alone, ms
	now   int64                                         // the highest time of an id, ms
}

type generations struct{ newer, older *generation }

type generation struct {
	streams sync.Map // StreamID → *head

	// Owned by the writer.
	size int
	last eventstore.Position // of its last record
}

func newHeads(maxID int64) *heads {
	h := &heads{maxID: maxID, now: maxID}
	h.reset()
	return h
}

// reset forgets everything: the index has it all.
func (h *heads) reset() {
	h.generations.Store(&generations{new(generation), new(generation)})
	for i := range h.ids {
		h.ids[i] = make(map[eventstore.EventID]eventstore.Position)
	}
	h.maxID = h.now
}

// stream returns what is known of a stream, nil if nothing is.
func (h *heads) stream(s eventstore.StreamID) *head {
	g := h.generations.Load()
	if v, ok := g.newer.streams.Load(s); ok {
		return v.(*head)
	}
	if v, ok := g.older.streams.Load(s); ok {
		return v.(*head)
	}
	return nil
}

func (h *heads) put(s eventstore.StreamID, head *head) {
	g := h.generations.Load().newer
	if _, there := g.streams.Swap(s, head); !there {
		g.size++
	}
}

// id returns the position of the append that began with id. Unless sure, the
// index must be asked too.
func (h *heads) id(id eventstore.EventID) (p eventstore.Position, sure bool) {
	for _, ids := range h.ids {
		if p, ok := ids[id]; ok {
			return p, true
		}
	}
	return 0, id.Milli() > h.maxID
}

// putID notes an append that began with id, at p.
func (h *heads) putID(id eventstore.EventID, p eventstore.Position) {
	h.ids[0][id] = p
	h.now = max(h.now, id.Milli())
}

// turn begins a new generation if the newer one is large and the index has all
// of the older one, which is dropped.
func (h *heads) turn(written, indexed eventstore.Position) {
	g := h.generations.Load()
	g.newer.last = written
	small := g.newer.size < generationSize && len(h.ids[0]) < generationSize
	if small || g.older.last > indexed {
		return
	}
	h.generations.Store(&generations{new(generation), g.newer})
	h.ids[0], h.ids[1] = h.ids[1], h.ids[0]
	clear(h.ids[0])
	h.maxID = h.now
}

// tail is the end of the log: what is durable, and the frames of the newest
// journal. It is immutable; the writer publishes one after the other. Their
// frames share an array that only the writer appends to, behind all of them.
type tail struct {
	begin  eventstore.Position // of the first record in frames; head+1 if there is none
	frames []*frame
	head   eventstore.Position // the last durable record
	chain  eventstore.Hash     // at head
	time   int64               // of the record at head
	next   chan struct{}       // closed when there is a later tail, or none any more
}

// find returns the frame with the record at p, or nil if it is not in memory.
func (t *tail) find(p eventstore.Position) *frame {
	if p < t.begin || p > t.head {
		return nil
	}
	return t.frames[t.index(p)]
}

func (t *tail) index(p eventstore.Position) int {
	return sort.Search(len(t.frames), func(i int) bool { return t.frames[i].last() >= p })
}

// with returns the tail after a frame was written.
func (t *tail) with(f *frame, chain eventstore.Hash) *tail {
	return &tail{
		begin: t.begin, frames: append(t.frames, f), head: f.last(), chain: chain,
		time: f.records[len(f.records)-1].Time, next: make(chan struct{}),
	}
}

// rolled returns the tail without frames: their journal is sealed and read from
// disk from now on. It says the same, so readers are not woken.
func (t *tail) rolled() *tail {
	return &tail{begin: t.head + 1, head: t.head, chain: t.chain, time: t.time, next: t.next}
}
