package embedded

import (
	"context"
	"errors"
	"sort"
	"sync"

	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/embedded/index"
)

// memIndex is an index in memory.
type memIndex struct {
	mu      sync.RWMutex
	origins map[eventstore.StreamID]eventstore.Position
	runs    map[eventstore.Position][]index.Run
	ids     map[eventstore.EventID]eventstore.Position
	at      index.Checkpoint
}

func newMemIndex() *memIndex {
	return &memIndex{
		origins: make(map[eventstore.StreamID]eventstore.Position),
		runs:    make(map[eventstore.Position][]index.Run),
		ids:     make(map[eventstore.EventID]eventstore.Position),
	}
}

func (m *memIndex) View(fn func(index.Reader) error) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return fn(memReader{m})
}

func (m *memIndex) Write(runs []index.Run, c index.Checkpoint) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range runs {
		if r.Revision == 1 {
			m.origins[r.Stream] = r.Origin
		}
		m.runs[r.Origin] = append(m.runs[r.Origin], r)
		if r.AppendID {
			m.ids[r.ID] = r.Position
		}
	}
	m.at = c
	return nil
}

func (m *memIndex) Checkpoint() index.Checkpoint {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.at
}

func (m *memIndex) Scrub(context.Context, func(done, total uint64)) error { return nil }
func (m *memIndex) Copy(context.Context, string) error {
	return errors.New("an index in memory has no copy")
}
func (m *memIndex) Close() error { return nil }

type memReader struct{ m *memIndex }

func (r memReader) Origin(s eventstore.StreamID) (eventstore.Position, bool) {
	p, ok := r.m.origins[s]
	return p, ok
}

func (r memReader) RunAt(origin eventstore.Position, rev eventstore.Revision) (index.Run, bool) {
	runs := r.m.runs[origin]
	i := sort.Search(len(runs), func(i int) bool { return runs[i].Revision > rev }) - 1
	if i < 0 {
		return index.Run{}, false
	}
	return runs[i], true
}

func (r memReader) ByID(id eventstore.EventID) (eventstore.Position, bool) {
	p, ok := r.m.ids[id]
	return p, ok
}
