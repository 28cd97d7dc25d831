package joblog

import (
	"sync"
	"sync/atomic"
)

const shards = 256 // a power of two

// registry finds logs by key. Its locks are never held together with an
// attempt's.
type registry struct {
	count atomic.Int64 // logs that are open, and no series
	shard [shards]shard
}

type shard struct {
	mu      sync.RWMutex
	open    map[Key]*attempt
	retired map[Key]retired
	born    chan struct{} // closed when a log is opened; nil while nobody waits
}

// retired is what is kept in memory of a log whose end is durable.
type retired struct {
	end   uint64
	base  uint64 // what lies below is in the archive alone
	index spans  // replaced, never changed
}

func (r *registry) of(k Key) *shard {
	h := (uint64(k.Job) ^ uint64(k.Attempt)<<40) * 0x9e3779b97f4a7c15
	return &r.shard[h>>56&(shards-1)]
}

// find returns the open log, or the end of a retired one, or neither.
func (r *registry) find(k Key) (a *attempt, end uint64, ended bool) {
	s := r.of(k)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if a := s.open[k]; a != nil {
		return a, 0, false
	}
	old, ok := s.retired[k]
	return nil, old.end, ok
}

// places returns where a retired log lies.
func (r *registry) places(k Key) retired {
	s := r.of(k)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.retired[k]
}

// watch is find with a channel that is closed when a log comes into being.
func (r *registry) watch(k Key) (a *attempt, end uint64, ended bool, born <-chan struct{}) {
	if a, end, ended = r.find(k); a != nil || ended {
		return a, end, ended, nil
	}
	s := r.of(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.born == nil {
		s.born = make(chan struct{})
	}
	old, ended := s.retired[k] // it may have come between the two locks
	return s.open[k], old.end, ended, s.born
}

// open returns the open log and makes it if there is none, with the bytes below
// base in the archive, or the end of a retired one.
func (r *registry) open(k Key, base uint64) (a *attempt, end uint64, ended bool) {
	if a, end, ended = r.find(k); a != nil || ended {
		return a, end, ended
	}
	s := r.of(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.open[k]; a != nil {
		return a, 0, false
	}
	if old, ok := s.retired[k]; ok {
		return nil, old.end, true
	}
	if s.open == nil {
		s.open = map[Key]*attempt{}
	}
	a = &attempt{key: k, base: base, durable: base, taken: base}
	a.ring.reset(base)
	s.open[k] = a
	r.counted(k, 1)
	if s.born != nil {
		close(s.born)
		s.born = nil
	}
	return a, 0, false
}

// retire replaces an open log by what is kept of it.
func (r *registry) retire(a *attempt, end uint64) {
	index, base := a.places()
	if len(index) > maxSpansRetired {
		index = append(spans(nil), index...).thin(maxSpansRetired)
	}
	s := r.of(a.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.retired == nil {
		s.retired = map[Key]retired{}
	}
	s.retired[a.key] = retired{end: end, base: base, index: index}
	if delete(s.open, a.key); len(s.open) == 0 {
		s.open = nil // a map keeps the room for as many as it ever had
	}
	r.counted(a.key, -1)
}

func (r *registry) counted(k Key, n int64) {
	if !k.IsSeries() {
		r.count.Add(n)
	}
}

// unended returns the keys of the open logs that have not ended.
func (r *registry) unended() []Key {
	var keys []Key
	for _, a := range r.attempts() {
		if _, ended := a.end(); !ended {
			keys = append(keys, a.key)
		}
	}
	return keys
}

// attempts returns the open logs.
func (r *registry) attempts() []*attempt {
	all := make([]*attempt, 0, r.count.Load())
	for i := range r.shard {
		s := &r.shard[i]
		s.mu.RLock()
		for _, a := range s.open {
			all = append(all, a)
		}
		s.mu.RUnlock()
	}
	return all
}
