package aggregatetest

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hodei-jobs/hodei/aggregates/event"
)

// Filled returns an event of that type with every field set, of nested messages
// too, each to a value of its own: lists have two items, texts name their field.
// It is the same each time.
func Filled(typ string) proto.Message {
	m := event.New(typ)
	Fill(m)
	return m
}

// Fill sets every field of a message, as Filled does.
func Fill(m proto.Message) { fill(m.ProtoReflect()) }

func fill(m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if f.IsList() {
			list := m.Mutable(f).List()
			for n := range 2 {
				list.Append(item(f, list.NewElement, n+1))
			}
			continue
		}
		m.Set(f, item(f, func() protoreflect.Value { return m.NewField(f) }, 0))
	}
}

// item returns the n-th value of a field.
func item(f protoreflect.FieldDescriptor, empty func() protoreflect.Value, n int) protoreflect.Value {
	number := int(f.Number()) + 100*n
	switch f.Kind() {
	case protoreflect.MessageKind:
		v := empty()
		fill(v.Message())
		return v
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(fmt.Sprintf("%s-%d", f.Name(), number))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(fmt.Sprintf("%s-%d", f.Name(), number)))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(float64(number) / 8)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(uint32(number))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(uint64(number) << 34)
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(int64(number) << 34)
	case protoreflect.Sint32Kind:
		return protoreflect.ValueOfInt32(int32(-number))
	}
	panic(fmt.Sprintf("field %s is of kind %s, for which there is no value here", f.FullName(), f.Kind()))
}
