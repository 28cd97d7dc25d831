package resource

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
)

func TestParseCPU(t *testing.T) {
	for _, test := range []struct {
		in   string
		want CPU
		text string // as it is written again; "" if it is refused
	}{
		{"2", 2000, "2"},
		{"0.5", 500, "500m"},
		{"1.25", 1250, "1250m"},
		{"500m", 500, "500m"},
		{"2000m", 2000, "2"},
		{"0", 0, "0"},
		{"1000000", MaxCPU, "1000000"},
		{"1000001", 0, ""},
		{"0.0001", 0, ""}, // less than a thousandth
		{"1.", 0, ""},
		{".5", 0, ""},
		{"-1", 0, ""},
		{"+1", 0, ""},
		{"1e3", 0, ""},
		{"0x10", 0, ""},
		{" 1", 0, ""},
		{"", 0, ""},
		{"m", 0, ""},
		{"two", 0, ""},
		{"1.5m", 0, ""},
		{strings.Repeat("9", 40), 0, ""},
	} {
		got, err := ParseCPU(test.in)
		if (err == nil) != (test.text != "") || got != test.want || err == nil && got.String() != test.text {
			t.Errorf("%q is %s (%d), %v; want %s", test.in, got, got, err, test.text)
		}
	}
}

func TestParseBytes(t *testing.T) {
	for _, test := range []struct {
		in   string
		want Bytes
		text string
	}{
		{"512Mi", 512 << 20, "512Mi"},
		{"2048Mi", 2 << 30, "2Gi"},
		{"1.5Gi", 3 << 29, "1536Mi"},
		{"1Ti", 1 << 40, "1Ti"},
		{"1000B", 1000, "1000B"},
		{"1024B", 1024, "1Ki"},
		{"0", 0, "0"},
		{"0Mi", 0, "0"},
		{"8Pi", MaxBytes, "8Pi"},
		{"9Pi", 0, ""},
		{"2 gigs", 0, ""},
		{"2G", 0, ""}, // a thousand or 1024?
		{"2GiB", 0, ""},
		{"512", 0, ""}, // of what?
		{"-1Gi", 0, ""},
		{"0.3B", 0, ""},
		{"Mi", 0, ""},
		{"", 0, ""},
		{"99999999999999999999Pi", 0, ""},
	} {
		got, err := ParseBytes(test.in)
		if (err == nil) != (test.text != "") || got != test.want || err == nil && got.String() != test.text {
			t.Errorf("%q is %s (%d), %v; want %s", test.in, got, got, err, test.text)
		}
	}
}

func TestNotationIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := CPU(rapid.Uint64Range(0, uint64(MaxCPU)).Draw(t, "cpu"))
		b := Bytes(rapid.Uint64Range(0, uint64(MaxBytes)).Draw(t, "bytes"))
		if back, err := ParseCPU(c.String()); err != nil || back != c {
			t.Fatalf("%s is read as %s, %v", c, back, err)
		}
		if back, err := ParseBytes(b.String()); err != nil || back != b {
			t.Fatalf("%s is read as %s, %v", b, back, err)
		}
	})
}

func TestAmountJSON(t *testing.T) {
	for _, test := range []struct{ in, out string }{
		{`{"cpu":2,"memory":"2Gi"}`, `{"cpu":"2","memory":"2Gi"}`},
		{`{"cpu":0.5}`, `{"cpu":"500m"}`},
		{`{"cpu":"500m","disk":"1Gi"}`, `{"cpu":"500m","disk":"1Gi"}`},
		{`{}`, `{}`},
		{`{"cpu":-1}`, ""},
		{`{"cpu":"x"}`, ""},
		{`{"memory":5}`, ""},
		{`{"memory":"5"}`, ""},
	} {
		var a Amount
		err := json.Unmarshal([]byte(test.in), &a)
		if (err == nil) != (test.out != "") {
			t.Errorf("%s: %v", test.in, err)
			continue
		}
		if out, _ := json.Marshal(a); err == nil && string(out) != test.out {
			t.Errorf("%s is written as %s, want %s", test.in, out, test.out)
		}
	}
}

func TestArithmetic(t *testing.T) {
	small, large := Amount{CPU: 1, Memory: 2, Disk: 3}, Amount{CPU: math.MaxUint64, Memory: 10, Disk: 1}
	if got := small.Add(large); got != (Amount{CPU: math.MaxUint64, Memory: 12, Disk: 4}) {
		t.Errorf("sum %v", got)
	}
	if got := small.Sub(large); got != (Amount{Disk: 2}) {
		t.Errorf("rest %v", got)
	}
	if got := small.Max(Amount{Memory: 9}); got != (Amount{CPU: 1, Memory: 9, Disk: 3}) {
		t.Errorf("maximum %v", got)
	}
	for dimension, free := range map[string]Amount{
		DimensionCPU: {Memory: 2, Disk: 3}, DimensionMemory: {CPU: 1, Disk: 3}, DimensionDisk: {CPU: 1, Memory: 2}, "": small,
	} {
		got, ok := small.Fits(free)
		if got != dimension || ok != (dimension == "") {
			t.Errorf("%v into %v: %q, %t", small, free, got, ok)
		}
	}
	if small.Dimension("cpu") != 1 || small.Dimension("memory") != 2 || small.Dimension("disk") != 3 || small.Dimension("gpu") != 0 {
		t.Error("dimensions are mixed up")
	}
	if got := (Amount{CPU: 500, Memory: 8 << 30, Disk: 1 << 20}).String(); got != "500m CPU, 8 GiB memory, 1 MiB disk" {
		t.Error(got)
	}
	if got := (Amount{}).String(); got != "nothing" {
		t.Error(got)
	}
}

