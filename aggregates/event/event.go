// Package event is the dictionary of everything that can happen: which events
// there are, how they are stored, in which streams they stand, and how each
// describes itself in one line.
//
// An event is a message of package eventv1; its type is the message's name. It
// must not be changed once it was made: it is shared by everyone who reads it.
// All functions are safe for concurrent use.
package event

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
)

// ErrUnknown is wrapped by Decode for a type that this version doesn't know: the
// event was written by a newer one.
var ErrUnknown = errors.New("event type is unknown to this version")

// kind is what is known of one event type.
type kind struct {
	make     func() proto.Message
	describe func(proto.Message) string
}

// kinds holds every event type by its name.
var kinds = func() map[string]kind {
	all := make(map[string]kind)
	for _, group := range []map[string]kind{jobKinds, workerKinds, accessKinds, secretKinds, serverKinds} {
		maps.Copy(all, group)
	}
	return all
}()

// of makes an event type known, and its description with it: there is none
// without.
func of[M any, P interface {
	*M
	proto.Message
}](describe func(P) string) kind {
	return kind{
		make:     func() proto.Message { return P(new(M)) },
		describe: func(m proto.Message) string { return describe(m.(P)) },
	}
}

// Types returns the names of all event types, sorted.
func Types() []string { return slices.Sorted(maps.Keys(kinds)) }

// New returns an empty event of that type; nil if it is unknown.
func New(typ string) proto.Message {
	k, ok := kinds[typ]
	if !ok {
		return nil
	}
	return k.make()
}

// TypeOf returns an event's type: its message's name, such as JobSubmitted.
func TypeOf(m proto.Message) string { return string(m.ProtoReflect().Descriptor().Name()) }

var (
	marshal   = proto.MarshalOptions{Deterministic: true}
	unmarshal = proto.UnmarshalOptions{}
)

// Encode returns the bytes an event is stored as. It panics if a string of it is
// no UTF-8: aggregates let no such string into an event.
func Encode(m proto.Message) []byte {
	data, err := marshal.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("event %s can't be encoded: %v", TypeOf(m), err))
	}
	return data
}

// Decode returns the event that was stored as data. Fields this version doesn't
// know are kept. The error wraps ErrUnknown if it is the type that is unknown.
func Decode(typ string, data []byte) (proto.Message, error) {
	k, ok := kinds[typ]
	if !ok {
		return nil, fmt.Errorf("cannot decode %q: %w", Printable(typ), ErrUnknown)
	}
	m := k.make()
	if err := unmarshal.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("cannot decode %s: %w", typ, err)
	}
	return m, nil
}

// EncodeMetadata returns the bytes an event's metadata is stored as.
func EncodeMetadata(m *eventv1.Metadata) []byte { return Encode(m) }

// DecodeMetadata returns the metadata that was stored as data.
func DecodeMetadata(data []byte) (*eventv1.Metadata, error) {
	m := new(eventv1.Metadata)
	if err := unmarshal.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("cannot decode metadata: %w", err)
	}
	return m, nil
}

// Describe returns what happened as one line for people: lower case at its
// start, no final stop, no secret, foreign text made printable and cut. What the
// stream and the metadata say (which job, who, when) is not repeated.
func Describe(m proto.Message) string {
	k, ok := kinds[TypeOf(m)]
	if !ok {
		return "an event this version doesn't know: " + Printable(TypeOf(m))
	}
	return k.describe(m)
}
