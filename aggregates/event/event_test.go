package event_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/hodei-jobs/hodei/aggregates/aggregatetest"
	"github.com/hodei-jobs/hodei/aggregates/event"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/id"
)

// Stored bytes are for ever: the bytes of every type with every field set are
// golden.
func TestBytesAreGolden(t *testing.T) {
	var b strings.Builder
	for _, typ := range event.Types() {
		fmt.Fprintf(&b, "%s %s\n", typ, hex.EncodeToString(event.Encode(aggregatetest.Filled(typ))))
	}
	metadata := new(eventv1.Metadata)
	aggregatetest.Fill(metadata)
	fmt.Fprintf(&b, "Metadata %s\n", hex.EncodeToString(event.EncodeMetadata(metadata)))
	aggregatetest.Golden(t, "bytes.golden", b.String())
}

func TestGoldenBytesMeanWhatTheySay(t *testing.T) {
	golden := goldenBytes(t)
	for _, typ := range event.Types() {
		data, ok := golden[typ]
		if !ok {
			t.Errorf("%s has no golden bytes: write them with -update", typ)
			continue
		}
		got, err := event.Decode(typ, data)
		if err != nil || !proto.Equal(got, aggregatetest.Filled(typ)) {
			t.Errorf("golden bytes of %s mean %v, %v", typ, got, err)
		}
		delete(golden, typ)
	}
	delete(golden, "Metadata")
	if len(golden) > 0 {
		t.Errorf("golden bytes of types that are gone: %v; what was stored must be read for ever", slices.Collect(maps.Keys(golden)))
	}
}

func goldenBytes(t *testing.T) map[string][]byte {
	t.Helper()
	golden := make(map[string][]byte)
	for line := range strings.Lines(aggregatetest.Read(t, "bytes.golden")) {
		typ, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		data, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		golden[typ] = data
	}
	return golden
}

func TestDescriptionsAreGolden(t *testing.T) {
	var b strings.Builder
	for _, m := range samples() {
		aggregatetest.EventLaws(t, m)
		fmt.Fprintf(&b, "%-18s %s\n", event.TypeOf(m), event.Describe(m))
	}
	aggregatetest.Golden(t, "descriptions.golden", b.String())
}

func TestEveryTypeHasASample(t *testing.T) {
	var shown []string
	for _, m := range samples() {
		shown = append(shown, event.TypeOf(m))
	}
	for _, typ := range event.Types() {
		if !slices.Contains(shown, typ) {
			t.Errorf("%s has no sample among the descriptions", typ)
		}
	}
}

// Whatever is in an event, its description is one printable line; and empty and
// full events have one as well.
func TestForeignTextIsMadePrintable(t *testing.T) {
	for _, typ := range event.Types() {
		aggregatetest.EventLaws(t, event.New(typ))
		aggregatetest.EventLaws(t, aggregatetest.Filled(typ))
		hostile := event.New(typ)
		poison(hostile.ProtoReflect())
		line := event.Describe(hostile)
		if strings.ContainsAny(line, "\x1b\n\u202e") {
			t.Errorf("%s lets a control character through: %q", typ, line)
		}
		if strings.HasPrefix(line, strings.Repeat("x", 200)) || len(line) > 4000 {
			t.Errorf("%s lets a long text through: %d bytes", typ, len(line))
		}
	}
}

// poison sets every text of a message to one that would harm a terminal.
func poison(m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		text := protoreflect.ValueOfString("a\x1b]0;b\nc\u202ed" + strings.Repeat("x", 300))
		switch {
		case f.Kind() == protoreflect.StringKind && f.IsList():
			m.Mutable(f).List().Append(text)
		case f.Kind() == protoreflect.StringKind:
			m.Set(f, text)
		case f.Kind() == protoreflect.MessageKind && f.IsList():
			e := m.Mutable(f).List().AppendMutable()
			poison(e.Message())
		case f.Kind() == protoreflect.MessageKind:
			poison(m.Mutable(f).Message())
		}
	}
}

// Every message of the dictionary is an event, a part of one, or Metadata; so a
// new event that was not made known is found.
func TestNoEventIsForgotten(t *testing.T) {
	var all []protoreflect.MessageDescriptor
	parts := make(map[protoreflect.Name]bool)
	protoregistry.GlobalFiles.RangeFilesByPackage("hodei.event.v1", func(f protoreflect.FileDescriptor) bool {
		for i := range f.Messages().Len() {
			m := f.Messages().Get(i)
			all = append(all, m)
			for n := range m.Fields().Len() {
				f := m.Fields().Get(n)
				if f.IsMap() {
					t.Errorf("%s is a map: the order of its pairs would be anyone's", f.FullName())
				}
				if f.Kind() == protoreflect.MessageKind {
					parts[f.Message().Name()] = true
				}
			}
		}
		return true
	})
	if len(all) == 0 {
		t.Fatal("there is no dictionary")
	}
	for _, m := range all {
		if name := string(m.Name()); event.New(name) == nil && !parts[m.Name()] && name != "Metadata" {
			t.Errorf("%s is no known event, and no part of one", name)
		}
	}
}

