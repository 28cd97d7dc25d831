// Package eventstore is the port to the one append-only log: records, streams,
// revisions, positions, and what may be done with them. It knows nothing of
// jobs. Adapters (embedded, postgres) implement [Store]; storetest is the proof
// that they do.
//
// Words: a record is one event in the log. Its position is its place in the
// whole log, its revision its place in its stream; both start at 1 and are
// dense. Position 0 is the log before its first record, revision 0 a stream
// that does not exist.
package eventstore

import (
	"context"
	"math"
	"time"
)

// Position is a record's place in the whole log: 1, 2, 3, … in commit order
// without a gap. 0 is the empty log.
type Position uint64

// Revision is a record's place in its stream, and so the number of events the
// stream has. 0 is a stream that does not exist.
type Revision uint64

// StreamID names a stream, such as job-7f3k9qd2: 1 to [MaxStreamID] bytes of
// printable ASCII without space.
type StreamID string

// EventID identifies an event for ever: a UUIDv7. The ids of one append are
// consecutive (see [EventID.Next]); the first is the append's key, and its last 16
// bits are 0 (see [NewEventID]), so that no id can belong to two appends.
type EventID [16]byte

// Hash is a link of the record chain.
type Hash [32]byte

// Limits of one append. An append beyond them is an [*InvalidError].
const (
	MaxStreamID     = 128     // bytes
	MaxEventType    = 64      // bytes
	MaxEventsAppend = 1024    // events in one atomic append
	MaxAppendBytes  = 1 << 20 // bytes of ids, types, metadata and data in one atomic append
	MaxBatches      = 1024    // batches (streams and assertions) in one atomic append
)

// Expectation is the revision a stream must have for a batch to be written.
type Expectation uint64

const (
	// NoStream expects that the stream has no event yet.
	NoStream Expectation = 0
	// Any expects nothing.
	Any Expectation = math.MaxUint64
)

// Exactly expects revision r.
func Exactly(r Revision) Expectation { return Expectation(r) }

// Event is what a caller wants recorded. It must not be changed after it was
// handed to the store: the store passes its slices on.
type Event struct {
	ID       EventID
	Type     string // a name such as JobSubmitted, at most MaxEventType bytes
	Metadata []byte
	Data     []byte

	// Value is the decoded event, immutable, or nil. The store does not look at
	// it; it hands it to readers in this process while the record is in memory,
	// which spares them decoding Data.
	Value any
}

// Batch is what one append does to one stream. A batch without events is an
// assertion: the stream must have the expected revision, nothing is written.
type Batch struct {
	Stream StreamID
	Expect Expectation
	Events []Event
}

// Append is a list of batches that is written whole or not at all. A stream
// may be named by one batch only.
type Append struct {
	Batches []Batch
}

// Result tells what became of one append.
type Result struct {
	Position Position // of the append's last record; 0 if it had only assertions or failed
	First    Position // of its first record
	Time     int64    // the records' time, ns since 1970 UTC
	Repeated bool     // the same append had been written before; this is its first answer
	Err      error    // why this append was not written
}

// Record is one event as it stands in the log. Records are shared between all
// readers and must not be changed.
type Record struct {
	Position Position
	Revision Revision
	Time     int64 // ns since 1970 UTC; never goes back along the log
	ID       EventID
	Stream   StreamID
	Type     string
	Metadata []byte
	Data     []byte
	Value    any // what the appender put into Event.Value, or nil
}

// When returns the record's time.
func (r *Record) When() time.Time { return time.Unix(0, r.Time).UTC() }

// The times that nanoseconds since 1970 reach, the years 1677 to 2262.
var (
	earliest = time.Unix(0, math.MinInt64)
	latest   = time.Unix(0, math.MaxInt64)
)

// Nanos returns a time as records have it. One that is too far away for that
// becomes the earliest or the latest that isn't.
func Nanos(t time.Time) int64 {
	switch {
	case t.Before(earliest):
		return math.MinInt64
	case t.After(latest):
		return math.MaxInt64
	}
	return t.UnixNano()
}

// Filter chooses records. Its zero value chooses all. A record passes if its
// stream begins with one of Prefixes (if there are any) and its type is one of
// Types (if there are any).
type Filter struct {
	Prefixes []string
	Types    []string
}