func TestEventsCarryAmounts(t *testing.T) {
	if (Amount{}).Event() != nil || !FromEvent(nil).IsZero() {
		t.Error("nothing is not nothing")
	}
	a := Amount{CPU: 1, Memory: 2, Disk: 3}
	if FromEvent(a.Event()) != a {
		t.Error("an amount is lost")
	}
}

func TestLabels(t *testing.T) {
	l := FromMap(map[string]string{"gpu": "a100", "disk": "ssd", "arch": "amd64"})
	if l.String() != "arch=amd64,disk=ssd,gpu=a100" || l.Valid() != nil {
		t.Fatalf("%s, %v", l, l.Valid())
	}
	if v, ok := l.Get("disk"); !ok || v != "ssd" {
		t.Error("disk is not found")
	}
	if _, ok := l.Get("dis"); ok {
		t.Error("what is not there is found")
	}
	if !l.Equal(FromMap(l.Map())) || l.Equal(l[1:]) || FromMap(nil) != nil {
		t.Error("equality is wrong")
	}
	if back := FromPairs(l.Pairs()); !back.Equal(l) || FromPairs(nil) != nil || Labels(nil).Pairs() != nil {
		t.Errorf("pairs come back as %s", back)
	}
	unsorted := []*eventv1.Pair{{Key: "b", Value: "1"}, {Key: "a", Value: "2"}, {Key: "b", Value: "3"}}
	if got := FromPairs(unsorted); got.String() != "a=2,b=3" {
		t.Errorf("unsorted pairs are %s", got)
	}
	if got := FromPairs(unsorted[:1]); got.String() != "b=1" {
		t.Errorf("one pair is %s", got)
	}
	if got := FromPairs([]*eventv1.Pair{proto.CloneOf(unsorted[0]), unsorted[2]}); got.String() != "b=3" {
		t.Errorf("a key given twice is %s", got)
	}
	data, err := json.Marshal(l)
	var back Labels
	if err != nil || json.Unmarshal(data, &back) != nil || !back.Equal(l) {
		t.Errorf("JSON %s comes back as %s", data, back)
	}
	if json.Unmarshal([]byte(`[]`), &back) == nil {
		t.Error("a list is taken for labels")
	}
}

func TestWhatCantBeALabel(t *testing.T) {
	long := strings.Repeat("x", MaxLabelKey+1)
	for _, l := range []Label{
		{"", "v"}, {long, "v"}, {"a b", "v"}, {"ä", "v"}, {"a=b", "v"},
		{"k", long}, {"k", "a\nb"}, {"k", "\xff"}, {"k", "\u202e"}, {"k", "nul\x00"},
	} {
		if ValidLabel(l.Key, l.Value) == nil {
			t.Errorf("%q=%q is taken", l.Key, l.Value)
		}
	}
	for _, l := range []Label{{"app.kubernetes.io/name", "x y"}, {"K_-9", ""}, {"k", "größe"}} {
		if err := ValidLabel(l.Key, l.Value); err != nil {
			t.Errorf("%q=%q: %v", l.Key, l.Value, err)
		}
	}
	if (Labels{{"b", ""}, {"a", ""}}).Valid() == nil || (Labels{{"a", ""}, {"a", ""}}).Valid() == nil {
		t.Error("labels out of order are taken")
	}
	if make(Labels, MaxLabels+1).Valid() == nil {
		t.Error("too many labels are taken")
	}
}

// Sizes are rounded for people; the notation is exact.
func TestShown(t *testing.T) {
	for b, want := range map[Bytes]string{
		0: "0 B", 512: "512 B", 1023: "1023 B", 1 << 10: "1 KiB", 1536: "1.5 KiB", 24684084 << 10: "23.5 GiB", 999 << 30: "999 GiB", 1<<30 - 1: "1.0 GiB", 8<<30 - 5<<20: "8.0 GiB", MaxBytes: "8 PiB",
	} {
		if got := b.Shown(); got != want {
			t.Errorf("%d bytes are shown as %s, want %s", b, got, want)
		}
	}
}

func TestOf(t *testing.T) {
	for _, row := range []struct {
		part, whole Bytes
		want        string
	}{{8<<30 - 5<<20, 8 << 30, "8.0 of 8 GiB"}, {412 << 20, 2 << 30, "412 MiB of 2 GiB"}, {0, 1 << 30, "0 B of 1 GiB"}, {3 << 30, 2 << 30, "3 of 2 GiB"}} {
		if got := row.part.Of(row.whole); got != row.want {
			t.Errorf("%d of %d is %s, want %s", row.part, row.whole, got, row.want)
		}
	}
}
