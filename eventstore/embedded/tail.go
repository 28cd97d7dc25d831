package embedded

import (
	"sort"

	"github.com/hodei-jobs/hodei/eventstore"
)

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
