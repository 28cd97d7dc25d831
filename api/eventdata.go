package api

import (
	"encoding/json"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/resource"
	"github.com/hodei-jobs/hodei/aggregates/spec"
)

// eventData is an event's content in the notation of jobs and workers: numbers are
// numbers, what ends in _ns in the log is a duration such as 30s, what is asked for
// a size such as 512Mi, and labels are an object. Fields that are absent or 0 are
// left out, and what is sealed is not shown.
func eventData(m proto.Message) json.RawMessage { return fieldsOf(withoutHidden(m).ProtoReflect()) }

func fieldsOf(m protoreflect.Message) json.RawMessage {
	b := []byte{'{'}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if !m.Has(f) {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		name, value := fieldView(m.Interface(), f, m.Get(f))
		b = append(appendJSON(b, name), ':')
		b = appendJSON(b, value)
	}
	return append(b, '}')
}

func appendJSON(b []byte, v any) []byte {
	text, err := json.Marshal(v)
	if err != nil { // a number that is none: scores can be infinite
		text = []byte("null")
	}
	return append(b, text...)
}

// fieldView is a field as jobs and workers have it: its name, and its value as
// JSON is made of.
func fieldView(in proto.Message, f protoreflect.FieldDescriptor, v protoreflect.Value) (name string, value any) {
	name = f.TextName()
	switch e := in.(type) {
	case *eventv1.JobSubmitted:
		if name == "spec" && json.Valid(e.GetSpec()) {
			return name, json.RawMessage(spec.Shown(e.GetSpec()))
		}
	case *eventv1.WorkerFacts:
		if name == "capacity" {
			return name, amount(resource.FromEvent(e.GetCapacity()))
		}
	case *eventv1.Refusal:
		if name == "have" || name == "need" {
			return name, quantity(e.GetLacks(), v.Uint())
		}
	}
	base, timed := strings.CutSuffix(name, "_ns")
	switch {
	case f.IsList():
		return name, listView(f, v.List())
	case !timed:
		return name, valueView(v)
	case base == "took":
		return "seconds", time.Duration(v.Int()).Seconds() // as steps have it
	case strings.HasSuffix(base, "_at"):
		return base, instant(v.Int())
	case v.Int() < 0:
		return base, "-" + spec.Duration(-v.Int()).String()
	}
	return base, spec.Duration(v.Int())
}

func listView(f protoreflect.FieldDescriptor, list protoreflect.List) any {
	if f.Message() != nil && f.Message() == (*eventv1.Pair)(nil).ProtoReflect().Descriptor() {
		pairs := map[string]string{}
		for i := range list.Len() {
			p := list.Get(i).Message().Interface().(*eventv1.Pair)
			pairs[p.GetKey()] = p.GetValue()
		}
		return pairs
	}
	values := make([]any, list.Len())
	for i := range values {
		values[i] = valueView(list.Get(i))
	}
	return values
}

func valueView(v protoreflect.Value) any {
	m, ok := v.Interface().(protoreflect.Message)
	if !ok {
		return v.Interface()
	}
	switch e := m.Interface().(type) {
	case *eventv1.Resources:
		return resource.FromEvent(e)
	case *eventv1.Usage:
		return usageView(e)
	}
	return fieldsOf(m)
}

// quantity is so much of what was lacking.
func quantity(lacks string, n uint64) any {
	switch lacks {
	case resource.DimensionCPU:
		return resource.CPU(n)
	case resource.DimensionMemory, resource.DimensionDisk:
		return resource.Bytes(n)
	}
	return n
}

// hidden are fields of events that nobody is shown: what is sealed, and what a
// secret could be guessed by.
var hidden = map[protoreflect.FullName]bool{
	"hodei.event.v1.SecretSet.sealed":  true,
	"hodei.event.v1.TokenCreated.hash": true,
}

func withoutHidden(m proto.Message) proto.Message {
	fields := m.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		if f := fields.Get(i); hidden[f.FullName()] {
			m = proto.Clone(m)
			m.ProtoReflect().Clear(f)
		}
	}
	return m
}
