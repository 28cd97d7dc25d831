// Package index is the embedded store's index over its log: names, revisions
// and ids to positions. All of it can be rebuilt from the log, and nothing in
// it is believed unchecked: a positive answer is checked by the caller against
// the record it names, a negative one counts only after [Index.Scrub] passed.
package index

import (
	"context"

	"github.com/hodei-jobs/hodei/eventstore"
)

// Run is a number of consecutive records of one stream, with consecutive event
// ids, from one append. It is what the index stores: one key a run.
type Run struct {
	Stream   eventstore.StreamID
	Origin   eventstore.Position // position of the stream's first record
	Revision eventstore.Revision // of the run's first record
	Position eventstore.Position // of the run's first record
	Count    uint32
	ID       eventstore.EventID // of the run's first record
	AppendID bool               // ID is the first id of its append, so that a repeat is looked up by it
}

// Checkpoint is how far the index goes.
type Checkpoint struct {
	Position eventstore.Position // of the last record indexed
	Chain    eventstore.Hash     // the record chain there
	Frame    uint64              // number of the last frame indexed whole
}

// Reader looks things up in one unchanging state of the index.
type Reader interface {
	// Origin returns the position of the stream's first record.
	Origin(stream eventstore.StreamID) (eventstore.Position, bool)
	// RunAt returns position, first revision and count of the last run of the
	// stream that began at origin whose first revision is at or below r.
	RunAt(origin eventstore.Position, r eventstore.Revision) (Run, bool)
	// ByID returns the position of the first record of the append that began with id.
	ByID(id eventstore.EventID) (eventstore.Position, bool)
}

// Index is the port. Write is called by one goroutine; the rest is safe for
// concurrent use.
type Index interface {
	// View calls fn with a state of the index. fn must be short and must not keep
	// the Reader.
	View(fn func(Reader) error) error
	// Write adds runs (in order of position) and moves the checkpoint in one
	// durable transaction.
	Write(runs []Run, c Checkpoint) error
	// Checkpoint returns how far the index goes; zero for an empty one.
	Checkpoint() Checkpoint
	// Scrub verifies the whole index: the digests of each bucket equal a full scan
	// in which each key is also looked up. done and total are keys.
	Scrub(ctx context.Context, progress func(done, total uint64)) error
	// Copy writes a copy of the index as it is now to path, durably, unless ctx
	// ends before. Writes go on meanwhile, but now and then one has to wait for it:
	// whoever is in a hurry ends it.
	Copy(ctx context.Context, path string) error
	Close() error
}
