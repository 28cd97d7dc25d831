package storetest

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/eventstore"
)

// memory makes the naive store one that can be opened: a lock around it. It can
// be broken in one place, named by fault.
type memory struct {
	fault string

	mu     sync.Mutex
	naive  *naive
	step   time.Duration // of the wall clock
	last   int64         // time of the last record
	next   chan struct{}
	snaps  []eventstore.Snapshot
	closed bool
	failed chan struct{}
}

func newMemory(fault string) *memory {
	return &memory{fault: fault, naive: newNaive(), next: make(chan struct{}), failed: make(chan struct{})}
}

// memoryHarness opens a memory again by making another of what it held.
type memoryHarness struct{ store *memory }

func (h *memoryHarness) Store() eventstore.Store { return h.store }

func (h *memoryHarness) SetWallClock(by time.Duration) {
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	h.store.step += by
}

func (h *memoryHarness) Reopen() eventstore.Store {
	old := h.store
	_ = old.Close()
	s := newMemory(old.fault)
	s.step, s.last, s.snaps = old.step, old.last, old.snaps
	for _, r := range old.naive.records {
		copied := *r
		if s.fault != "values outlive a start" {
			copied.Value = nil
		}
		s.naive.records = append(s.naive.records, &copied)
	}
	s.naive.written = old.naive.written
	switch s.fault {
	case "ids are forgotten at a start":
		s.naive.written = map[eventstore.EventID]eventstore.Result{}
	case "snapshots are lost at a start":
		s.snaps = nil
	case "the last append is lost at a start":
		if n := len(s.naive.records); n > 0 {
			s.naive.records = s.naive.records[:n-1]
		}
	}
	h.store = s
	return s
}

func (m *memory) now() int64 {
	t := time.Now().Add(m.step).UnixNano()
	if m.fault != "time follows the wall clock back" {
		t = max(t, m.last)
	}
	m.last = t
	return t
}

func (m *memory) Append(ctx context.Context, batches ...eventstore.Batch) (eventstore.Result, error) {
	results, err := m.AppendEach(ctx, []eventstore.Append{{Batches: batches}})
	if err != nil {
		return eventstore.Result{Err: err}, err
	}
	if m.fault == "the error of Append is left out" {
		return results[0], nil
	}
	return results[0], results[0].Err
}

func (m *memory) AppendEach(ctx context.Context, appends []eventstore.Append) ([]eventstore.Result, error) {
	if err := ctx.Err(); err != nil && m.fault != "the context is not looked at" {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, eventstore.ErrClosed
	}
	before := m.naive.head()
	results := make([]eventstore.Result, len(appends))
	touched := map[eventstore.StreamID]bool{}
	for i, a := range appends {
		if i > 0 && results[i-1].Err != nil && m.fault == "a conflict ends the call" {
			results[i] = results[i-1]
			continue
		}
		results[i] = m.judge(a, touched)
		for _, b := range a.Batches {
			touched[b.Stream] = true
		}
	}
	if m.fault == "results are in another order" {
		slices.Reverse(results)
	}
	if m.naive.head() > before && m.fault != "no channel is ever closed" {
		close(m.next)
		m.next = make(chan struct{})
	}
	return results, nil
}

// judge is the naive store's append, with what may be broken in it.
func (m *memory) judge(a eventstore.Append, touched map[eventstore.StreamID]bool) eventstore.Result {
	a = m.breakAppend(a, touched)
	if id := a.FirstID(); id.Time().After(time.Now().Add(time.Second)) && m.fault != "ids from the future are taken" {
		return eventstore.Result{Err: &eventstore.InvalidError{Reason: "its id is of the future"}}
	}
	first, known := m.naive.written[a.FirstID()]
	switch {
	case known && m.fault == "a repeat is written again":
		delete(m.naive.written, a.FirstID())
	case known && m.fault == "any use of a known id is a repeat":
		first.Repeated = true
		return first
	case known && m.fault == "a repeat's expectations are looked at":
		if c := m.naive.conflicts(a); len(c) > 0 {
			return eventstore.Result{Err: c[0]}
		}
	case known && m.fault == "a repeat's metadata counts":
		if string(a.Batches[0].Events[0].Metadata) != string(m.naive.records[first.First-1].Metadata) {
			return eventstore.Result{Err: &eventstore.InvalidError{Reason: "its metadata is another"}}
		}
	}
	if m.fault == "two appends hold at one revision" && len(m.naive.conflicts(a)) == 0 {
		for i := range a.Batches {
			a.Batches[i].Expect = eventstore.Any
		}
		m.mu.Unlock()
		runtime.Gosched()
		m.mu.Lock()
	}
	return m.breakResult(a, m.naive.append(a, m.now()))
}

