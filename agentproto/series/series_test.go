package series_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hodei-jobs/hodei/agentproto/series"
)

const ms = time.Millisecond

func decode(t interface{ Fatal(...any) }, data []byte, cut int) (all []series.Sample) {
	var d series.Decoder
	for len(data) > 0 {
		n := min(cut, len(data))
		if err := d.Decode(data[:n], func(s series.Sample) { all = append(all, s) }); err != nil {
			t.Fatal(err)
		}
		data = data[n:]
	}
	return all
}

// Whatever was measured is read again as it was, however the bytes are cut.
func TestASeriesIsReadAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []series.Sample
		var e series.Encoder
		var data []byte
		at := rapid.Int64Range(1, 1<<42).Draw(t, "start")
		number := rapid.OneOf(rapid.Just(uint64(0)), rapid.Uint64Range(0, 1<<20), rapid.Uint64Range(0, 1<<53))
		for range rapid.IntRange(0, 50).Draw(t, "samples") {
			over := rapid.OneOf(rapid.Just(int64(1000)), rapid.Int64Range(1, 1<<30)).Draw(t, "over")
			s := series.Sample{
				Over: time.Duration(over) * ms, Known: series.Known(rapid.IntRange(0, 7).Draw(t, "known")),
				CPU:    time.Duration(rapid.Int64Range(0, 1<<30).Draw(t, "cpu")) * ms,
				Memory: number.Draw(t, "memory") &^ 1023, Processes: uint32(rapid.IntRange(0, 5000).Draw(t, "processes")),
				Read: number.Draw(t, "read"), Written: number.Draw(t, "written"), Received: number.Draw(t, "received"), Sent: number.Draw(t, "sent"),
			}
			at += over + rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(0, 1<<20)).Draw(t, "gap")
			s.Time = at
			before := len(data)
			data = e.Append(data, s)
			if len(data)-before > series.MaxSample {
				t.Fatalf("%+v took %d bytes", s, len(data)-before)
			}
			all = append(all, s)
		}
		if got := decode(t, data, rapid.IntRange(1, 200).Draw(t, "cut")); !reflect.DeepEqual(got, all) {
			t.Fatalf("read\n%+v\nwant\n%+v", got, all)
		}
	})
}

// The figures that the documentation names: an idle second and a busy one.
func TestBytesASample(t *testing.T) {
	var e series.Encoder
	idle := series.Sample{Time: 1_790_000_000_000, Over: 1000 * ms, Known: series.Memory | series.Disk, Memory: 300 << 20, Processes: 3}
	e.Append(nil, idle)
	for i := range 100 {
		idle.Time += 1000
		if n := len(e.Append(nil, idle)); n != 2 {
			t.Fatalf("idle second %d takes %d bytes", i, n)
		}
	}
	busy := idle
	for i := range 100 {
		busy.Time, busy.Over = busy.Time+1000+int64(i%3), time.Duration(1000+i%3)*ms
		busy.CPU, busy.Memory = time.Duration(900+i*7%200)*ms, uint64(300+i%2)<<20
		busy.Written = 4096
		if n := len(e.Append(nil, busy)); n > 10 {
			t.Fatalf("busy second %d takes %d bytes", i, n)
		}
	}
}

func TestBytesThatNobodyWrote(t *testing.T) {
	for name, data := range map[string][]byte{
		"no time":              {0, 1},
		"no duration":          {1, 10, 0},
		"a time beyond all":    {1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 5},
		"a varint without end": {1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"time that goes back":  {1, 10, 1, 1, 9, 1},
		"a repeated second":    {1, 10, 1, 1, 10, 1},
		"memory below nothing": {1 | 8, 10, 1, 1},
		"what can't be known":  {1 | 2, 10, 1, 8},
	} {
		var d series.Decoder
		if err := d.Decode(data, func(series.Sample) {}); !errors.Is(err, series.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
		if err := d.Decode([]byte{1, 20, 1}, func(s series.Sample) { t.Errorf("%s: goes on with %+v", name, s) }); err == nil {
			t.Errorf("%s: goes on", name)
		}
	}
}

// Bytes of a stranger end, tell of times that rise, and are read alike however cut.
func FuzzDecode(f *testing.F) {
	var e series.Encoder
	data := e.Append(nil, series.Sample{Time: 5000, Over: 1000 * ms, Known: series.Memory, Memory: 4096, Processes: 1})
	f.Add(e.Append(data, series.Sample{Time: 6000, Over: 1000 * ms, Known: series.Memory, CPU: 500 * ms, Memory: 8192, Processes: 2}))
	f.Add([]byte{0xff, 1, 1, 7, 2, 2, 2, 1, 1, 1, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		read := func(cut int) (all []series.Sample, err error) {
			var d series.Decoder
			for from := 0; from < len(data) && err == nil; from += cut {
				err = d.Decode(data[from:min(from+cut, len(data))], func(s series.Sample) { all = append(all, s) })
			}
			return all, err
		}
		whole, err := read(len(data) + 1)
		pieces, err2 := read(1)
		if !reflect.DeepEqual(whole, pieces) || (err == nil) != (err2 == nil) {
			t.Fatalf("whole %+v %v, byte by byte %+v %v", whole, err, pieces, err2)
		}
		for i, s := range whole {
			if i > 0 && s.Time <= whole[i-1].Time || s.Over <= 0 || s.CPU < 0 {
				t.Fatalf("sample %d is %+v", i, s)
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	var e series.Encoder
	var data []byte
	const day = 86_400
	for i := range day {
		data = e.Append(data, series.Sample{
			Time: 1_790_000_000_000 + int64(i)*1000, Over: 1000 * ms, Known: series.Memory | series.Disk,
			CPU: time.Duration(900+i*7%200) * ms, Memory: uint64(300+i%2) << 20, Processes: 3, Written: uint64(i%5) * 4096,
		})
	}
	for b.Loop() {
		n := 0
		var d series.Decoder
		if err := d.Decode(data, func(series.Sample) { n++ }); err != nil || n != day {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64(len(data))/day, "bytes/sample")
}