// Direction is the order in which a stream is read.
type Direction int8

const (
	Forwards Direction = iota
	Backwards
)

// Store is the event store. All methods are safe for concurrent use.
type Store interface {
	// Append writes the batches in one atomic step. It is AppendEach of one: the
	// error is Result.Err or that of the call.
	Append(ctx context.Context, batches ...Batch) (Result, error)

	// AppendEach writes several appends in one call. Each is atomic and judged by
	// itself, in order, as if they were sent one after the other: a conflict
	// drops only that one. Where they fit they share one frame, so one sync. It
	// returns only when everything written is durable and readable; results are
	// in the order of the appends. The call's error is non-nil only if nothing can be said
	// of the appends: [ErrClosed], a *[FailedError] (the store must be reopened;
	// the appends may or may not be in the log), or ctx's error before the
	// appends were taken. Once taken, an append is not abandoned when ctx ends.
	//
	// Result.Err is *[ConflictError] (a stream had another revision; nothing was
	// written), *[InvalidError] (the append is malformed, or its ids were used for
	// another append) or *[ReadOnlyError].
	// A repeat, that is an append whose first event id is already in the log with
	// the same streams, count, types and data, is answered with the first
	// answer and Repeated; expectations are not looked at again.
	AppendEach(ctx context.Context, appends []Append) ([]Result, error)

	// ReadAll appends to buf up to limit records that pass the filter, beginning
	// with position from, in order of position, and returns buf and the position to
	// go on from. It never returns records that are not durable. It may return
	// fewer than there are (also none) as long as next moves on; the end is
	// reached when next is head+1.
	ReadAll(ctx context.Context, buf []*Record, from Position, limit int, f Filter) (records []*Record, next Position, err error)

	// ReadStream appends to buf up to limit records of one stream, beginning with
	// revision from (Backwards: from and below; from 0 means the newest). A stream
	// that does not exist has no records and is no error.
	ReadStream(ctx context.Context, buf []*Record, stream StreamID, from Revision, limit int, d Direction) ([]*Record, error)

	// StreamRevision returns the stream's revision, 0 if it does not exist.
	StreamRevision(ctx context.Context, stream StreamID) (Revision, error)

	// Wait returns the durable head and a channel that is closed at the next
	// commit (or when the store closes). It never blocks: read up to head, then
	// wait for the channel, and nothing is missed and nothing seen twice.
	Wait() (head Position, next <-chan struct{})

	// PositionAt returns the position of the last record whose time is at or
	// before t; 0 if there is none. Any time will do, also one that [Nanos] has to
	// bring nearer.
	PositionAt(ctx context.Context, t time.Time) (Position, error)

	// ChainAt returns the record chain's hash at p; the zero hash at 0.
	ChainAt(ctx context.Context, p Position) (Hash, error)

	Snapshots

	// Close waits for appends that were taken, then closes the store. Later calls
	// answer ErrClosed. It may be called twice.
	Close() error

	// Failed returns a channel that is closed when the store has stopped by
	// itself after a failed write or sync, and Err why; Err is nil before.
	Failed() <-chan struct{}
	Err() error
}

// Snapshot is a read model's saved state at a position.
type Snapshot struct {
	Name     string
	Version  string // of the code that wrote it; a reader that has another ignores it
	Position Position
	Chain    Hash // the record chain at Position, checked when it is loaded
	Data     []byte
}

// Snapshots keeps read models' states. They can always be rebuilt, so a lost or
// damaged one is reported as absent, never as an error that stops a start.
type Snapshots interface {
	// SaveSnapshot stores s durably; the newest keep of that name stay, older are
	// removed. Chain is filled in by the store.
	SaveSnapshot(ctx context.Context, s Snapshot, keep int) error
	// LoadSnapshot returns the newest whole snapshot of that name and version at
	// or below position at (0 means any), or ok = false. Skipped names what was
	// found damaged or unusable.
	LoadSnapshot(ctx context.Context, name, version string, at Position) (s Snapshot, ok bool, skipped []error, err error)
	// ListSnapshots returns the positions of the snapshots of that name, ascending.
	ListSnapshots(ctx context.Context, name string) ([]Position, error)
}
