package usage_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/series"
	"github.com/hodei-jobs/hodei/projections/joblog"
	"github.com/hodei-jobs/hodei/projections/usage"
)

const (
	start  = 1_790_000_000_250 // ms; no exact second
	second = time.Second
)

var key = joblog.Key{Job: 1, Attempt: 1}

// stored is a series in pieces.
type stored struct {
	data []byte
	cut  int
	t    *testing.T
}

func (s stored) Read(_ context.Context, k joblog.Key, from uint64, limit int) ([]joblog.Piece, uint64, error) {
	if !k.IsSeries() || k.Log() != key {
		s.t.Fatalf("%v is read", k)
	}
	data := s.data[from:min(int(from)+min(limit, s.cut), len(s.data))]
	return []joblog.Piece{{Offset: from, Data: data}}, from + uint64(len(data)), nil
}

// write makes a series, of a sample a second if nothing else is said.
func write(t *testing.T, samples ...series.Sample) stored {
	var e series.Encoder
	var data []byte
	at := int64(start)
	for _, s := range samples {
		if s.Over == 0 {
			s.Over = second
		}
		at += s.Over.Milliseconds()
		s.Time = at
		data = e.Append(data, s)
	}
	return stored{data, 17, t}
}

func read(t *testing.T, s stored, q usage.Query) usage.Reading {
	t.Helper()
	r, err := usage.Read(t.Context(), s, key, uint64(len(s.data)), q)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func known(cpu time.Duration, memory uint64) series.Sample {
	return series.Sample{CPU: cpu, Known: series.Memory | series.Disk, Memory: memory, Processes: 1, Written: 10}
}

func TestSecondsAreShownAsTheyAre(t *testing.T) {
	s := write(t, known(second/2, 1<<20), series.Sample{CPU: second}, known(0, 3<<20))
	r := read(t, s, usage.Query{})
	if r.Step != second || len(r.Points) != 3 || r.Damaged {
		t.Fatalf("got %+v", r)
	}
	p := r.Points[0]
	if p.At.UnixMilli() != start || p.Over != second || p.CPU != (usage.Spread{0.5, 0.5, 0.5}) || p.Memory.Mean != 1<<20 || *p.Written != 10 || *p.Read != 0 || p.Received != nil {
		t.Errorf("the first second is %+v", p)
	}
	if p := r.Points[1]; p.Memory != nil || p.Read != nil || p.CPU.Max != 1 {
		t.Errorf("the second, of which little is known, is %+v", p)
	}
}

func TestPointsSumUpWhatTheyCover(t *testing.T) {
	s := write(t,
		known(0, 1<<20), known(second/2, 2<<20), known(second, 3<<20),
		series.Sample{CPU: 30 * time.Millisecond, Over: 10 * time.Millisecond}, // as at the end of a step: no rate
	)
	r := read(t, s, usage.Query{Step: time.Hour})
	if len(r.Points) != 1 || r.Step != time.Hour {
		t.Fatalf("got %+v", r)
	}
	p := r.Points[0]
	if p.CPU.Min != 0 || p.CPU.Max != 1 || math.Abs(p.CPU.Mean-1.53/3.01) > 1e-9 {
		t.Errorf("CPU is %+v", p.CPU)
	}
	if *p.Memory != (usage.Spread{1 << 20, 2 << 20, 3 << 20}) || *p.Written != 30 || p.Over != 3010*time.Millisecond {
		t.Errorf("got %+v, memory %+v", p, *p.Memory)
	}
	if p.At.UnixMilli()%time.Hour.Milliseconds() != 0 || p.At.UnixMilli() > start || p.At.Add(time.Hour).UnixMilli() < start {
		t.Errorf("it is at %v", p.At)
	}
}

// However long a job ran there are only so many points, and they sum up to the same.
func TestALongSeriesHasFewPoints(t *testing.T) {
	const hours = 50
	samples := make([]series.Sample, hours*3600)
	for i := range samples {
		samples[i] = known(time.Duration(i%3)*second/2, uint64(1+i%7)<<20)
	}
	s := write(t, samples...)
	s.cut = 1 << 20
	for _, most := range []int{1, 2, 60, 500, 0} {
		r := read(t, s, usage.Query{Points: most})
		limit := most
		if most == 0 {
			limit = usage.MaxPoints
		}
		if len(r.Points) > limit || len(r.Points) < limit/10 {
			t.Errorf("%d points where %d were asked for", len(r.Points), most)
		}
		cpu, written, peak := 0.0, uint64(0), 0.0
		for i, p := range r.Points {
			cpu, written, peak = cpu+p.CPU.Mean*p.Over.Seconds(), written+*p.Written, max(peak, p.Memory.Max)
			if i > 0 && p.At.Sub(r.Points[i-1].At) < r.Step {
				t.Fatalf("points %v and %v of %v", r.Points[i-1].At, p.At, r.Step)
			}
		}
		if math.Abs(cpu-hours*3600/2) > 1 || written != 10*hours*3600 || peak != 7<<20 {
			t.Errorf("%d points sum up to %v s, %d bytes, %v at the peak", most, cpu, written, peak)
		}
	}
	if r := read(t, s, usage.Query{Step: 60 * second, Points: 5}); len(r.Points) < hours*60 {
		t.Errorf("a step that is asked for gives %d points", len(r.Points))
	}
	if _, err := usage.Read(t.Context(), s, key, uint64(len(s.data)), usage.Query{Step: 10 * second}); !errors.Is(err, usage.ErrTooFine) {
		t.Errorf("a step that is too fine: %v", err)
	}
}

func TestAPartOfASeries(t *testing.T) {
	samples := make([]series.Sample, 100)
	s := write(t, samples...)
	at := func(n int) int64 { return (start + int64(n)*1000) * 1e6 }
	for _, row := range []struct {
		name         string
		since, until int64
		first, count int
	}{
		{"all", 0, 0, 0, 100},
		{"from the end of one on, as who has it asks", at(10), 0, 10, 90},
		{"from its middle", at(10) - 5e8, 0, 9, 91},
		{"until one begins", 0, at(10), 0, 10},
		{"some", at(20), at(30), 20, 10},
		{"none", at(200), 0, 0, 0},
	} {
		r := read(t, s, usage.Query{Since: row.since, Until: row.until})
		if len(r.Points) != row.count || row.count > 0 && r.Points[0].At.UnixNano() != at(row.first) {
			t.Errorf("%s: %d points, %+v", row.name, len(r.Points), r.Points[:min(1, len(r.Points))])
		}
	}
}

// What an agent made up spoils nothing but what follows it.
func TestBytesThatAreNoSeries(t *testing.T) {
	s := write(t, known(second, 1<<20), known(second, 1<<20))
	s.data = append(s.data, 0x01, 5, 5)
	if r := read(t, s, usage.Query{}); !r.Damaged || len(r.Points) != 2 {
		t.Errorf("got %+v", r)
	}
	if r := read(t, stored{nil, 1, t}, usage.Query{}); r.Points == nil || len(r.Points) != 0 {
		t.Errorf("of nothing: %+v", r)
	}
}
