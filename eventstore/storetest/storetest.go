// Package storetest proves that an adapter keeps the contract of package
// eventstore. [Run] has a case for each sentence of the port, named after it;
// after each case the whole log is read in every way there is and held against
// itself, and its chain is computed anew from the records alone.
//
// The cases know nothing of the adapter: they run against any store, and so
// against a naive one, in memory and without a line that is clever, which is
// then broken on purpose to see that the case meant for it fails.
package storetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/eventstore"
)

// patience is how long a case waits for what has to happen.
const patience = 20 * time.Second

// Harness holds one store for one case.
type Harness interface {
	// Store returns the open store. It is empty at first.
	Store() eventstore.Store
	// Reopen closes the store in order, if that was not done, and returns it
	// opened again on what it had, ready for appends.
	Reopen() eventstore.Store
}

// WallClock is a [Harness] that can set the wall clock its store looks at.
type WallClock interface {
	// SetWallClock moves it by that much, for this store alone, forwards or backwards.
	SetWallClock(by time.Duration)
}

// Run holds the stores that open makes against the contract, a new one for each
// case. open closes what it made at the end of t. Cases run in parallel.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	groups := []struct {
		name  string
		cases []testCase
	}{
		{"append", appendCases},
		{"expectation", expectationCases},
		{"call", callCases},
		{"repeat", repeatCases},
		{"limit", limitCases},
		{"read", readCases},
		{"order", orderCases},
		{"wait", waitCases},
		{"snapshot", snapshotCases},
		{"close", closeCases},
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			for _, c := range g.cases {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					p := newProof(t, open(t))
					c.run(p)
					p.verify()
				})
			}
		})
	}
	t.Run("some order of one after the other explains every answer", func(t *testing.T) { linearizable(t, open) })
	t.Run("the store answers like the naive one", func(t *testing.T) { metamorphic(t, open) })
}

type testCase struct {
	name string
	run  func(*proof)
}

// proof is a store under test, and short words for what cases do with it.
type proof struct {
	*testing.T
	ctx     context.Context
	harness Harness
	store   eventstore.Store
	closed  bool // the case closed the store, so that nothing can be verified after it
}

func newProof(t *testing.T, h Harness) *proof {
	return &proof{T: t, ctx: t.Context(), harness: h, store: h.Store()}
}

func (p *proof) reopen() {
	p.Helper()
	p.store = p.harness.Reopen()
}

// to makes a batch whose events carry the texts.
func to(stream string, expect eventstore.Expectation, texts ...string) eventstore.Batch {
	b := eventstore.Batch{Stream: eventstore.StreamID(stream), Expect: expect}
	for _, text := range texts {
		b.Events = append(b.Events, eventstore.Event{Type: "Noted", Metadata: []byte("by " + stream), Data: []byte(text)})
	}
	return b
}

// at makes an assertion.
func at(stream string, r eventstore.Revision) eventstore.Batch {
	return to(stream, eventstore.Exactly(r))
}

// numbered makes an append of batches: their events get ids, from a new one on.
func numbered(batches ...eventstore.Batch) eventstore.Append {
	return numberedFrom(eventstore.NewEventID(), batches...)
}

func numberedFrom(id eventstore.EventID, batches ...eventstore.Batch) eventstore.Append {
	a := eventstore.Append{Batches: slices.Clone(batches)}
	for i := range a.Batches {
		events := slices.Clone(a.Batches[i].Events)
		for k := range events {
			events[k].ID = id
			id = id.Next()
		}
		a.Batches[i].Events = events
	}
	return a
}

// must appends batches in one append, which has to hold.
func (p *proof) must(batches ...eventstore.Batch) eventstore.Result {
	p.Helper()
	return p.mustAll(numbered(batches...))[0]
}

// mustAll sends appends in one call; all have to hold.
func (p *proof) mustAll(appends ...eventstore.Append) []eventstore.Result {
	p.Helper()
	results := p.send(appends...)
	for i, r := range results {
		if r.Err != nil {
			p.Fatalf("append %d is refused: %v", i, r.Err)
		}
	}
	return results
}

// send sends appends in one call, which must be taken.
func (p *proof) send(appends ...eventstore.Append) []eventstore.Result {
	p.Helper()
	results, err := p.store.AppendEach(p.ctx, appends)
	if err != nil {
		p.Fatalf("the call fails: %v", err)
	}
	if len(results) != len(appends) {
		p.Fatalf("%d appends have %d results", len(appends), len(results))
	}
	return results
}

func (p *proof) head() eventstore.Position {
	head, _ := p.store.Wait()
	return head
}

// log returns all records.
func (p *proof) log() []*eventstore.Record {
	p.Helper()
	records, err := scan(p.ctx, p.store, 1, scanStep, eventstore.Filter{})
	if err != nil {
		p.Fatal(err)
	}
	return records
}

// unchanged checks that fn writes nothing.
func (p *proof) unchanged(fn func()) {
	p.Helper()
	before, chain := p.head(), p.chain(p.head())
	fn()
	if after := p.head(); after != before || p.chain(after) != chain {
		p.Errorf("the log ended at #%d, it ends at #%d now", before, after)
	}
}

func (p *proof) chain(at eventstore.Position) eventstore.Hash {
	p.Helper()
	h, err := p.store.ChainAt(p.ctx, at)
	if err != nil {
		p.Fatalf("no chain at #%d: %v", at, err)
	}
	return h
}

func (p *proof) revision(stream string) eventstore.Revision {
	p.Helper()
	r, err := p.store.StreamRevision(p.ctx, eventstore.StreamID(stream))
	if err != nil {
		p.Fatalf("no revision of %s: %v", stream, err)
	}
	return r
}

// stream returns the texts of a stream's records.
func (p *proof) stream(stream string, from eventstore.Revision, limit int, d eventstore.Direction) []string {
	p.Helper()
	records, err := p.store.ReadStream(p.ctx, nil, eventstore.StreamID(stream), from, limit, d)
	if err != nil {
		p.Fatalf("cannot read %s: %v", stream, err)
	}
	return texts(records)
}

func texts(records []*eventstore.Record) []string {
	out := make([]string, len(records))
	for i, r := range records {
		out[i] = string(r.Data)
	}
	return out
}

// same compares two lists of what may be compared.
func same[T comparable](p *proof, what string, got []T, want ...T) {
	p.Helper()
	if !slices.Equal(got, want) {
		p.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// happens waits for a channel to be closed.
func (p *proof) happens(what string, c <-chan struct{}) {
	p.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		p.Fatalf("waited %s for: %s", patience, what)
	}
}