func TestDecode(t *testing.T) {
	if _, err := event.Decode("JobSang", nil); !errors.Is(err, event.ErrUnknown) {
		t.Errorf("an unknown type: %v", err)
	}
	if _, err := event.Decode("JobBound", []byte{0xff}); err == nil || errors.Is(err, event.ErrUnknown) {
		t.Errorf("broken bytes: %v", err)
	}
	newer := append(event.Encode(&eventv1.JobStarted{Attempt: 3}), 0xf8, 0x07, 0x01) // field 127
	m, err := event.Decode("JobStarted", newer)
	if err != nil || m.(*eventv1.JobStarted).Attempt != 3 || string(event.Encode(m)) != string(newer) {
		t.Errorf("a field of a newer version is lost: %v, %v", m, err)
	}
	if got := event.New("JobSang"); got != nil {
		t.Errorf("an unknown type is made: %v", got)
	}
	back, err := event.DecodeMetadata(event.EncodeMetadata(&eventv1.Metadata{Actor: "ana"}))
	if err != nil || back.Actor != "ana" {
		t.Errorf("metadata comes back as %v, %v", back, err)
	}
	if _, err := event.DecodeMetadata([]byte{0xff}); err == nil {
		t.Error("broken metadata is taken")
	}
}

func TestEncodingWhatIsNoTextPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("it does not")
		}
	}()
	event.Encode(&eventv1.JobStarted{WorkerId: "\xff"})
}

func TestDescribeUnknown(t *testing.T) {
	if got := event.Describe(&eventv1.Pair{}); got != "an event this version doesn't know: Pair" {
		t.Error(got)
	}
}

func TestStreams(t *testing.T) {
	i := id.ID(1)
	for _, test := range []struct{ stream, want, kind, name string }{
		{event.JobStream(i), "job-00000001", event.KindJob, "00000001"},
		{event.WorkerStream(i), "worker-00000001", event.KindWorker, "00000001"},
		{event.TokenStream(i), "token-00000001", event.KindToken, "00000001"},
		{event.ServerStream(i), "server-00000001", event.KindServer, "00000001"},
		{event.NamespaceStream("a-b"), "namespace-a-b", event.KindNamespace, "a-b"},
		{event.SecretStream("a-b", "c-d"), "secret-a-b/c-d", event.KindSecret, "a-b/c-d"},
		{event.SettingsStream(), "settings", event.KindSettings, ""},
	} {
		kind, name := event.ParseStream(test.stream)
		if test.stream != test.want || kind != test.kind || name != test.name {
			t.Errorf("%s, want %s; parsed as %q %q", test.stream, test.want, kind, name)
		}
	}
	if ns, name, ok := event.ParseSecretStream(event.SecretStream("a-b", "c-d")); !ok || ns != "a-b" || name != "c-d" {
		t.Errorf("a secret's stream is of %q in %q, %v", name, ns, ok)
	}
	for _, other := range []string{"secret-a", "namespace-a/b", "secret"} {
		if _, _, ok := event.ParseSecretStream(other); ok {
			t.Errorf("%s is a secret's stream", other)
		}
	}
	const want = "key-3aa159e5df4e73c27853f9b3e21cf91ac3549436bac1e911046493b431d59600"
	if got := event.KeyStream("web", "k1"); got != want {
		t.Errorf("a key's stream is %s, want %s", got, want)
	}
	if event.KeyStream("a", "bc") == event.KeyStream("ab", "c") {
		t.Error("keys of two namespaces have one stream")
	}
}

func TestPrintable(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"plain, with ü and 世界", "plain, with ü and 世界"},
		{"a\x1b[31mb", `a\x1b[31mb`},
		{"two\nlines\ttab", `two\x0alines\x09tab`},
		{"right\u202eleft", `right\u202eleft`},
		{"zero\u200bwidth", `zero\u200bwidth`},
		{"c1\u0085", `c1\u0085`},
		{"no\u00a0break", `no\u00a0break`},
		{"broken \xff", `broken \xff`},
		{"tag \U000e0041", `tag \U000e0041`},
		{"", ""},
	} {
		if got := event.Printable(test.in); got != test.want {
			t.Errorf("%q is shown as %q, want %q", test.in, got, test.want)
		}
	}
}

func TestDuration(t *testing.T) {
	for _, test := range []struct {
		d    time.Duration
		want string
	}{
		{0, "0ms"},
		{350*time.Millisecond + 900*time.Microsecond, "350ms"},
		{12*time.Second + 440*time.Millisecond, "12.4s"},
		{48 * time.Second, "48s"},
		{59*time.Second + 999*time.Millisecond, "59.9s"}, // never rounded up to a minute
		{4*time.Minute + 2*time.Second, "4m02s"},
		{time.Minute, "1m"},
		{65 * time.Minute, "1h05m"},
		{24 * time.Hour, "1d"},
		{76 * time.Hour, "3d04h"},
		{-time.Second, "-1s"},
		{-1 << 63, "-106751d23h"},
	} {
		if got := event.Duration(test.d); got != test.want {
			t.Errorf("%d ns is %s, want %s", test.d, got, test.want)
		}
	}
}

func TestCutAndCode(t *testing.T) {
	for _, test := range []struct {
		in   string
		n    int
		want string
	}{
		{"short", 10, "short"},
		{"ünder", 1, ""},
		{"ünder", 2, "ü"},
		{"a\xffb", 10, "a\uFFFDb"},
		{"a\xffb", 3, "a"},
	} {
		if got := event.Cut(test.in, test.n); got != test.want {
			t.Errorf("%q cut to %d is %q, want %q", test.in, test.n, got, test.want)
		}
	}
	for in, want := range map[string]string{
		"out_of_memory": "out_of_memory", "": "other", "Exit": "other", "a b": "other", strings.Repeat("a", 33): "other",
	} {
		if got := event.Code(in, "other"); got != want {
			t.Errorf("%q as a code is %q, want %q", in, got, want)
		}
	}
}
