package api

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hodei-jobs/hodei/aggregates/event"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
)

// openFields are the fields of bytes that may be shown. One that is neither here nor
// hidden fails the test.
var openFields = map[protoreflect.FullName]bool{
	"hodei.event.v1.JobSubmitted.spec":             true,
	"hodei.event.v1.JobLogSealed.digest":           true,
	"hodei.event.v1.KeyUsed.digest":                true,
	"hodei.event.v1.WorkerRegistered.public_key":   true,
	"hodei.event.v1.WorkerConnected.instance":      true,
	"hodei.event.v1.WorkerSuperseded.instance":     true,
	"hodei.event.v1.WorkerSuperseded.by_instance":  true,
	"hodei.event.v1.WorkerTokenRefused.public_key": true,
	"hodei.event.v1.WorkerTokenUsed.public_key":    true,
}

// What a secret could be guessed by is in no event that is shown, and of each
// field of bytes it is known whether it is.
func TestEventsShowNothingToGuessSecretsBy(t *testing.T) {
	for _, name := range event.Types() {
		m := event.New(name)
		fields := m.ProtoReflect().Descriptor().Fields()
		for i := range fields.Len() {
			f := fields.Get(i)
			if f.Kind() != protoreflect.BytesKind {
				continue
			}
			if hidden[f.FullName()] == openFields[f.FullName()] {
				t.Errorf("may %s be shown? say so", f.FullName())
			}
			m.ProtoReflect().Set(f, protoreflect.ValueOfBytes([]byte("secret")))
			if shows := strings.Contains(string(eventData(m)), `"`+f.TextName()+`"`); shows == hidden[f.FullName()] {
				t.Errorf("%s is shown: %v", f.FullName(), shows)
			}
		}
	}
	made := &eventv1.TokenCreated{Hash: []byte("x"), Name: "ci"}
	if data := eventData(made); !strings.Contains(string(data), `"ci"`) || made.GetHash() == nil {
		t.Errorf("shown as %s, left as %s", data, protojson.Format(proto.Message(made)))
	}
}

// Events speak of numbers, times and sizes as jobs and workers do.
func TestEventsHaveTheNotationOfJobs(t *testing.T) {
	cpu, peak, memory := uint64(1_500_000_000), uint64(2500), uint64(512<<20)
	for _, row := range []struct {
		event proto.Message
		want  string
	}{
		{&eventv1.JobSubmitted{Name: "a", Requires: []*eventv1.Pair{{Key: "arch", Value: "arm64"}}, Resources: &eventv1.Resources{CpuMilli: 500, MemoryBytes: 512 << 20},
			Retries: &eventv1.Retries{Max: 2, On: []string{"exit", "lost"}, BackoffNs: 10e9}, TimeLimitNs: 1800e9, Cancel: &eventv1.CancelPolicy{GraceNs: 90e9}, Spec: []byte(`{"command":"x"}`)},
			`{"name":"a","requires":{"arch":"arm64"},"resources":{"cpu":"500m","memory":"512Mi"},"retries":{"max":2,"on":["exit","lost"],"backoff":"10s"},` +
				`"time_limit":"30m","cancel":{"grace":"1m30s"},"spec":{"command":"x"}}`},
		{&eventv1.JobBound{Attempt: 1, WorkerId: "m2c8v0xk", Decision: &eventv1.Decision{Position: 1 << 40, Best: []*eventv1.Candidate{{WorkerId: "m2c8v0xk", Score: 0.5}},
			Refused: []*eventv1.Refusal{{Reason: "busy", Count: 2, Lacks: "memory", Have: 1 << 30, Need: 2 << 30}, {Reason: "busy", Lacks: "cpu", Need: 1500}}}},
			`{"attempt":1,"worker_id":"m2c8v0xk","decision":{"position":1099511627776,` +
				`"refused":[{"reason":"busy","count":2,"lacks":"memory","have":"1Gi","need":"2Gi"},{"reason":"busy","lacks":"cpu","need":"1500m"}],"best":[{"worker_id":"m2c8v0xk","score":0.5}]}}`},
		{&eventv1.JobFailed{Attempt: 2, Ending: &eventv1.Ending{ExitCode: proto.Int32(0), EndOffset: 1 << 50, EndedAtNs: 1_500_000_000, TookNs: 1_250_000_000,
			Usage: &eventv1.Usage{PeakMemoryBytes: &memory, CpuNs: &cpu, PeakCpuMilli: &peak}}},
			`{"attempt":2,"ending":{"exit_code":0,"end_offset":1125899906842624,"ended_at":"1970-01-01T00:00:01.5Z","seconds":1.25,` +
				`"usage":{"peak_memory_bytes":536870912,"cpu_seconds":1.5,"peak_cpu":2.5}}}`},
		{&eventv1.WorkerRegistered{Facts: &eventv1.WorkerFacts{Name: "atlas", Capacity: &eventv1.Resources{CpuMilli: 3500, MemoryBytes: 1000}, Labels: []*eventv1.Pair{{Key: "disk", Value: "ssd"}}}},
			`{"facts":{"name":"atlas","capacity":{"cpu":3.5,"memory_bytes":1000},"labels":{"disk":"ssd"}}}`},
		{&eventv1.ClockStepped{StepNs: -1_500_000_000}, `{"step":"-1s500ms"}`},
		{&eventv1.SettingsChanged{AgingStepNs: proto.Int64(0)}, `{"aging_step":"0s"}`},
		{&eventv1.JobSecretsShredded{}, `{}`},
	} {
		if got := string(eventData(row.event)); got != row.want {
			t.Errorf("%T is shown as\n%s\nwant\n%s", row.event, got, row.want)
		}
	}
}

// No event, however filled, shows a number as a text or a time without its unit.
func TestNoEventHasANotationOfItsOwn(t *testing.T) {
	other := regexp.MustCompile(`"[a-z_]+_(ns|milli)":|"[a-z_]+":"-?[0-9]+"|"key":|null`)
	for _, name := range event.Types() {
		m := event.New(name)
		fill(m.ProtoReflect())
		data := eventData(m)
		if found := other.Find(data); found != nil || !json.Valid(data) || len(data) <= len("{}") && m.ProtoReflect().Descriptor().Fields().Len() > 0 {
			t.Errorf("%s has %s: %s", name, found, data)
		}
	}
}

// fill gives each field of a message a value that is not 0.
func fill(m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if f.IsList() {
			list := m.Mutable(f).List()
			if f.Message() == nil {
				list.Append(filled(f))
				continue
			}
			fill(list.AppendMutable().Message())
			continue
		}
		if f.Message() != nil {
			fill(m.Mutable(f).Message())
			continue
		}
		m.Set(f, filled(f))
	}
}

func filled(f protoreflect.FieldDescriptor) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(1.5)
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte("x"))
	case protoreflect.StringKind:
		return protoreflect.ValueOfString("text")
	case protoreflect.Int64Kind, protoreflect.Sint64Kind:
		return protoreflect.ValueOfInt64(1e9)
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(1e9 + 1)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(7)
	}
	return protoreflect.ValueOfInt32(7)
}