func (m *memory) breakAppend(a eventstore.Append, touched map[eventstore.StreamID]bool) eventstore.Append {
	a.Batches = slices.Clone(a.Batches)
	for i := range a.Batches {
		b := &a.Batches[i]
		switch {
		case m.fault == "appends of a call don't see each other" && touched[b.Stream],
			m.fault == "assertions are not looked at" && len(b.Events) == 0,
			m.fault == "only the first batch is judged" && i > 0:
			b.Expect = eventstore.Any
		case m.fault == "too long a name is cut" && len(b.Stream) > eventstore.MaxStreamID:
			b.Stream = b.Stream[:eventstore.MaxStreamID]
		case m.fault == "metadata is lost":
			b.Events = slices.Clone(b.Events)
			for k := range b.Events {
				b.Events[k].Metadata = nil
			}
		}
	}
	if events, _ := a.Size(); events == eventstore.MaxEventsAppend && m.fault == "the limit is one too low" {
		return eventstore.Append{}
	}
	return a
}

func (m *memory) breakResult(a eventstore.Append, r eventstore.Result) eventstore.Result {
	var conflict *eventstore.ConflictError
	switch {
	case errors.As(r.Err, &conflict):
		switch m.fault {
		case "a refused append leaves its first batch":
			first := a.Batches[0]
			first.Expect = eventstore.Any
			m.naive.append(numbered(first), m.now())
		case "the actual revision is not named":
			conflict.Actual = 0
		case "a conflict names no head":
			conflict.Head = 0
		}
	case m.fault == "a repeat is not marked":
		r.Repeated = false
	case m.fault == "the answer has another time":
		r.Time++
	case m.fault == "an assertion has a position" && r.Position == 0 && r.Err == nil:
		r.Position = m.naive.head()
	}
	return r
}

func (m *memory) open() error {
	if m.closed && m.fault != "a closed store is read" {
		return eventstore.ErrClosed
	}
	return nil
}

func (m *memory) ReadAll(_ context.Context, buf []*eventstore.Record, from eventstore.Position, limit int, f eventstore.Filter) ([]*eventstore.Record, eventstore.Position, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.open(); err != nil {
		return buf, from, err
	}
	switch m.fault {
	case "a filter's types are not looked at":
		f.Types = nil
	case "a filter's prefixes are not looked at":
		f.Prefixes = nil
	case "what is handed in is dropped":
		buf = nil
	}
	all := m.naive.all(from, f)
	if len(all) <= limit {
		next := max(from, m.naive.head()+1)
		if m.fault == "next is the head" {
			next--
		}
		return append(buf, all...), next, nil
	}
	next := all[limit-1].Position + 1
	if m.fault == "a read skips a record at its limit" {
		next++
	}
	return append(buf, all[:limit]...), next, nil
}

func (m *memory) ReadStream(_ context.Context, buf []*eventstore.Record, s eventstore.StreamID, from eventstore.Revision, limit int, d eventstore.Direction) ([]*eventstore.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.open(); err != nil {
		return buf, err
	}
	switch {
	case m.fault == "a stream is found by a prefix":
		for _, r := range m.naive.records {
			if strings.HasPrefix(string(r.Stream), string(s)) {
				s = r.Stream
			}
		}
	case m.fault == "backwards begins one below" && d == eventstore.Backwards && from > 1:
		from--
	case m.fault == "there is one direction":
		d = eventstore.Forwards
	case m.fault == "the limit is not kept":
		limit++
	}
	return append(buf, m.naive.stream(s, from, limit, d)...), nil
}

