package eventstore

import (
	"errors"
	"fmt"
)

// ErrClosed is the answer of a store that was closed.
var ErrClosed = errors.New("event store is closed")

// ConflictError says that a stream did not have the expected revision. Nothing
// of the append was written.
type ConflictError struct {
	Stream   StreamID
	Expected Expectation
	Actual   Revision
	Head     Position // the durable head when this was found; a reader that has seen it knows why
}

func (e *ConflictError) Error() string {
	want := fmt.Sprintf("revision %d", e.Expected)
	switch e.Expected {
	case NoStream:
		want = "no stream"
	case Any:
		want = "anything"
	}
	return fmt.Sprintf("cannot append to %s: expected %s, it is at revision %d", e.Stream, want, e.Actual)
}

// InvalidError says that an append is malformed. Nothing was written.
type InvalidError struct {
	Stream StreamID
	Reason string
}

func (e *InvalidError) Error() string {
	return fmt.Sprintf("cannot append to %q: %s", string(e.Stream), e.Reason)
}

// ReadOnlyError says that the store takes no appends at present, though reads
// work: its disk is full, or its index is being rebuilt.
type ReadOnlyError struct {
	Reason   string  // with numbers, and what helps
	Progress float64 // 0 to 1 of what makes it writable again; 0 if that is not known
}

func (e *ReadOnlyError) Error() string {
	if e.Progress == 0 {
		return "the event store is read-only: " + e.Reason
	}
	return fmt.Sprintf("the event store is read-only: %s, %.0f %% done", e.Reason, 100*e.Progress)
}

// FailedError says that a write or sync failed, so that the store has stopped.
// Whether the appends under way are in the log is known only after it is reopened.
type FailedError struct{ Cause error }

func (e *FailedError) Error() string {
	return "event store has stopped: " + e.Cause.Error() + "; it must be reopened"
}

func (e *FailedError) Unwrap() error { return e.Cause }

// DamageError says that stored bytes are not what was written.
type DamageError struct {
	File     string
	Offset   int64
	Position Position // the last position known to be whole
	Reason   string
	Help     string // the command that helps
}

func (e *DamageError) Error() string {
	s := fmt.Sprintf("event log is damaged after #%d: %s at byte %d: %s", e.Position, e.File, e.Offset, e.Reason)
	if e.Help != "" {
		s += "; " + e.Help
	}
	return s
}
