package api

import (
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