func (m *memory) StreamRevision(_ context.Context, s eventstore.StreamID) (eventstore.Revision, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.naive.revision(s)
	if m.fault == "revisions are stale" {
		r -= min(r, 1)
	}
	return r, m.open()
}

func (m *memory) Wait() (eventstore.Position, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fault == "the head runs ahead" {
		return m.naive.head() + 1, m.next
	}
	return m.naive.head(), m.next
}

func (m *memory) PositionAt(_ context.Context, t time.Time) (eventstore.Position, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := eventstore.Nanos(t)
	switch m.fault {
	case "a position is that before a time":
		at--
	case "a time far away overflows":
		at = t.UnixNano()
	}
	return positionAt(m.naive.records, at), m.open()
}

func (m *memory) ChainAt(_ context.Context, p eventstore.Position) (eventstore.Hash, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.open(); err != nil {
		return eventstore.Hash{}, err
	}
	if p > m.naive.head() && m.fault != "the chain goes on beyond the head" {
		return eventstore.Hash{}, errors.New("the log ends before it")
	}
	var chain eventstore.Chain
	for _, r := range m.naive.records[:min(p, m.naive.head())] {
		copied := *r
		if m.fault == "the chain leaves metadata out" {
			copied.Metadata = nil
		}
		chain.AddRecord(&copied)
	}
	return chain.Hash, nil
}

func (m *memory) SaveSnapshot(ctx context.Context, s eventstore.Snapshot, keep int) error {
	chain, err := m.ChainAt(ctx, s.Position)
	if err != nil && m.fault != "a snapshot beyond the head is taken" {
		return err
	}
	if m.fault != "the caller's chain is kept" {
		s.Chain = chain
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.snaps = slices.DeleteFunc(m.snaps, func(o eventstore.Snapshot) bool { return o.Name == s.Name && o.Position == s.Position })
	m.snaps = append(m.snaps, s)
	slices.SortFunc(m.snaps, func(a, b eventstore.Snapshot) int { return cmp.Compare(a.Position, b.Position) })
	if m.fault == "all snapshots are kept" {
		return nil
	}
	older := -keep
	for _, o := range m.snaps {
		if o.Name == s.Name {
			older++
		}
	}
	m.snaps = slices.DeleteFunc(m.snaps, func(o eventstore.Snapshot) bool {
		if o.Name != s.Name && m.fault != "snapshots of another name are removed" || older <= 0 {
			return false
		}
		older--
		return true
	})
	return nil
}

func (m *memory) LoadSnapshot(_ context.Context, name, version string, at eventstore.Position) (eventstore.Snapshot, bool, []error, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fault == "a snapshot of any version is loaded" {
		version = ""
	}
	for _, s := range slices.Backward(m.snaps) {
		below := at == 0 || s.Position <= at || m.fault == "a snapshot above is loaded"
		if s.Name == name && (s.Version == version || version == "") && below {
			return s, true, nil, m.open()
		}
	}
	return eventstore.Snapshot{}, false, nil, m.open()
}

func (m *memory) ListSnapshots(_ context.Context, name string) (out []eventstore.Position, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.snaps {
		if s.Name == name {
			out = append(out, s.Position)
		}
	}
	return out, m.open()
}

func (m *memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.closed = true
		close(m.next)
	} else if m.fault == "closing twice is an error" {
		return eventstore.ErrClosed
	}
	return nil
}

func (m *memory) Failed() <-chan struct{} { return m.failed }
func (m *memory) Err() error              { return nil }

var _ eventstore.Store = (*memory)(nil)

func openMemory(fault string) func(*testing.T) Harness {
	return func(*testing.T) Harness { return &memoryHarness{newMemory(fault)} }
}
