package eventstore

import (
	"fmt"
	"slices"
	"strings"
)

// Match reports whether the record passes the filter.
func (f Filter) Match(r *Record) bool {
	if len(f.Types) > 0 && !slices.Contains(f.Types, r.Type) {
		return false
	}
	if len(f.Prefixes) == 0 {
		return true
	}
	for _, p := range f.Prefixes {
		if strings.HasPrefix(string(r.Stream), p) {
			return true
		}
	}
	return false
}

// All reports whether every record passes the filter.
func (f Filter) All() bool { return len(f.Prefixes) == 0 && len(f.Types) == 0 }

// Validate returns an [*InvalidError] if the append is malformed by itself,
// whatever the log holds.
func (a Append) Validate() error {
	if n := len(a.Batches); n == 0 || n > MaxBatches {
		return invalid("", "it has %d batches, it may have 1 to %d", n, MaxBatches)
	}
	if err := a.validateStreams(); err != nil {
		return err
	}
	events, bytes := a.Size()
	if events > MaxEventsAppend {
		return invalid(a.Batches[0].Stream, "it has %d events, it may have %d", events, MaxEventsAppend)
	}
	if bytes > MaxAppendBytes {
		return invalid(a.Batches[0].Stream, "its events have %d bytes, they may have %d", bytes, MaxAppendBytes)
	}
	return a.validateEvents()
}

// Size returns the number of events and of bytes of their ids, types, metadata
// and data: what [MaxEventsAppend] and [MaxAppendBytes] limit.
func (a Append) Size() (events, bytes int) {
	for _, b := range a.Batches {
		events += len(b.Events)
		for i := range b.Events {
			e := &b.Events[i]
			bytes += len(e.ID) + len(e.Type) + len(e.Metadata) + len(e.Data)
		}
	}
	return events, bytes
}

// FirstID returns the append's key, the id of its first event; zero if it has
// only assertions.
func (a Append) FirstID() EventID {
	for _, b := range a.Batches {
		if len(b.Events) > 0 {
			return b.Events[0].ID
		}
	}
	return EventID{}
}

// manyBatches is from where on a set finds a stream named twice sooner than
// comparing each with each.
const manyBatches = 16

func (a Append) validateStreams() error {
	var seen map[StreamID]bool
	if len(a.Batches) > manyBatches {
		seen = make(map[StreamID]bool, len(a.Batches))
	}
	for i, b := range a.Batches {
		if n := len(b.Stream); n == 0 || n > MaxStreamID {
			return invalid(b.Stream, "the stream's name has %d bytes, it may have 1 to %d", n, MaxStreamID)
		}
		if !printable(string(b.Stream)) {
			return invalid(b.Stream, "a stream's name is printable ASCII without space")
		}
		if seen[b.Stream] || seen == nil && named(a.Batches[:i], b.Stream) {
			return invalid(b.Stream, "two batches of one append name this stream")
		}
		if seen != nil {
			seen[b.Stream] = true
		}
	}
	return nil
}

func named(batches []Batch, s StreamID) bool {
	return slices.ContainsFunc(batches, func(b Batch) bool { return b.Stream == s })
}

func (a Append) validateEvents() error {
	want := a.FirstID()
	if want[14] != 0 || want[15] != 0 { // else an id could be used twice: as a first one, and within another append
		return invalid(a.Batches[0].Stream, "the last 16 bits of an append's first event id count its events from 0, it is %s", want)
	}
	for _, b := range a.Batches {
		for i := range b.Events {
			e := &b.Events[i]
			if n := len(e.Type); n == 0 || n > MaxEventType || !printable(e.Type) {
				return invalid(b.Stream, "event type %q must be 1 to %d bytes of printable ASCII without space", e.Type, MaxEventType)
			}
			if !e.ID.valid() {
				return invalid(b.Stream, "event id %s is not a UUID of version 7", e.ID)
			}
			if e.ID != want {
				return invalid(b.Stream, "event ids of one append are consecutive, expected %s, got %s", want, e.ID)
			}
			want = want.Next()
		}
	}
	return nil
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func invalid(s StreamID, format string, args ...any) *InvalidError {
	return &InvalidError{Stream: s, Reason: fmt.Sprintf(format, args...)}
}
