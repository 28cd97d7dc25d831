package projections

import (
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"

	"github.com/hodei-jobs/hodei/aggregates/event"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/eventstore"
)

// steps are the events that are read as steps, by type.
var steps = map[string]stepFields{
	"JobBound": boundFields, "JobStarted": attemptFields, "JobSucceeded": attemptFields,
	"JobFailed": failedFields, "JobTimedOut": timedOutFields, "JobLost": lostFields,
	"JobRetryScheduled": scheduledFields, "JobRequeued": attemptFields,
}

// read returns what the wire and what the generated decoder say of the same
// bytes; ok is false if the latter can't read them.
func read(typ string, data []byte) (wire, generated any, ok bool) {
	m, err := event.Decode(typ, data)
	if err != nil {
		return nil, nil, false
	}
	raw, decoded := &eventstore.Record{Type: typ, Data: data}, &eventstore.Record{Type: typ, Data: data, Value: m}
	type answer struct {
		Facts any
		Err   bool
	}
	if f, isStep := steps[typ]; isStep {
		var d decoder
		w, werr := d.step(raw, f)
		g, gerr := d.step(decoded, f)
		if werr != nil || gerr != nil {
			w, g = step{}, step{}
		}
		return answer{w, werr != nil}, answer{g, gerr != nil}, true
	}
	var d, e decoder
	w, werr := d.submission(raw)
	g, gerr := e.submission(decoded)
	return answer{w, werr != nil}, answer{g, gerr != nil}, true
}

var shown = cmp.AllowUnexported(step{}, submission{})

// fill draws a message's fields.
func fill(t *rapid.T, m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if !rapid.Bool().Draw(t, string(f.Name())) {
			continue
		}
		switch {
		case f.IsList():
			l := m.Mutable(f).List()
			for range rapid.IntRange(0, 3).Draw(t, "n") {
				if f.Message() != nil {
					fill(t, l.AppendMutable().Message(), depth+1)
				} else {
					l.Append(scalar(t, f))
				}
			}
		case f.Message() != nil:
			fill(t, m.Mutable(f).Message(), depth+1)
		default:
			m.Set(f, scalar(t, f))
		}
	}
}

func scalar(t *rapid.T, f protoreflect.FieldDescriptor) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.StringKind:
		if f.Name() == "worker_id" {
			return protoreflect.ValueOfString(id.ID(rapid.Uint64Range(1, 1<<40-1).Draw(t, "id")).String())
		}
		return protoreflect.ValueOfString(rapid.String().Draw(t, "text"))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(rapid.Bool().Draw(t, "bool"))
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(rapid.Uint32().Draw(t, "n"))
	case protoreflect.Sint32Kind:
		return protoreflect.ValueOfInt32(rapid.Int32().Draw(t, "n"))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(rapid.Uint64().Draw(t, "n"))
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(rapid.Int64().Draw(t, "n"))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(rapid.Float64().Draw(t, "x"))
	}
	panic("the dictionary has got a kind of field this test doesn't know: " + f.Kind().String())
}

// What is read from the wire is what the generated decoder reads, also of
// messages in which parts come twice, as protobuf allows.
func TestFactsAgreeWithTheGeneratedDecoder(t *testing.T) {
	for _, typ := range event.Types() {
		if _, isStep := steps[typ]; !isStep && typ != "JobSubmitted" {
			continue
		}
		t.Run(typ, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				var data []byte
				for range rapid.IntRange(1, 2).Draw(t, "times") {
					m := event.New(typ)
					fill(t, m.ProtoReflect(), 0)
					data = append(data, event.Encode(m)...)
				}
				wire, generated, ok := read(typ, data)
				if !ok {
					t.Fatalf("%x can't be decoded", data)
				}
				if diff := cmp.Diff(generated, wire, shown); diff != "" {
					t.Fatalf("the wire differs (- generated, + wire):\n%s", diff)
				}
			})
		})
	}
}

func FuzzFacts(f *testing.F) {
	f.Add("JobSubmitted", event.Encode(&eventv1.JobSubmitted{Namespace: "web", Requires: []*eventv1.Pair{{Key: "os"}}, Priority: -3}))
	f.Add("JobFailed", event.Encode(&eventv1.JobFailed{Attempt: 1, Retried: true}))
	f.Add("JobBound", event.Encode(&eventv1.JobBound{Attempt: 1, WorkerId: id.ID(1).String()}))
	f.Fuzz(func(t *testing.T, typ string, data []byte) {
		if _, isStep := steps[typ]; !isStep && typ != "JobSubmitted" {
			return
		}
		wire, generated, ok := read(typ, data)
		if !ok {
			return
		}
		if diff := cmp.Diff(generated, wire, shown); diff != "" {
			t.Errorf("the wire differs (- generated, + wire):\n%s", diff)
		}
	})
}

// Each type that a World follows is one of the dictionary; those of jobs that it
// reads from the wire have a value with the same fields.
func TestFoldsAreOfTheDictionary(t *testing.T) {
	folded := 0
	for _, typ := range event.Types() {
		if foldOf(typ) != nil {
			folded++
		}
	}
	if folded != 31 {
		t.Errorf("%d types of the dictionary are folded, 31 are named", folded)
	}
	for typ, f := range steps {
		fields := event.New(typ).ProtoReflect().Descriptor().Fields()
		for name, number := range map[string]protoreflect.FieldNumber{
			"attempt": f.attempt, "worker_id": f.worker, "retried": f.retried, "delay_ns": f.delay,
		} {
			if number != 0 && fields.ByNumber(number).Name() != protoreflect.Name(name) {
				t.Errorf("field %d of %s is %s, not %s", number, typ, fields.ByNumber(number).Name(), name)
			}
		}
	}
}

func TestInternedTextIsBounded(t *testing.T) {
	var d decoder
	for i := range 3 * maxInterned {
		m := &eventv1.JobSubmitted{Namespace: id.ID(i + 1).String()}
		s, err := d.submission(&eventstore.Record{Type: "JobSubmitted", Data: event.Encode(m)})
		if err != nil || s.namespace != m.Namespace {
			t.Fatalf("read %q, %v, want %q", s.namespace, err, m.Namespace)
		}
	}
	if len(d.interned) > maxInterned {
		t.Errorf("%d texts are kept, at most %d may be", len(d.interned), maxInterned)
	}
}

// A bug of ours freezes the stream it met, and the World goes on.
func TestAPanicFreezesItsStream(t *testing.T) {
	w := NewWorld()
	w.Queue = nil // so that a submission panics
	log := slog.New(slog.DiscardHandler)
	submission := event.Encode(&eventv1.JobSubmitted{Namespace: "web"})
	w.ApplySafely(&eventstore.Record{Position: 1, Stream: "job-00000001", Type: "JobSubmitted", Data: submission}, log)
	w.ApplySafely(&eventstore.Record{Position: 2, Stream: "server-00000001", Type: "ServerJoined"}, log)
	if f, _ := w.frozen.Get("job-00000001"); f != (Freeze{1, Panicked}) || w.frozen.Len() != 1 || w.Position != 2 {
		t.Errorf("the stream is %+v, %d are frozen, the World is at #%d", f, w.frozen.Len(), w.Position)
	}
	defer func() {
		if recover() == nil {
			t.Error("a record out of order was taken for a bug of its stream")
		}
	}()
	w.ApplySafely(&eventstore.Record{Position: 9}, log)
}
